"""What a run would cost and could find, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mmbench.analysis.facts import FEW_CASES
from mmbench.analysis.primary import PRIMARY_SHARE
from mmbench.data.subsets import labeled_rows
from mmbench.errors import UserError
from mmbench.planning.cost import run_cost
from mmbench.planning.noise import ASSUMED, measured_noise
from mmbench.planning.plan import Plan
from mmbench.planning.tuning import Search, searches, with_tuned
from mmbench.planning.work import Request, take_stock
from mmbench.protocol.metrics import MAIN_METRIC, METRICS
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.vocabulary import Task
from mmbench.stats.power import Design, minimum_detectable_difference, seeds_needed
from mmbench.store.store import ResultStore
from mmbench.text import plural

FEW_LABELS, FEW_TRAININGS, MOST_SEEDS = 5, 5, 100
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
    patients : float
        Their effective number, of the rarer class where there are classes.
    alone, corrected : float
        The difference over all budgets if two methods are all that is compared, and at Holm's first step
        over the primary comparisons; infinite where no difference that the metric can show is found.
    seeds : int or None
        How many would find a difference of two margins, corrected; None if 100 do not.
    basis : str
        Where the noise is known from.
    """

    metric: str
    domain: str
    scope: str
    cases: int
    patients: float
    alone: float
    corrected: float
    seeds: int | None
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
        Trainings per row at each budget, and primary comparisons corrected together.
    seconds_per_seed : float
        Expected time that one more seed takes; NaN where it is not known.
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
    seconds_per_seed: float
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
    wanted = searches(plan)
    trials = [search.trials(store) for search in wanted]
    plan = with_tuned(plan, [search.tuned(own) for search, own in zip(wanted, trials, strict=True)])
    work = take_stock(plan, store, Request())
    lacking = work.missing.values()
    rate, timed_by = _seconds_per_cost(plan, store)
    seconds = rate * sum(work.costs[run.id] for run in plan.runs if work.missing[run.id]) / workers
    per_seed = rate * sum(_whole_cost(plan, run) for run in plan.runs) / workers / protocol.most_seeds
    open_trials = [search.missing(own) for search, own in zip(wanted, trials, strict=True)]
    costs = (count * _trial_cost(plan, search.run) for search, count in zip(wanted, open_trials, strict=True))
    seconds += rate * sum(costs) / workers
    if not any(work.missing.values()) and not any(open_trials):
        seconds, timed_by = 0.0, "everything is recorded"
    trainings = protocol.trainings
    family = family_size(plan)
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
        seconds_per_seed=per_seed,
        detectable=_detectable(plan, store, family),
        leaks={
            kind: sum(overlap["counts"][kind] for overlap in overlaps if overlap["apart"])
            for kind in ("patient", "identical", "near")
        },
        pairs_searched=len(overlaps),
        warnings=_warnings(plan, trainings),
        notes=[*plan.notes, *_tuning_notes(wanted, sum(open_trials))],
    )


def _trial_cost(plan: Plan, run: RunSpec) -> float:
    """Return the cost of a trial of tuning that is not pruned."""
    return run_cost(
        run, plan.methods[run.label], validated={task: plan.validated(task) for task in run.budgets}
    )


def _tuning_notes(wanted: Sequence[Search], missing: int) -> list[str]:
    if not wanted:
        return []
    return [
        f"tuning comes first: {wanted[0].tune.trials} trials for each of {len(wanted)} rows and pairs of "
        f"label budgets, of which {missing} are missing"
    ]


def family_size(plan: Plan) -> int:
    """Return the number of primary comparisons: rows other than the reference, primary metrics, domains."""
    protocol = plan.protocol
    metrics = [METRICS[name].task for name in protocol.statistics.primary]
    count = 0
    for task in protocol.tasks:
        rows = {run.label for run in plan.runs if task in run.budgets and not plan.methods[run.label].trivial}
        if protocol.reference_label in rows:
            count += (len(rows) - 1) * metrics.count(task) * len(plan.domains[task])
    return count


def _seconds_per_cost(plan: Plan, store: ResultStore) -> tuple[float, str]:
    """Return seconds per unit of the cost model, by runs of this protocol first, else any like them."""
    rates = [rate for run in plan.runs if (rate := _rate(plan, store, run)) is not None]
    source = f"{plural(len(rates), 'recorded run')} of this protocol"
    if not rates:
        rates = list(_sibling_rates(plan, store.root.parent))
        source = f"{plural(len(rates), 'recorded run')} of other protocols, scaled by the cost model"
    if not rates:
        return math.nan, "no recorded run tells how fast this machine is; run quickstart first"
    return float(np.median(rates)), source


def _whole_cost(plan: Plan, run: RunSpec) -> float:
    """Return the cost of a run with its predictions, whether or not they are there."""
    validated = {task: plan.validated(task) for task in run.budgets}
    predicted = {task: sum(plan.cases[task].values()) for task in run.budgets}
    return run_cost(run, plan.methods[run.label], validated=validated, predicted=predicted)


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
    protocol, statistics = plan.protocol, plan.protocol.statistics
    measured = measured_noise(plan, store)
    found = []
    for task in protocol.tasks:
        metric = MAIN_METRIC[task]
        budgets = sum(pair.of(task) is not None for pair in protocol.budgets.combinations())
        for domain in plan.domains[task]:
            recorded = measured.get((metric, domain.domain))
            noise = recorded or ASSUMED[metric]
            patients = plan.patients[task][domain.domain]
            alone = Design(protocol.subsets or 1, protocol.most_seeds, patients, 1, statistics.alpha, budgets)
            corrected = replace(alone, family=max(family, 1), alpha=PRIMARY_SHARE * statistics.alpha)
            small = 2 * statistics.equivalence
            found.append(
                Detectable(
                    metric=metric,
                    domain=domain.domain,
                    scope="in-domain" if domain.in_domain else "cross-domain",
                    cases=plan.cases[task][domain.domain],
                    patients=patients,
                    alone=minimum_detectable_difference(alone, noise, largest=1.0),
                    corrected=minimum_detectable_difference(corrected, noise, largest=1.0),
                    seeds=seeds_needed(small, corrected, noise, most=MOST_SEEDS),
                    basis="noise of the recorded runs" if recorded else "assumed noise",
                )
            )
    return found


def _warnings(plan: Plan, trainings: int) -> list[str]:
    found = []
    if trainings == 1:
        found.append(
            "1 training per row and budget: no verdict can be given, since nothing is known of another seed; "
            f"{FEW_TRAININGS} seeds are a start"
        )
    elif trainings < FEW_TRAININGS:
        found.append(
            f"{trainings} trainings per row and budget: intervals are wide, and only large differences are "
            f"found; {FEW_TRAININGS} seeds are a start"
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
            for label, name in enumerate(source.classes):
                count = int((labels == label).sum())
                fewest[name] = min(fewest.get(name, count), count)
        for name, count in fewest.items():
            if count < FEW_LABELS:
                yield (
                    f"classification budget {budget} leaves {count} labelled cases of {name}: under "
                    f"{FEW_LABELS}"
                )
