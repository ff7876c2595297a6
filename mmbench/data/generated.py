"""The phantom's domains as cache entries."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from mmbench.data import phantom
from mmbench.data.assembly import PartRules, assemble
from mmbench.data.cache import EntryWriter, entry_folder, store_entry
from mmbench.data.dataset import Dataset, image_fingerprints
from mmbench.data.fingerprints import duplicate_groups
from mmbench.data.ingest import DECODER_VERSION, case_digest
from mmbench.files import digest_file, digest_json
from mmbench.protocol.schema import DatasetChoice
from mmbench.protocol.vocabulary import Task

PREFIX = "phantom:"
_FINDINGS = ("normal", "pneumonia")


def load_phantom(
    choice: DatasetChoice, *, image_size: int, seed: int, progress: Callable[[int, int], None] | None = None
) -> Dataset:
    """Return a phantom domain, generated on first use.

    A domain offers the labels or the masks of the data set whose role it plays, not both.

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
        "fingerprints": DECODER_VERSION,
        "tasks": [task.value for task in settings.tasks],
        "dials": dials.model_dump(mode="json"),
        "cases": cases,
        "image_size": image_size,
    }

    def make(folder: Path) -> None:
        started = time.perf_counter()
        data = phantom.generate(
            domain, choice.dials, cases=cases, image_size=image_size, on_progress=progress
        )
        _write(folder, data, settings.tasks, started)

    entry = store_entry(entry_folder(choice.dataset, key), make)
    parts = settings.parts
    rules = PartRules((parts.train, parts.validation, parts.test))
    # Another population is another set of patients under the same numbers.
    namespace = f"{PREFIX}{dials.population}"
    return assemble(entry, choice, seed=seed, rules=rules, namespace=namespace, subset=False)


@cache
def _generator_source() -> str:
    """Return a digest of the generator's files, so that a change of it never meets images of before."""
    folder = Path(phantom.__file__).parent
    return digest_json({path.name: digest_file(path) for path in sorted(folder.glob("*.py"))})


def _write(folder: Path, data: phantom.PhantomData, tasks: tuple[Task, ...], started: float) -> None:
    import pandas as pd

    cases, size = data.images.shape[:2]
    labelled, masked = Task.CLASSIFICATION in tasks, Task.SEGMENTATION in tasks
    writer = EntryWriter(folder, cases, size, masks=masked)
    writer.images[:] = data.images
    if writer.masks is not None:
        writer.masks[:] = data.masks
    prints = image_fingerprints(data.images)
    labels = [int(label) for label in data.labels]
    table = pd.DataFrame(
        {
            "case_id": data.case_ids,
            "patient_id": data.patient_ids,
            "official_part": "",
            "label": pd.array(labels if labelled else [None] * cases, dtype="Int8"),
            "has_mask": masked,
            "finding": [_FINDINGS[label] for label in labels],
            "group": duplicate_groups(data.patient_ids, prints),
            "digest": [
                case_digest(
                    data.case_ids[row], data.patient_ids[row], labels[row] if labelled else None,
                    prints.pixels[row], data.masks[row] if masked else None,
                )
                for row in range(cases)
            ],
        }
    )  # fmt: skip
    writer.close(table, prints, notes=[], skipped=[], seconds=time.perf_counter() - started)
