"""What a run would cost and could find, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmbench.analysis.facts import FEW_CASES
from mmbench.data.subsets import labeled_rows
from mmbench.errors import UserError
from mmbench.planning.cost import run_cost
from mmbench.planning.noise import ASSUMED, measured_noise
from mmbench.planning.plan import Plan
from mmbench.planning.work import Request, Work, take_stock
from mmbench.protocol.metrics import MAIN_METRIC
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.vocabulary import Task
from mmbench.stats.power import (
    Design,
    minimum_detectable_difference,
    pairs_needed,
    smallest_p,
)
from mmbench.store.store import ResultStore
from mmbench.text import plural

FEW_LABELS, FEW_TRAININGS = 5, 6
MOST_SIBLINGS = 50
"""Runs read of each sibling folder: enough for a median."""


@dataclass(frozen=True)
class Detectable:
    """The smallest true difference that one domain would show with 80 % power.

    Attributes
    ----------
    metric, domain, scope : str
        What is compared where.
    cases : int
        In the test part.
    alone, corrected : float
        The difference if two methods are all that is compared, and at Holm's first step over the whole
        family; infinite where no difference that the metric can show is found.
    basis : str
        Where the noise is known from.
    """

    metric: str
    domain: str
    scope: str
    cases: int
    alone: float
    corrected: float
    basis: str


@dataclass(frozen=True)
class Outlook:
    """What a protocol comes to.

    Attributes
    ----------
    protocol : str
        Its name.
    runs, recorded : int
        Runs planned, and of these already trained.
    predictions, scores : int
        Predictions and scores to make.
    weights_bytes : float
        Size of all weights that are going to be stored; 0 if they are not kept, NaN if it cannot be told.
    workers : int
        Runs side by side.
    seconds : float
        Expected time for what is missing; NaN where no recorded run tells how fast this machine is.
    timed_by : str
        What the time rests on.
    trainings, family : int
        Trainings per row, and tests corrected together.
    smallest_p, smallest_p_holm : float
        What the exact signed-rank test over trainings can reach, and after Holm's first step.
    trainings_needed : int
        How many trainings that test needs.
    detectable : list of Detectable
        Per domain.
    leaks : dict of str to int
        Cases shared between parts that must be apart, by kind.
    pairs_searched : int
        Pairs of parts.
    warnings, notes : list of str
        What should be improved, and what should be known.
    """

    protocol: str
    runs: int
    recorded: int
    predictions: int
    scores: int
    weights_bytes: float
    workers: int
    seconds: float
    timed_by: str
    trainings: int
    family: int
    smallest_p: float
    smallest_p_holm: float
    trainings_needed: int
    detectable: list[Detectable]
    leaks: dict[str, int]
    pairs_searched: int
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def outlook(plan: Plan, results: Path, workers: int) -> Outlook:
    """Work out what a plan would cost and could find.

    Parameters
    ----------
    plan : Plan
        From :func:`mmbench.planning.plan.make_plan`.
    results : Path
        The results folder; its records, and those of its sibling folders, tell how long runs take.
    workers : int
        Runs side by side.
    """
    protocol = plan.protocol
    store = ResultStore(results)
    work = take_stock(plan, store, Request())
    lacking = work.missing.values()
    seconds, timed_by = _expected_seconds(plan, store, work, workers)
    trainings = protocol.trainings
    family = family_size(plan)
    alpha = 1 - protocol.statistics.confidence
    overlaps = plan.leaks.to_json()["overlaps"]
    return Outlook(
        protocol=protocol.name,
        runs=len(plan.runs),
        recorded=sum(not one.train for one in lacking),
        predictions=sum(len(one.predict) for one in lacking),
        scores=sum(len(one.score) for one in lacking),
        weights_bytes=weights_bytes(plan),
        workers=workers,
        seconds=seconds,
        timed_by=timed_by,
        trainings=trainings,
        family=family,
        smallest_p=smallest_p(trainings),
        smallest_p_holm=min(1.0, family * smallest_p(trainings)),
        trainings_needed=pairs_needed(family, alpha),
        detectable=_detectable(plan, store, family),
        leaks={
            kind: sum(overlap["counts"][kind] for overlap in overlaps if overlap["apart"])
            for kind in ("patient", "identical", "near")
        },
        pairs_searched=len(overlaps),
        warnings=_warnings(plan, trainings, family),
        notes=list(plan.notes),
    )


def family_size(plan: Plan) -> int:
    """Return the largest number of comparisons with the reference that are corrected together."""
    protocol = plan.protocol
    reference = protocol.reference_label
    largest = 0
    for task in protocol.tasks:
        own = {
            (run.label, tuple(sorted((t.value, str(b)) for t, b in run.budgets.items())))
            for run in plan.runs
            if task in run.budgets and not plan.methods[run.label].trivial
        }
        if not any(label == reference for label, _ in own):
            continue
        others = [budgets for label, budgets in own if label != reference]
        if protocol.statistics.family == "budget":
            by_budget: dict[Any, int] = {}
            for budgets in others:
                key = dict(budgets)[task.value]
                by_budget[key] = by_budget.get(key, 0) + 1
            largest = max(largest, max(by_budget.values(), default=0))
        else:
            largest = max(largest, len(others))
    return largest


def _expected_seconds(plan: Plan, store: ResultStore, work: Work, workers: int) -> tuple[float, str]:
    """Scale the cost model by recorded runs: those of this protocol first, else any like them."""
    missing = [run for run in plan.runs if work.missing[run.id]]
    if not missing:
        return 0.0, "everything is recorded"
    rates = [rate for run in plan.runs if (rate := _rate(plan, store, run)) is not None]
    source = f"{plural(len(rates), 'recorded run')} of this protocol"
    if not rates:
        rates = list(_sibling_rates(plan, store.root.parent))
        source = f"{plural(len(rates), 'recorded run')} of other protocols, scaled by the cost model"
    if not rates:
        return math.nan, "no recorded run tells how fast this machine is; run quickstart first"
    return sum(work.costs[run.id] for run in missing) * float(np.median(rates)) / workers, source


def _rate(plan: Plan, store: ResultStore, run: RunSpec) -> float | None:
    """Return seconds of training per unit of cost; None for a trivial baseline or without a record."""
    method = plan.methods.get(run.label)
    if method is None or method.trivial or not store.runs.has(run.id):
        return None
    seconds = store.runs.content(run.id)["seconds"]
    validated = {task: plan.validated(task) for task in run.budgets if task in plan.parts}
    return float(sum(seconds.values())) / run_cost(run, method, validated=validated)


def _sibling_rates(plan: Plan, results: Path) -> Iterator[float]:
    """Give seconds per unit of cost of recorded runs of the same rows in sibling folders."""
    for path in sorted(results.glob("*/plan.json")):
        store = ResultStore(path.parent)
        try:
            runs = store.load_plan().runs[:MOST_SIBLINGS]
            yield from (rate for run in runs if (rate := _rate(plan, store, run)) is not None)
        except UserError:
            continue


def weights_bytes(plan: Plan) -> float:
    """Return the size of the weights of all planned runs; 0 if they are not kept.

    Each method is built once, on no device, so that it costs neither memory nor time. NaN where a method
    cannot be built so.
    """
    if not plan.protocol.keep.weights:
        return 0.0
    import torch

    from mmbench.methods.persistence import method_bytes
    from mmbench.plugins.discovery import cached_registry
    from mmbench.training.build import build_method

    registry, sizes = cached_registry(plan.plugins), dict[str, float]()
    for run in plan.runs:
        if run.label in sizes or plan.methods[run.label].trivial:
            continue
        try:
            with torch.device("meta"):
                cls = registry.get(run.method).cls
                sizes[run.label] = method_bytes(
                    build_method(cls, run, torch.device("meta"), initialised=False)
                )
        except Exception:  # a stranger's build may not bear it: the size is then unknown, nothing else
            return math.nan
    return sum(sizes.get(run.label, 0.0) for run in plan.runs)


def _detectable(plan: Plan, store: ResultStore, family: int) -> list[Detectable]:
    protocol = plan.protocol
    measured = measured_noise(plan, store)
    alpha = 1 - protocol.statistics.confidence
    found = []
    for task in protocol.tasks:
        for domain in plan.domains[task]:
            cases = plan.cases[task][domain.domain]
            metric = MAIN_METRIC[task]
            noise = measured.get((metric, domain.domain))
            basis = "noise of the recorded runs" if noise else "assumed noise"
            alone, corrected = (
                minimum_detectable_difference(
                    Design(protocol.subsets or 1, protocol.seeds, cases, count, alpha),
                    noise or ASSUMED[metric],
                    largest=1.0,
                )
                for count in (1, max(family, 1))
            )
            scope = "in-domain" if domain.in_domain else "cross-domain"
            found.append(Detectable(metric, domain.domain, scope, cases, alone, corrected, basis))
    return found


def _warnings(plan: Plan, trainings: int, family: int) -> list[str]:
    protocol = plan.protocol
    alpha = 1 - protocol.statistics.confidence
    found = []
    if trainings < FEW_TRAININGS:
        found.append(
            f"{plural(trainings, 'training')} per row (seeds x subsets): the exact "
            f"signed-rank test cannot reach p < {alpha:.2g}; {FEW_TRAININGS} are the fewest that can, "
            f"{pairs_needed(family, alpha)} with Holm over {family} comparisons"
        )
    for task, counts in plan.cases.items():
        found += [
            f"{domain} has {cases} test cases ({task.value}): under {FEW_CASES}, so wide intervals"
            for domain, cases in counts.items()
            if cases < FEW_CASES
        ]
    found += _few_labels(plan)
    return found


def _few_labels(plan: Plan) -> Iterable[str]:
    source = plan.sources.get(Task.CLASSIFICATION)
    if source is None:
        return
    protocol = plan.protocol
    for budget in protocol.budgets.of(Task.CLASSIFICATION):
        fewest: dict[str, int] = {}
        for subset in protocol.subset_numbers:
            rows = labeled_rows(source, Task.CLASSIFICATION, budget, seed=protocol.seed, subset=subset)
            labels = source.cases["label"].iloc[rows].to_numpy(dtype=int)
            for name, label in (("normal", 0), ("pneumonia", 1)):
                count = int((labels == label).sum())
                fewest[name] = min(fewest.get(name, count), count)
        for name, count in fewest.items():
            if count < FEW_LABELS:
                yield (
                    f"classification budget {budget} leaves {count} labelled cases of {name}: under "
                    f"{FEW_LABELS}"
                )
