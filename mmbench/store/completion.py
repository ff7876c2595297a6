"""How far a protocol is: which of its runs, predictions and scores a results folder holds.

Folders are listed and no record is opened, so that thousands of runs take less than a second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mmbench.protocol.runs import RunSpec
from mmbench.store.looks import Looks, read_looks
from mmbench.store.records import Failure, StoredPlan
from mmbench.store.store import ResultStore

State = Literal["done", "failed", "missing"]
STATES: tuple[State, ...] = ("done", "failed", "missing")


@dataclass(frozen=True)
class RunCompletion:
    """How far one run is.

    Attributes
    ----------
    run : RunSpec
        The run.
    state : {'done', 'failed', 'missing'}
        Failed if its last attempt ended with an error; done if nothing of it is missing.
    trained : bool
        Whether the training run is there.
    predictions, scores : (int, int)
        How many are there, and how many the protocol asks for.
    failure : Failure or None
        The error.
    """

    run: RunSpec
    state: State
    trained: bool
    predictions: tuple[int, int]
    scores: tuple[int, int]
    failure: Failure | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the progress as JSON values."""
        run = self.run
        found: dict[str, Any] = {
            "id": run.id,
            "row": run.label,
            "method": run.method,
            "budgets": {task.value: budget for task, budget in run.budgets.items()},
            "subset": run.subset,
            "seed": run.seed,
            "description": run.describe(),
            "state": self.state,
            "trained": self.trained,
            "predictions": {"done": self.predictions[0], "asked": self.predictions[1]},
            "scores": {"done": self.scores[0], "asked": self.scores[1]},
        }
        if self.failure is not None:
            failure = self.failure
            found |= {"layer": failure.layer, "error": failure.error, "traceback": failure.traceback}
        return found


@dataclass(frozen=True)
class Completion:
    """How far a protocol is.

    Attributes
    ----------
    protocol : str
        Its name.
    results : Path
        The results folder.
    runs : list of RunCompletion
        In the plan's order.
    weights_bytes : int
        Size of all stored weights.
    not_in_protocol : int
        Trained runs that the protocol does not ask for (any more).
    looks : Looks or None
        Of a group-sequential run.
    open_runs : int
        Runs that its next look needs beside what is trained.
    open_seconds : float or None
        What they would take one worker, by each row's first stored run; None where a row has none.
    """

    protocol: str
    results: Path
    runs: list[RunCompletion] = field(default_factory=list)
    weights_bytes: int = 0
    not_in_protocol: int = 0
    looks: Looks | None = None
    open_runs: int = 0
    open_seconds: float | None = None

    def as_json(self, *, runs: bool = True) -> dict[str, Any]:
        """Return the progress as JSON values, with or without the single runs."""
        return {
            "protocol": self.protocol,
            "results": str(self.results),
            **counts(self.runs),
            "layers": layer_counts(self.runs),
            "weights_bytes": self.weights_bytes,
            "not_in_protocol": self.not_in_protocol,
            **self._looks_as_json(),
            **({"runs": [one.as_json() for one in self.runs]} if runs else {"run_count": len(self.runs)}),
        }

    def _looks_as_json(self) -> dict[str, Any]:
        if self.looks is None:
            return {}
        found = {"open_runs": self.open_runs, "open_seconds": self.open_seconds}
        return {"looks": self.looks.model_dump(mode="json"), **found}


def counts(runs: Sequence[RunCompletion]) -> dict[str, int]:
    """Return how many runs are in each state."""
    return {state: sum(one.state == state for one in runs) for state in STATES}


def layer_counts(runs: Sequence[RunCompletion]) -> dict[str, dict[str, int]]:
    """Return how many records of each layer are there and how many are missing."""
    trained = sum(one.trained for one in runs)
    found = {"run": {"done": trained, "missing": len(runs) - trained}}
    for layer in ("predictions", "scores"):
        pairs: list[tuple[int, int]] = [getattr(one, layer) for one in runs]
        done = sum(pair[0] for pair in pairs)
        found[layer] = {"done": done, "missing": sum(pair[1] for pair in pairs) - done}
    return found


def completion(folder: Path) -> Completion:
    """Return how far the protocol of a results folder is.

    Raises
    ------
    StoreError
        If the folder holds no plan, or a failure's file is damaged.
    """
    store = ResultStore(folder)
    plan, failures = store.load_plan(), store.failed()
    trained, predictions, scores = (
        set(layer.ids()) for layer in (store.runs, store.predictions, store.scores)
    )
    runs = []
    for run in plan.runs:
        specs = plan.scores(run)
        predicted = sum(spec.predictions.id in predictions for spec in specs), len(specs)
        scored = sum(spec.id in scores for spec in specs), len(specs)
        complete = run.id in trained and predicted[0] == scored[0] == len(specs)
        failure = failures.get(run.id)
        state: State = "failed" if failure else "done" if complete else "missing"
        runs.append(RunCompletion(run, state, run.id in trained, predicted, scored, failure))
    looks = read_looks(store)
    return Completion(
        looks=looks,
        **(_cost_of_next_look(store, plan, looks) if looks is not None else {}),
        protocol=plan.protocol.name,
        results=folder,
        runs=runs,
        weights_bytes=stored_bytes(store),
        not_in_protocol=len(trained - {run.id for run in plan.runs} - plan.trials),
    )


def _cost_of_next_look(store: ResultStore, plan: StoredPlan, looks: Looks) -> dict[str, Any]:
    """Return how many runs the next look of a group-sequential run needs, and what they would take."""
    following = looks.next_seeds
    if following is None:
        return {}
    rows = {run.label for run in plan.runs} - set(plan.trivial)
    reference = plan.protocol.reference_label
    wanted, known = dict[str, int](), dict[str, float]()
    for row in rows:
        own = [run for run in plan.runs if run.label == row]
        budgets = len({tuple(sorted(run.budgets.items())) for run in own})
        seeds = following if row == reference else looks.seeds_of(row)
        trained = [run for run in own if store.runs.has(run.id)]
        wanted[row] = max(0, seeds * budgets - len(trained))
        if trained:
            known[row] = float(sum(store.runs.content(trained[0].id)["seconds"].values()))
    timed = all(row in known for row, count in wanted.items() if count)
    seconds = sum(count * known.get(row, 0.0) for row, count in wanted.items())
    return {"open_runs": sum(wanted.values()), "open_seconds": seconds if timed else None}


def stored_bytes(store: ResultStore) -> int:
    """Return the size of all stored weights and method states, in bytes."""
    total = 0
    for id in store.runs.ids():
        with os.scandir(store.runs.folder(id)) as files:
            total += sum(file.stat().st_size for file in files if file.name.endswith(".safetensors"))
    return total
