"""The phantom's domains as cache entries."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from mmbench.data import phantom
from mmbench.data.assembly import PartRules, assemble
from mmbench.data.cache import EntryWriter, entry_folder, store_entry
from mmbench.data.dataset import Dataset, image_fingerprints
from mmbench.data.decoding import DIGEST_VERSION, case_digest
from mmbench.data.fingerprints import duplicate_groups
from mmbench.data.phantom import FINDINGS, STRUCTURES
from mmbench.data.relabelling import is_usual
from mmbench.errors import DataError
from mmbench.files import digest_file, digest_json
from mmbench.protocol.schema import DatasetChoice
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Task

PREFIX = "phantom:"


def load_phantom(
    choice: DatasetChoice,
    *,
    image_size: int,
    seed: int,
    classes: tuple[str, ...] = CLASS_NAMES,
    structures: tuple[str, ...] = STRUCTURE_NAMES,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Return a phantom domain, generated on first use.

    A domain offers the labels or the masks of the data set whose role it plays, not both. Its findings are
    normal and pneumonia, or, where the protocol asks for other classes, normal, lobar and interstitial.

    Raises
    ------
    DataError
        If the domain or a dial is unknown or out of bounds.
    """
    domain = choice.dataset.removeprefix(PREFIX)
    settings = phantom.domain_settings(domain)
    dials = phantom.resolve_dials(domain, settings.dials, choice.dials)
    cases = choice.cases or settings.cases
    key = {
        "generator": [phantom.GENERATOR_VERSION, _generator_source()],
        "fingerprints": DIGEST_VERSION,
        "tasks": [task.value for task in settings.tasks],
        "dials": dials.model_dump(mode="json"),
        "cases": cases,
        "image_size": image_size,
    }
    kinds = not is_usual(choice, classes)
    if kinds:
        key["findings"] = list(FINDINGS)
    if structures != STRUCTURE_NAMES:
        key["structures"] = list(structures)
    if unknown := set(structures) - set(STRUCTURES):
        raise DataError(
            f"{choice.dataset}: has no masks of {sorted(unknown)[0]!r}, only of {', '.join(STRUCTURES)}"
        )

    def make(folder: Path) -> None:
        started = time.perf_counter()
        data = phantom.generate(
            domain, choice.dials, cases=cases, image_size=image_size, on_progress=progress
        )
        findings = data.findings if kinds else [CLASS_NAMES[label] for label in data.labels]
        masks = np.stack([data.structures[name] for name in structures], 1)
        _write(folder, data, settings.tasks, findings, masks, started)

    entry = store_entry(entry_folder(choice.dataset, key), make)
    parts = settings.parts
    rules = PartRules((parts.train, parts.validation, parts.test))
    # Another population is another set of patients under the same numbers.
    namespace = f"{PREFIX}{dials.population}"
    return assemble(
        entry, choice, seed=seed, rules=rules, namespace=namespace, subset=False,
        classes=classes, structures=structures,
    )  # fmt: skip


@cache
def _generator_source() -> str:
    """Return a digest of the generator's files, so that a change of it never meets images of before."""
    folder = Path(phantom.__file__).parent
    return digest_json({path.name: digest_file(path) for path in sorted(folder.glob("*.py"))})


def _write(
    folder: Path,
    data: phantom.PhantomData,
    tasks: tuple[Task, ...],
    findings: list[str],
    masks: np.ndarray,
    started: float,
) -> None:
    import pandas as pd

    cases, size = data.images.shape[:2]
    labelled, masked = Task.CLASSIFICATION in tasks, Task.SEGMENTATION in tasks
    writer = EntryWriter(folder, cases, size, masks=masks.shape[1] if masked else 0)
    writer.images[:] = data.images
    if writer.masks is not None:
        writer.masks[:] = masks
    prints = image_fingerprints(data.images)
    labels = [int(label) for label in data.labels]
    table = pd.DataFrame(
        {
            "case_id": data.case_ids,
            "patient_id": data.patient_ids,
            "official_part": "",
            "label": pd.array(labels if labelled else [None] * cases, dtype="Int8"),
            "has_mask": masked,
            "finding": findings,
            "group": duplicate_groups(data.patient_ids, prints),
            "digest": [
                case_digest(
                    data.case_ids[row], data.patient_ids[row], labels[row] if labelled else None,
                    prints.pixels[row], masks[row] if masked else None,
                )
                for row in range(cases)
            ],
        }
    )  # fmt: skip
    writer.close(table, prints, notes=[], skipped=[], seconds=time.perf_counter() - started)
