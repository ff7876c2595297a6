"""Results folders of made-up scores, for tests of reports and for their benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Task
from mmbench.store.environment import Environment
from mmbench.store.store import ResultStore
from tests.store.made_records import put_run, put_scores, specs_of

DOMAINS = {
    Task.CLASSIFICATION: ("paediatric_ap", "hospital"),
    Task.SEGMENTATION: ("adult_pa", "county"),
}
OVERLAPS = ("dice", "jaccard", "precision", "recall", "nsd", "ssim")
DISTANCES = ("hausdorff", "hd95", "assd")
HOSTILE = {
    "second": "<script>alert('row')</script>",
    "third": "a_b & 100% $x^2$ {y} #1 ~ \\end{tabular}",
    "fourth": "two\nlines | and [a](http://x) *bold* `code`",
    "fifth": '"quoted", ; =cmd() \u202e\u2028é',
}
"""Names of rows that no page or table may trust."""
ENVIRONMENT = Environment.model_validate(
    {
        "python": "3.11.7",
        "platform": "Linux",
        "cpu": "made up",
        "device": "cpu",
        "device_name": "made up",
        "packages": {"mmbench": "0.1.0"},
    }
)

SECONDS = {"load": 0.1, "train": 0.8}
CREATED = "2026-01-01T00:00:00+00:00"
MADE = {"environment": ENVIRONMENT, "created": CREATED, "seconds": 0.025}


def protocol_text(
    rows: Sequence[str],
    budgets: Sequence[str],
    seeds: int,
    subsets: int,
    name: str = "made_up",
    more: str = "",
) -> str:
    pairs = ", ".join(f"{{classification: {b}, segmentation: {b}}}" for b in budgets)
    methods = ", ".join(f'{{method: multimix, name: "{row}"}}' for row in rows)
    return f"""
name: {name}
sources: {{classification: "phantom:paediatric_ap", segmentation: "phantom:adult_pa"}}
targets: {{classification: ["phantom:hospital"], segmentation: ["phantom:county"]}}
budgets: {{pairs: [{pairs}]}}
seeds: {seeds}
subsets: {subsets}
methods: [{methods}]
trivial_baselines: []
{more}
"""


def write_results(
    root: Path,
    rows: Mapping[str, float] | Sequence[str],
    *,
    budgets: Sequence[str] = ("10", "full"),
    seeds: int = 3,
    subsets: int = 1,
    cases: int = 40,
    shown: Mapping[str, str] | None = None,
    case_name: str = "case {:03d}",
    data_digest: str = "d" * 64,
    split_digest: str = "s" * 64,
    stream: int = 0,
    more: str = "",
    masks=None,
    bits: int = 16,
) -> ResultStore:
    """Write records of made-up scores.

    Parameters
    ----------
    root : Path
        The results folder.
    rows : mapping of str to float, or sequence of str
        Rows, and how much better each is than the first, in standard deviations of a case.
    shown : mapping of str to str
        Names that take the place of rows in runs and plan, such as no protocol file could hold.
    stream : int
        Of the random scores.
    more : str
        Further lines of the protocol.
    masks : callable
        Given (row, seed, place of the domain), returns pixel probabilities (N, S, S) and the true masks.
    bits : int
        Of a stored pixel probability; 0 stores only the masks.
    """
    strengths = dict(rows) if isinstance(rows, Mapping) else dict.fromkeys(rows, 0.0)
    protocol = parse_protocol(protocol_text(list(strengths), budgets, seeds, subsets, root.name, more))
    names = [case_name.format(number) for number in range(cases)]
    truth = np.random.default_rng(0).random(cases) < 0.4
    store, runs = ResultStore(root), []
    domains = _domains(data_digest, split_digest)
    for number, (row, strength) in enumerate(strengths.items()):
        for budget in budgets:
            for subset in range(subsets):
                for seed in range(seeds):
                    label = (shown or {}).get(row, row)
                    run = _run(protocol, label, number, budget, subset, seed, domains)
                    runs.append(run)
                    rng = np.random.default_rng([stream, number, subset, seed, budget == "full"])
                    put_run(store, run, 1000, seconds=SECONDS, environment=ENVIRONMENT, created=CREATED)
                    for spec in specs_of(run, domains):
                        task, place = spec.predictions.task, int(not spec.predictions.domain.in_domain)
                        frame = _cases(task, names, truth, strength + 0.1 * rng.normal(), rng)
                        pixels = masks(row, seed, place) if masks and task is Task.SEGMENTATION else None
                        found = dict(zip(("masks", "truth"), pixels or (), strict=False))
                        put_scores(store, spec, frame, _metrics(frame), made=MADE, bits=bits, **found)
    report = {
        "trivial_baselines": [],
        "notes": [],
        "parts": {task.value: {"train": 160, "validation": 0, "test": cases} for task in Task},
    }
    store.save_plan(protocol, runs, domains, report)
    return store


def _domains(data_digest, split_digest) -> dict[Task, list[DomainDigest]]:
    # Each domain has data of its own: what is predicted is known by the data, not by the domain's name.
    return {
        task: [
            DomainDigest(
                domain=name, data=f"{data_digest[:-1]}{place}", split=split_digest, in_domain=place == 0
            )
            for place, name in enumerate(names)
        ]
        for task, names in DOMAINS.items()
    }


def _run(protocol, label, number, budget, subset, seed, domains) -> RunSpec:
    return RunSpec(
        label=label,
        method="multimix",
        hyperparameters={"number": number},
        budgets=dict.fromkeys(Task, budget if budget == "full" else int(budget)),
        paired_budgets=dict.fromkeys(Task, budget if budget == "full" else int(budget)),
        subset=subset,
        seed=seed,
        protocol_seed=protocol.seed,
        backbone=protocol.backbone,
        image_size=protocol.image_size,
        training=protocol.training,
        selection=protocol.selection,
        sources={task: own[0] for task, own in domains.items()},
    )


def _cases(task, names, truth, strength, rng) -> pd.DataFrame:
    frame = pd.DataFrame({"case_id": names, "patient_id": names})
    count = len(names)
    if task is Task.CLASSIFICATION:
        probability = 1 / (1 + np.exp(-((2.0 + strength) * truth - 1 + rng.normal(0, 1.2, count))))
        predicted = (probability >= 0.5).astype(int)
        return frame.assign(
            label=truth.astype(int), probability=probability, predicted=predicted, correct=predicted == truth
        )
    # The cases' own difficulty is the same for every training.
    hard = np.random.default_rng(1).normal(0, 0.05, count)
    dice = np.clip(0.85 + 0.04 * strength + hard + rng.normal(0, 0.03, count), 0, 1)
    scores = dict.fromkeys(OVERLAPS, dice) | dict.fromkeys(DISTANCES, 20 * (1 - dice))
    return frame.assign(**scores, empty_prediction=False, empty_truth=False)


def _metrics(cases) -> dict[str, float]:
    if "correct" in cases:
        return {"accuracy": float(cases["correct"].mean())}
    return {name: float(cases[name].mean()) for name in (*OVERLAPS, *DISTANCES)}
