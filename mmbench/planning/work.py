"""What is to be done for a plan: the runs that are selected, and what is missing of each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mmbench.errors import UserError
from mmbench.planning.cost import run_cost
from mmbench.planning.only import select
from mmbench.planning.plan import Plan
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.vocabulary import Task
from mmbench.provenance import engine_digest
from mmbench.store.environment import capture
from mmbench.store.missing import Missing, missing
from mmbench.store.mixtures import Making, making
from mmbench.store.records import Failure, LayerName
from mmbench.store.store import ResultStore
from mmbench.text import plural

NAMED = 5
"""Runs that a note names before it only counts."""


@dataclass(frozen=True)
class Request:
    """Which runs of a plan are wanted now, and what of them.

    Attributes
    ----------
    only : str or None
        A filter, see :func:`mmbench.planning.only.select`.
    force : {'run', 'predictions', 'scores'} or None
        A layer to make again, with what is made from it.
    retry_failed : bool
        Repeat runs that failed earlier, and only those.
    ids : frozenset of str or None
        The runs that may be selected; None for all.
    """

    only: str | None = None
    force: LayerName | None = None
    retry_failed: bool = False
    ids: frozenset[str] | None = None


@dataclass(frozen=True)
class Work:
    """What is to be done.

    Attributes
    ----------
    chosen : tuple of RunSpec
        The selected runs.
    pending : tuple of RunSpec
        Those with something to do, longest first.
    missing : mapping from str to Missing
        What, by the run's id.
    costs : mapping from str to float
        Relative cost of what is missing, by the run's id.
    finished : tuple of RunSpec
        Those with nothing to do.
    skipped : tuple of RunSpec
        Those with something to do that are left alone: failed earlier, or not among the failed.
    failures : mapping from str to Failure
        Failures that stand, by the run's id.
    """

    chosen: tuple[RunSpec, ...]
    pending: tuple[RunSpec, ...]
    missing: Mapping[str, Missing]
    costs: Mapping[str, float]
    finished: tuple[RunSpec, ...]
    skipped: tuple[RunSpec, ...]
    failures: Mapping[str, Failure]

    @property
    def doing(self) -> dict[str, Missing]:
        """What is about to be made, by the run's id."""
        return {run.id: self.missing[run.id] for run in self.pending}

    def count(self, layer: LayerName) -> int:
        """Return how many records of a layer the pending runs lack."""
        lacking = [self.missing[run.id] for run in self.pending]
        if layer == "run":
            return sum(one.train for one in lacking)
        return sum(len(one.predict if layer == "predictions" else one.score) for one in lacking)


def take_stock(plan: Plan, store: ResultStore, request: Request) -> Work:
    """Compare a plan with what its results folder holds.

    Raises
    ------
    UserError
        If the request contradicts itself, or selects nothing.
    StoreError
        If a record is damaged, or the folder is of an earlier format.
    """
    if request.force and request.retry_failed:
        raise UserError("force and retry_failed contradict each other; give one of them")
    store.refuse_old_format()
    chosen = [run for run in select(plan.runs, request.only) if request.ids is None or run.id in request.ids]
    failures = store.failed()
    lacking = {run.id: missing(store, run, plan.scores(run), request.force) for run in chosen}
    open_runs = [run for run in chosen if lacking[run.id] or run.id in failures]
    wanted = [run for run in open_runs if request.force or (run.id in failures) == request.retry_failed]
    costs = work_costs(plan, lacking)
    # Runs that take over the weights of others come after these.
    ids = {run.id for run in wanted}
    pending = sorted(wanted, key=lambda run: (run.shared_id in ids, -costs[run.id]))
    return Work(
        chosen=tuple(chosen),
        pending=tuple(pending),
        missing=lacking,
        costs=costs,
        finished=tuple(run for run in chosen if run not in open_runs),
        skipped=tuple(run for run in open_runs if run.id not in ids),
        failures=failures,
    )


def work_costs(plan: Plan, lacking: Mapping[str, Missing]) -> dict[str, float]:
    """Return the estimated relative cost of what is missing, by run id."""
    trained = {run.id for run in plan.runs}
    return {
        run.id: run_cost(
            run,
            plan.methods[run.label],
            train=lacking[run.id].train and run.shared_id not in trained,
            predicted=_cases(plan, lacking[run.id]),
            validated={task: plan.validated(task) for task in run.budgets},
        )
        for run in plan.runs
        if run.id in lacking
    }


def _cases(plan: Plan, lacking: Missing) -> dict[Task, int]:
    counts: dict[Task, int] = {}
    for spec in lacking.predict:
        counts[spec.task] = counts.get(spec.task, 0) + plan.cases[spec.task][spec.domain.domain]
    return counts


def notes_on(plan: Plan, store: ResultStore, work: Work) -> list[str]:
    """Return what a reader should know of the finished records: made otherwise, or kept otherwise."""
    return [*_trained_again(work), *_changed(plan, store, work), *_not_kept(plan, store, work)]


def _trained_again(work: Work) -> list[str]:
    again = [run.describe() for run in work.pending if work.missing[run.id].again]
    if not again:
        return []
    more = f" and {len(again) - NAMED} more" if len(again) > NAMED else ""
    return [
        f"{plural(len(again), 'run')} must be trained again, because weights were not kept and new "
        f"predictions need them (keep: {{weights: false}}): {'; '.join(again[:NAMED])}{more}"
    ]


def _changed(plan: Plan, store: ResultStore, work: Work) -> list[str]:
    """Say which finished records were made by another version of a source."""
    rows: dict[str, int] = {}
    engines: dict[LayerName, int] = {}
    for one in recorded_makings(plan, store, work.finished):
        if one.layer == "run" and one.method_source != plan.methods[one.row].source_digest:
            rows[one.row] = rows.get(one.row, 0) + 1
        if one.engine != engine_digest(one.layer):
            engines[one.layer] = engines.get(one.layer, 0) + 1
    return [
        f"{row}: {plural(count, 'finished run')} made with another version of the method's source; "
        "--force run trains again"
        for row, count in rows.items()
    ] + [
        f"{plural(count, 'finished record')} ({layer}) made with another version of mmbench's own source; "
        f"--force {layer} makes them again"
        for layer, count in engines.items()
    ]


def _not_kept(plan: Plan, store: ResultStore, work: Work) -> list[str]:
    """Say what the protocol asks to keep and finished records do not hold."""
    keep, weights, probabilities = plan.protocol.keep, 0, 0
    for run in work.finished:
        weights += keep.weights and run.trial is None and not store.runs.content(run.id)["kept"]
        for spec in plan.scores(run):
            if keep.probability_bits and spec.predictions.task is Task.SEGMENTATION:
                bits = store.predictions.content(spec.predictions.id)["probability_bits"]
                probabilities += bits < keep.probability_bits
    found = []
    if weights:
        found.append(f"{plural(weights, 'finished run')} without weights; --force run trains again")
    if probabilities:
        found.append(
            f"{plural(probabilities, 'finished prediction')} without probabilities of "
            f"{keep.probability_bits} bits; --force predictions makes them again"
        )
    return found


def recorded_makings(
    plan: Plan, store: ResultStore, runs: Collection[RunSpec], but: Mapping[str, Missing] | None = None
) -> Iterator[Making]:
    """Yield how the records of some runs were made, leaving out those that are about to be made.

    Parameters
    ----------
    plan : Plan
        What is asked for.
    store : ResultStore
        What is there.
    runs : collection of RunSpec
        Which runs.
    but : mapping from str to Missing, optional
        What is about to be made, by the run's id, and so does not count.
    """
    for run in runs:
        lacking = (but or {}).get(run.id, Missing())
        if store.runs.has(run.id) and not lacking.train:
            yield making("run", run.label, store.runs.content(run.id))
        for spec in plan.scores(run):
            if store.predictions.has(spec.predictions.id) and spec.predictions not in lacking.predict:
                yield making("predictions", run.label, store.predictions.content(spec.predictions.id))
            if store.scores.has(spec.id) and spec not in lacking.score:
                yield making("scores", run.label, store.scores.content(spec.id))


def planned_makings(plan: Plan, work: Work, device: str) -> Iterator[Making]:
    """Yield how what is missing is going to be made."""
    if not work.pending:
        return  # describing the environment asks git
    packages = capture().packages
    kind = device.partition(":")[0]
    for run in work.pending:
        lacking, summary = work.missing[run.id], plan.methods[run.label]
        layers: Sequence[tuple[LayerName, bool]] = (
            ("run", lacking.train),
            ("predictions", bool(lacking.predict)),
            ("scores", bool(lacking.score)),
        )
        for layer, needed in layers:
            if needed:
                yield Making(
                    layer=layer,
                    row=run.label,
                    engine=engine_digest(layer),
                    method_source=summary.source_digest,
                    distribution=summary.distribution,
                    packages=packages,
                    device=kind,
                )
