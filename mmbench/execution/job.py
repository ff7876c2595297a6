"""What a worker does with a run: train it, predict every domain, score the predictions; what is missing.

Each layer is written before the next one begins, so that a worker that is killed loses at most the layer
that it was making. What turns out to be damaged is set aside and made again from the layer before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from mmbench.errors import StoreError
from mmbench.execution.executor import Outcome, RunTask
from mmbench.execution.memory import reset_peak
from mmbench.execution.predicting import Predictor
from mmbench.execution.scoring import write_scores
from mmbench.execution.training import RunTrainer
from mmbench.methods.base import Method
from mmbench.protocol.metrics import MAIN_METRIC, METRICS
from mmbench.protocol.specs import PredictionsSpec, ScoresSpec
from mmbench.store.layer import Layer
from mmbench.store.missing import missing
from mmbench.store.store import ResultStore
from mmbench.store.upkeep import quarantine

OnProgress = Callable[[int, int, str], None]


def execute(task: RunTask, on_progress: OnProgress) -> Outcome:
    """Make what is missing of one run.

    Parameters
    ----------
    task : RunTask
        The run and where everything is.
    on_progress : callable
        Told (steps done, steps, phase).
    """
    torch.set_num_threads(task.threads)
    reset_peak(task.device)
    return _Job(task, on_progress).complete()


class _Job:
    """One run in the making; its lease is held."""

    def __init__(self, task: RunTask, on_progress: OnProgress):
        self.task = task
        self.store = ResultStore(task.results)
        self.on_progress = on_progress
        self.trainer = RunTrainer(task, self.store, on_progress)
        self.predictor = Predictor(task, self.store)
        self.method: Method | None = None
        self.trained = False
        self.predicted = self.scored = 0

    def complete(self) -> Outcome:
        """Make what is missing, layer by layer."""
        task, force = self.task, self.task.force
        if missing(self.store, task.run, task.scores, force).train:
            self._train()
        # A forced training makes its predictions again even if its weights came out the same.
        todo = missing(self.store, task.run, task.scores, "predictions" if force == "run" else force)
        self._predict(todo.predict)
        todo = missing(self.store, task.run, task.scores, "scores" if force is not None else None)
        self._score(todo.score)
        self.trainer.checkpoint.remove()
        self.store.clear_failure(task.id)
        return Outcome(self.trained, self.predicted, self.scored, self._headline())

    def _train(self) -> None:
        self.method = self.trainer.train()
        self.trained = not self.trainer.taken_over

    def _predict(self, specs: tuple[PredictionsSpec, ...]) -> None:
        for number, spec in enumerate(specs):
            self.on_progress(number, len(specs), "predict")
            begin = time.perf_counter()
            self.predictor.write(self._restored(), spec, begin)
            self.predicted += 1

    def _restored(self) -> Method:
        """Return the trained method; its weights are read, or made again where they are damaged."""
        if self.method is None:
            try:
                self.method = self.trainer.restore()
            except StoreError as error:
                self._set_aside(self.store.runs, self.task.id, error)
                self._train()
        assert self.method is not None
        return self.method

    def _score(self, specs: tuple[ScoresSpec, ...]) -> None:
        for number, spec in enumerate(specs):
            self.on_progress(number, len(specs), "score")
            try:
                write_scores(self.store, spec)
            except StoreError:
                self._predict_damaged(spec.predictions)
                write_scores(self.store, spec)
            self.scored += 1

    def _predict_damaged(self, spec: PredictionsSpec) -> None:
        """Set aside what is damaged of predictions and their ground truth, and make it again."""
        for layer, id in ((self.store.ground_truth, spec.ground_truth), (self.store.predictions, spec.id)):
            try:
                layer.verify(id)
            except StoreError as error:
                self._set_aside(layer, id, error)
        self._predict((spec,))

    def _set_aside(self, layer: Layer[Any], id: str, error: StoreError) -> None:
        if layer.has(id):
            print(f"{error}; set aside as {quarantine(self.store, layer.folder(id))}", file=sys.stderr)

    def _headline(self) -> dict[str, float]:
        """Return the main metric of each task in-domain."""
        headline = {}
        for spec in self.task.scores:
            metric = MAIN_METRIC[spec.predictions.task]
            value = self.store.scores.content(spec.id)["metrics"].get(metric)
            if spec.predictions.domain.in_domain and value is not None:
                headline[METRICS[metric].heading] = value
        return headline
