"""A starting point for a contributor's plugin: a file that works as it is, and its test."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from mmbench.errors import PluginError
from mmbench.files import write_text

_METHOD = '''"""What the method is, in one line."""

from mmbench.methods import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    SEGMENTATION,
    NetworkMethod,
    register_method,
    terms,
)


@register_method("{name}", reference="")
class {cls}(NetworkMethod):
    """What `mmbench list methods` says of it."""

    tasks = {{CLASSIFICATION, SEGMENTATION}}
    streams = {{LABELED_CLASSIFICATION, LABELED_SEGMENTATION}}

    class Hyperparameters(NetworkMethod.Hyperparameters):
        """Validated, overridable from a protocol, part of a run's identity."""

        dice_weight: float = 5.0
        pixel_weight: float = 1.0

    def losses(self, batch):
        """Return the named, already weighted loss terms of a step."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        images, masks = batch[LABELED_CLASSIFICATION], batch[LABELED_SEGMENTATION]
        (class_logits,) = self.classify(images.images)
        (mask_logits,) = self.segment(masks.images)
        pixels = binary_cross_entropy_with_logits(mask_logits, masks.masks)
        return {{
            "cross_entropy": terms.cross_entropy(class_logits, images.labels),
            "dice": self.hyperparameters.dice_weight * terms.dice(mask_logits, masks.masks),
            "pixels": self.hyperparameters.pixel_weight * pixels,
        }}
'''

_METHOD_TEST = '''"""The kit's checks, one test each, and what else {name} must do."""

from {name} import {cls}

from mmbench.testing import MethodTests


class Test{cls}(MethodTests):
    method = {cls}
'''

_METRIC = '''"""What the metric says of a mask, in one line."""

import numpy as np

from mmbench.methods import SEGMENTATION
from mmbench.plugins import register_metric


@register_metric(
    "{name}",
    task=SEGMENTATION,
    heading="{heading}",
    title="{title}",
    definition="1 - ||P| - |T|| / (|P| + |T|); 1 when both are empty",
    source="Taha and Hanbury 2015, doi:10.1186/s12880-015-0068-x (volumetric similarity)",
    better="higher",
    lowest=0.0,
    highest=1.0,
)
def {name}(prediction, truth, policy):
    """Return the metric of one case and structure; masks are bool, shape (H, W)."""
    predicted, true = np.count_nonzero(prediction), np.count_nonzero(truth)
    return 1 - abs(predicted - true) / (predicted + true) if predicted + true else 1.0
'''

_METRIC_TEST = '''"""Values of {name} by hand."""

import numpy as np
from {name} import {name}

from mmbench.protocol.schema import MetricPolicy


def test_it_compares_areas():
    prediction, truth = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    prediction[0, :2] = truth[3] = True
    assert {name}(prediction, truth, MetricPolicy()) == 1 - 2 / 6
    assert {name}(truth, truth, MetricPolicy()) == 1
'''

_DATASET = '''"""What the dataset is, in one line."""

from mmbench.data.readers import DatasetInfo, Listing, RawCase, Reader
from mmbench.methods import CLASSIFICATION, SEGMENTATION
from mmbench.plugins import register_dataset


@register_dataset
class {cls}(Reader):
    """``images/<patient>_<case>.png``, ``masks/`` of the same names, ``pneumonia.txt`` with the positives."""

    info = DatasetInfo(
        name="{name}",
        title="Chest X-rays of ...",
        tasks=(CLASSIFICATION, SEGMENTATION),
        layout="images/<patient>_<case>.png, masks/<patient>_<case>.png, pneumonia.txt",
        where="https://...",
        terms="what its owners ask for",
        citation="who published it, where and when",
        findings=("normal", "pneumonia"),
        structures=("lungs",),
    )
    folders = ("{name}",)

    def matches(self, folder):
        """Return whether the layout starts here; cheap."""
        return (folder / "images").is_dir() and (folder / "pneumonia.txt").is_file()

    def scan(self, root):
        """Return every case, in the order of their ids; nothing is decoded."""
        table = root / "pneumonia.txt"
        positive = set(table.read_text(encoding="utf-8").split())
        cases = []
        for image in sorted((root / "images").glob("*.png")):
            mask = root / "masks" / image.name
            cases.append(
                RawCase(
                    case_id=image.stem,
                    patient_id=image.stem.split("_")[0],
                    image=image,
                    masks={{"lungs": (mask,)}} if mask.is_file() else {{}},
                    label=int(image.stem in positive),
                    finding="pneumonia" if image.stem in positive else "normal",
                )
            )
        return Listing(root, cases, tables=(table,))
'''

_DATASET_TEST = '''"""{name} on a tiny folder in its layout."""

from PIL import Image
from {name} import {cls}


def test_it_reads_its_layout(tmp_path):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for number in range(2):
            Image.new("L", (8, 8), 90).save(tmp_path / folder / f"p{{number}}_1.png")
    (tmp_path / "pneumonia.txt").write_text("p1_1")
    reader = {cls}()
    assert reader.find(tmp_path) == tmp_path
    cases = reader.scan(tmp_path).cases
    found = [(case.case_id, case.patient_id, case.label) for case in cases]
    assert found == [("p0_1", "p0", 0), ("p1_1", "p1", 1)]
    assert [case.masks["lungs"][0].name for case in cases] == ["p0_1.png", "p1_1.png"]
'''

TEMPLATES = {
    "method": (_METHOD, _METHOD_TEST),
    "metric": (_METRIC, _METRIC_TEST),
    "dataset": (_DATASET, _DATASET_TEST),
}


def write_plugin(kind: str, name: str, folder: Path) -> tuple[Path, Path]:
    """Write a plugin file that works as it is, and its test; return their paths.

    Parameters
    ----------
    kind : {'method', 'metric', 'dataset'}
        What it is.
    name : str
        What protocols will call it.
    folder : Path
        Where it goes.

    Raises
    ------
    PluginError
        If the name is not one that Python and protocols take, or a file exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise PluginError(
            f"{name!r} cannot be a {kind}'s name; use lower-case letters, digits and _, a letter first"
        )
    paths = folder / f"{name}.py", folder / f"test_{name}.py"
    for path in paths:
        if path.exists():
            raise PluginError(f"{path}: exists already; choose another name or folder")
    words = name.split("_")
    names = {
        "name": name,
        "cls": "".join(word.capitalize() for word in words),
        "heading": "".join(word[0].upper() for word in words),
        "title": " ".join(words),
    }
    for path, text in zip(paths, TEMPLATES[kind], strict=True):
        write_text(path, text.format(**names))
    return paths
