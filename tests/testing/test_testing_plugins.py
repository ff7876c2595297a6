"""The checks of metrics, datasets and backbones find planted faults."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import cohen_kappa_score
from torch import nn

from mmbench.data.readers import DatasetInfo, Listing, RawCase, Reader
from mmbench.methods import CLASSIFICATION, SEGMENTATION
from mmbench.networks import Body
from mmbench.networks import build as networks
from mmbench.plugins.extensions import Extension
from mmbench.protocol.metrics import Metric
from mmbench.testing.backbones import backbone_faults
from mmbench.testing.datasets import dataset_faults
from mmbench.testing.metrics import metric_faults


def metric(function, task=SEGMENTATION, **others):
    known = {"lowest": 0.0, "highest": 1.0, "better": "higher", "definition": "d", **others}
    return Extension("metric", "own", function, Metric("own", "O", "own", task, unit="", source="", **known))


def dice(prediction, truth, policy):
    total = prediction.sum() + truth.sum()
    return 2 * (prediction & truth).sum() / total if total else 1.0


def hit(probabilities, labels, policy):
    return (probabilities.argmax(1) == labels).astype(float)


def agreement(probabilities, labels, policy):
    """Weighted kappa, which no case has by itself."""
    return cohen_kappa_score(labels, probabilities.argmax(1), weights="quadratic")


def test_good_metrics_have_no_fault():
    assert list(metric_faults(metric(dice))) == []
    assert list(metric_faults(metric(hit, CLASSIFICATION, per_case=True))) == []
    assert list(metric_faults(metric(agreement, CLASSIFICATION, lowest=-1.0))) == []


def moving(prediction, truth, policy, calls=[]):  # noqa: B006
    calls.append(1)
    return dice(prediction, truth, policy) / len(calls)


def writing(prediction, truth, policy):
    prediction[0] = True
    return dice(prediction, truth, policy)


def by_place(probabilities, labels, policy):
    return hit(probabilities, labels, policy) / (1 + np.arange(len(labels)))


def erasing(probabilities, labels, policy):
    probabilities[:] = 0
    return hit(probabilities, labels, policy)


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (metric(lambda p, t, policy: 2 * dice(p, t, policy)), "of equal masks it is 2, outside 0 to 1"),
        (metric(lambda p, t, policy: p * 1.0), r"returns an array of shape \(24, 24\), not a number"),
        (metric(moving), "returns another number when it is called again"),
        (metric(writing), "changes the masks"),
        (metric(dice, better="lower"), "lower is declared to be better, but"),
        (metric(dice, definition=""), "heading, title and definition must say"),
        (metric(dice, lowest=1.0), "its range is empty"),
        (metric(lambda p, y, policy: 0.5, CLASSIFICATION, per_case=True), "not a number for each case"),
        (metric(hit, CLASSIFICATION), r"of shape \(40,\), not one number"),
        (metric(lambda p, y, policy: p[0, 0], CLASSIFICATION), "a value depends on the cases' order"),
        (metric(by_place, CLASSIFICATION, per_case=True), "a value depends on the cases' order"),
        (metric(erasing, CLASSIFICATION, per_case=True), "changes the probabilities"),
        (
            metric(lambda p, y, policy: hit(p, y, policy) * 3, CLASSIFICATION, per_case=True),
            "it is 3, outside 0 to 1",
        ),
    ],
)
def test_a_bad_metric_is_told_what_it_does(found, fault):
    with np.errstate(all="ignore"):
        faults = list(metric_faults(found))
    assert any(re.search(fault, line) for line in faults), faults


class Tiny(Reader):
    info = DatasetInfo(
        name="tiny",
        title="t",
        tasks=(CLASSIFICATION, SEGMENTATION),
        layout="l",
        where="w",
        terms="t",
        citation="c",
        findings=("normal",),
        structures=("lungs",),
    )
    folders = ("tiny",)

    def matches(self, folder):
        return (folder / "a.png").exists()

    def scan(self, root):
        return Listing(root, [self.case(path) for path in sorted(root.glob("*.png"))])

    def case(self, path, **others):
        known = {"case_id": path.stem, "patient_id": path.stem, "image": path, "finding": "normal"}
        return RawCase(**{**known, **others})


@pytest.fixture
def root(tmp_path):
    for name in ("a", "b"):
        Image.new("L", (4, 4), 9).save(tmp_path / f"{name}.png")
    return tmp_path


def reader(**members):
    return Extension("dataset", "tiny", type("Bad", (Tiny,), members))


def case_with(**others):
    return lambda self, path: Tiny.case(self, path, **{k: f(path) for k, f in others.items()})


def info(**others):
    return DatasetInfo(**{**vars(Tiny.info), **others})


def test_a_good_dataset_has_no_fault(root):
    assert list(dataset_faults(Extension("dataset", "tiny", Tiny), root)) == []


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (reader(info=info(terms="")), "info.terms says nothing"),
        (reader(info=info(structures=())), "info.structures must say"),
        (reader(info=info(findings=())), "info.findings must say"),
        (reader(folders=("Tiny",)), "folders must name, in lower case"),
        (reader(matches=lambda self, folder: True), "it finds its layout in an empty folder"),
        (reader(scan=lambda self, root: Listing(root, [])), "it finds no case"),
        (
            reader(case=case_with(case_id=lambda path: "same")),
            "1 of the case ids occur more than once, such as 'same'",
        ),
        (reader(case=case_with(image=lambda path: path / "gone")), "is no file"),
        (reader(case=case_with(masks=lambda path: {"heart": (path,)})), "has a mask of heart"),
        (reader(case=case_with(finding=lambda path: "flu")), "its finding 'flu' is not among"),
        (reader(case=case_with(case_id=str)), "the id says where the files lie"),
        (
            reader(scan=lambda self, root: Listing(root, Tiny.scan(self, root).cases[::-1])),
            "not in the order of their ids",
        ),
    ],
)
def test_a_bad_dataset_is_told_what_it_does(root, found, fault):
    faults = list(dataset_faults(found, root))
    assert any(fault in line for line in faults), faults


def test_a_dataset_that_is_not_there_says_where_it_was_looked_for(tmp_path):
    (fault,) = dataset_faults(Extension("dataset", "tiny", Tiny), tmp_path)
    assert fault == f"its files are not under {tmp_path}: neither there nor in tiny"


class Flat(Body):
    bridge = 0

    def __init__(self, backbone, classify, segment, num_classes, num_structures, bridge_channels, image_size):
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        if classify:
            self.class_head = nn.Linear(4, num_classes)
        if segment:
            self.mask_head = nn.Conv2d(4 + bridge_channels, num_structures, 1)

    def encode(self, images):
        return [self.stem(images)]

    def classify(self, features):
        return self.class_head(features[0].mean((2, 3)))

    def decode(self, features, bridge):
        both = (
            features
            if bridge is None
            else [*features, nn.functional.interpolate(bridge, features[0].shape[-2:])]
        )
        return self.mask_head(torch.cat(both, 1))


class Small(Flat):
    def decode(self, features, bridge):
        return super().decode(features, bridge)[..., ::2, ::2]


class TwoClasses(Flat):
    def __init__(self, backbone, classify, segment, num_classes, *others):
        super().__init__(backbone, classify, segment, 2, *others)


class Idle(Flat):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.unused = nn.Linear(2, 2)


class Drawn(Flat):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        with torch.no_grad():
            self.stem.bias.copy_(torch.from_numpy(np.random.default_rng().random(4)))


class Widened(Flat):
    def __init__(self, backbone, classify, segment, *others):
        super().__init__(backbone, classify, segment, *others)
        if segment:
            with torch.no_grad():
                self.stem.weight.mul_(2)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (Flat, None),
        (Small, "segment returns shape (3, 1, 32, 32), not (3, 1, 64, 64)"),
        (TwoClasses, "classify returns shape (3, 2), not (3, 3)"),
        (Idle, "neither head uses the weight body.unused.weight"),
        (Drawn, "body.stem.bias starts otherwise when it is built again"),
        (Widened, "body.stem.weight starts otherwise where only the classifier is built"),
    ],
)
def test_backbones_are_told_what_they_do(monkeypatch, body, fault):
    monkeypatch.setitem(networks.BUILDERS, "own", body)
    faults = list(backbone_faults(Extension("backbone", "own", body)))
    assert faults == [] if fault is None else any(fault in line for line in faults), faults
