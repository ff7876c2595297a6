"""Tuning: which values a row's trials have, and which were best.

Every row has the same number of trials at each pair of label budgets. They come in waves, so that what a wave
is asked to reach depends on whole earlier waves alone: the trials are the same whoever computes them, in
whatever order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.errors import ProtocolError, UserError
from mmbench.planning.plan import Plan
from mmbench.protocol.runs import RunSpec, TrainedAs
from mmbench.protocol.schema import MethodEntry
from mmbench.protocol.search import Space, contains
from mmbench.protocol.tuning import LEARNING_RATE, Trial, Tune
from mmbench.protocol.vocabulary import Budget, Task
from mmbench.randomness import derive_seed
from mmbench.store.store import VALIDATION, ResultStore
from mmbench.store.tuned import Tried, Tuned

if TYPE_CHECKING:
    import optuna

WAVE = 4
"""Trials of a row that are begun together; the first wave is never pruned."""

APART = 10**9
"""The number of the trials' labelled subset and seed."""

Budgets = tuple[tuple[Task, Budget], ...]


@dataclass(frozen=True)
class Search:
    """What is tuned of one row at one pair of label budgets.

    Attributes
    ----------
    row : str
        Its name.
    run : RunSpec
        The training with the defaults, on the labelled subset and the seed of the trials.
    space : mapping of str to Space
        What each hyper-parameter may be, the learning rate among them.
    validation : mapping of Task to int
        How many validation cases score a trial.
    tune : Tune
        What the protocol says.
    """

    row: str
    run: RunSpec
    space: Mapping[str, Space]
    validation: Mapping[Task, int]
    tune: Tune

    @property
    def budgets(self) -> Budgets:
        """Its label budgets."""
        return tuple(self.run.budgets.items())

    def trials(self, store: ResultStore) -> list[tuple[RunSpec, Tried]]:
        """Return the trials so far, and unless all are there the next wave of them, as ``missing``."""
        study, found = self._study(), list[tuple[RunSpec, Tried]]()
        while (count := min(WAVE, self.tune.trials - len(found))) and not self._over(found):
            floors = self._floors([tried for _, tried in found])
            asked = [study.ask(_distributions(self.space)) for _ in range(count)]
            wave = []
            for trial in asked:
                run = self._run(trial.number, trial.params, floors)
                wave.append((run, _tried(store, run, trial.number, trial.params)))
            found += wave
            if any(tried.state == "missing" for _, tried in wave):
                break
            for trial, (_, tried) in zip(asked, wave, strict=True):
                _tell(study, trial, tried)
        return found

    def missing(self, trials: Sequence[tuple[RunSpec, Tried]]) -> int:
        """Return how many trials are still to be made, as far as is known."""
        made = [one for one in trials if one[1].state != "missing"]
        return 0 if self._over(made) else self.tune.trials - len(made)

    def tuned(self, trials: Sequence[tuple[RunSpec, Tried]]) -> Tuned:
        """Return what was found; the earliest of the best, and the defaults where no trial has a score."""
        tried = [one for _, one in trials]
        complete = [one for one in tried if one.state == "complete" and one.score is not None]
        best = max(complete, key=lambda one: (one.score, -one.number), default=tried[0])
        return Tuned(
            row=self.row,
            budgets=dict(self.budgets),
            validation=dict(self.validation),
            sampler=self.tune.sampler,
            trials=tried,
            chosen=best.number,
        )

    def _study(self) -> optuna.Study:
        optuna = _optuna()
        # The seed is the same for all rows, so that rows with the same space try the same values.
        budgets = (f"{task.value}={budget}" for task, budget in self.budgets)
        seed = derive_seed(self.run.protocol_seed, "tuning", *budgets) % 2**32
        samplers = optuna.samplers
        sampler = samplers.TPESampler(seed=seed, constant_liar=True)
        if self.tune.sampler == "random":
            sampler = samplers.RandomSampler(seed=seed)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.enqueue_trial(_values(self.run, self.space))
        return study

    def _over(self, found: Sequence[tuple[RunSpec, Tried]]) -> bool:
        """Whether the trials have taken the time that they may take."""
        minutes = self.tune.minutes
        return minutes is not None and sum(tried.seconds for _, tried in found) >= 60 * minutes

    def _floors(self, tried: Sequence[Tried]) -> list[float | None]:
        """Return, by validation, the median of the whole trials so far; nothing before there are enough."""
        whole = [one.course for one in tried if one.state == "complete"]
        if self.tune.pruner == "none" or len(whole) < WAVE:
            return []
        # A training that stopped early has fewer scores than others.
        scores = np.full((len(whole), self.run.training.validations), np.nan)
        for place, course in enumerate(whole):
            scores[place, : len(course)] = [math.nan if score is None else score for score in course]
        known = np.isfinite(scores).any(axis=0)
        return [float(np.nanmedian(scores[:, k])) if known[k] else None for k in range(scores.shape[1] - 1)]

    def _run(self, number: int, values: Mapping[str, Any], floors: list[float | None]) -> RunSpec:
        trial = Trial(number=number, validation=dict(self.validation), floors=floors)
        return with_values(self.run, values, trial=trial)


def searches(plan: Plan) -> list[Search]:
    """Return what is to be tuned: every row that learns something, at every pair of its budgets.

    Raises
    ------
    ProtocolError
        If a source has no validation cases, or a default lies outside what its plugin declares.
    """
    protocol, tune = plan.protocol, plan.protocol.tune
    if tune is None:
        return []
    for task in protocol.tasks:
        if plan.parts[task]["validation"] == 0:
            raise ProtocolError(
                f"the {task.value} source has no validation cases to score trials on; give its split some",
                at=("tune",),
            )
    entries = {entry.label: entry for entry in protocol.methods}
    found: dict[tuple[str, Budgets], Search] = {}
    for run in plan.runs:
        key = run.label, tuple(run.budgets.items())
        if not run.tuned or key in found:
            continue
        space = _space(plan, entries[run.label], run, tune)
        found[key] = Search(
            row=run.label,
            run=_for_trials(run),
            space=space,
            validation={task: _validation(plan, task, budget, tune) for task, budget in run.budgets.items()},
            tune=tune,
        )
    for search in found.values():
        _check_defaults(search)
    return [search for search in found.values() if search.space]


def _check_defaults(search: Search) -> None:
    for name, value in _values(search.run, search.space).items():
        if not contains(search.space[name], value):
            raise ProtocolError(
                f"{search.row}: the default {value!r} of {name} lies outside what it may be tuned over; "
                "correct its plugin, or name a value under hyperparameters",
                at=("tune",),
            )


def with_tuned(plan: Plan, tuned: Sequence[Tuned]) -> Plan:
    """Return a plan whose runs have the values that were best for their row and label budgets."""
    chosen = {(one.row, tuple(one.budgets.items())): one.best.values for one in tuned}
    runs = [
        with_values(run, chosen[key], tuned=True)
        if (key := (run.label, tuple(run.budgets.items()))) in chosen
        else run
        for run in plan.runs
    ]
    return replace(plan, runs=runs, tuning=tuple(tuned))


def with_values(run: RunSpec, values: Mapping[str, Any], **more: Any) -> RunSpec:
    """Return a run with other values of hyper-parameters and of the learning rate, and other fields."""
    own = {name: value for name, value in values.items() if name != LEARNING_RATE}
    rate = values.get(LEARNING_RATE, run.training.optimizer.learning_rate)
    optimizer = run.training.optimizer.model_copy(update={"learning_rate": rate})
    shared = run.trained_as
    if shared is not None:
        known = {name: value for name, value in own.items() if name in shared.hyperparameters}
        shared = TrainedAs(method=shared.method, hyperparameters=shared.hyperparameters | known)
    # Built anew: a copy would keep the id.
    return RunSpec.model_validate(
        {
            **{name: getattr(run, name) for name in RunSpec.model_fields},
            "hyperparameters": run.hyperparameters | own,
            "training": run.training.model_copy(update={"optimizer": optimizer}),
            "trained_as": shared,
            **more,
        }
    )


def _for_trials(run: RunSpec) -> RunSpec:
    """Return a run on a labelled subset and a seed that no run has, however many seeds there will be."""
    return with_values(run, {}, subset=APART, seed=APART, tuned=False)


def _validation(plan: Plan, task: Task, budget: Budget, tune: Tune) -> int:
    count = plan.parts[task]["validation"]
    return count if budget == "full" or tune.validation == "all" else min(count, budget)


def _space(plan: Plan, entry: MethodEntry, run: RunSpec, tune: Tune) -> dict[str, Space]:
    declared = plan.methods[run.label].search
    space = {name: one for name, one in declared.items() if name not in entry.hyperparameters}
    rate = run.training.optimizer.learning_rate
    if tune.learning_rate > 1:
        low, high = rate / tune.learning_rate, rate * tune.learning_rate
        space[LEARNING_RATE] = {"low": low, "high": high, "log": True}
    return space


def _values(run: RunSpec, space: Mapping[str, Space]) -> dict[str, Any]:
    """Return the values that a run has of what is tuned."""
    known = run.hyperparameters | {LEARNING_RATE: run.training.optimizer.learning_rate}
    return {name: known[name] for name in space}


def _tried(store: ResultStore, run: RunSpec, number: int, values: Mapping[str, Any]) -> Tried:
    """Return what the results folder says of a trial."""
    known: dict[str, Any] = {"number": number, "run": run.id, "values": dict(values)}
    if not store.runs.has(run.id):
        failed = store.failure_version(run.id) is not None
        return Tried(**known, state="failed" if failed else "missing", score=None)
    content = store.runs.content(run.id)
    course = list(_course(store, run.id))
    assert run.trial is not None
    ended = len(course) < run.training.validations and run.trial.ended(course)
    return Tried(
        **known,
        state="pruned" if ended else "complete",
        score=_final(content["validation"]) if not ended else course[-1],
        course=course,
        seconds=float(content["seconds"].get("train", 0.0)),
    )


def _final(validation: Mapping[str, float | None]) -> float | None:
    """Return the mean over tasks of the evaluated weights' scores; None where one is undefined."""
    scores = list(validation.values())
    known = [score for score in scores if score is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(scores) else None


def _course(store: ResultStore, id: str) -> Iterator[float]:
    """Yield the mean over tasks of each validation's scores; NaN where one is undefined."""
    for row in store.runs.table(id, VALIDATION).to_pylist():
        scores = [math.nan if value is None else value for name, value in row.items() if name != "step"]
        yield math.fsum(scores) / len(scores)


def _distributions(space: Mapping[str, Space]) -> dict[str, Any]:
    distributions = _optuna().distributions
    return {
        name: distributions.CategoricalDistribution(one["values"])
        if "values" in one
        else distributions.FloatDistribution(one["low"], one["high"], log=one["log"])
        for name, one in space.items()
    }


def _tell(study: optuna.Study, trial: optuna.Trial, tried: Tried) -> None:
    states = _optuna().trial.TrialState
    if tried.state == "pruned":
        last = tried.course[-1]
        trial.report(math.nan if last is None else last, len(tried.course))
        study.tell(trial, state=states.PRUNED)
    elif tried.state == "failed" or tried.score is None:
        study.tell(trial, state=states.FAIL)
    else:
        study.tell(trial, tried.score)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError("tune: needs Optuna; install it with: pip install 'mmbench[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
