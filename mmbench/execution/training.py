"""The first layer in a worker: a method is trained, or read back from its stored weights."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from mmbench.data.subsets import validation_rows
from mmbench.errors import StoreError
from mmbench.evaluation.validation import ValidationPart, main_scores, primary_scores
from mmbench.execution.executor import RunTask
from mmbench.execution.memory import peak_mb
from mmbench.execution.sources import domain_dataset, source_dataset
from mmbench.files import DamagedFileError, digest_json
from mmbench.methods.base import Method
from mmbench.methods.persistence import load_method, module_digests, save_method, weights_digest
from mmbench.plugins.discovery import cached_registry
from mmbench.plugins.extensions import source_of
from mmbench.protocol.vocabulary import Task
from mmbench.provenance import engine_digest
from mmbench.store.environment import capture
from mmbench.store.layer import fix_hint, write_parquet
from mmbench.store.records import RunRecord
from mmbench.store.store import LOSSES, SELECTION, VALIDATION, ResultStore
from mmbench.store.upkeep import quarantine
from mmbench.training.build import build_method
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.loop import History, train
from mmbench.training.monitoring import Monitor, idle_losses, last_gain, loss_change
from mmbench.training.selection import BestWeights, LastWeights, SelectionRule
from mmbench.training.streams import StreamLoader, labeled_data, task_data

OnProgress = Callable[[int, int, str], None]


class RunTrainer:
    """Trains one run and stores it.

    Parameters
    ----------
    task : RunTask
        The run.
    store : ResultStore
        Where its record goes.
    on_progress : callable
        Told (steps done, steps, phase).

    Attributes
    ----------
    taken_over : bool
        Whether the weights were another run's, so that nothing was trained.
    """

    def __init__(self, task: RunTask, store: ResultStore, on_progress: OnProgress):
        self.task = task
        self.store = store
        self.on_progress = on_progress
        self.taken_over = False
        self.device = torch.device(task.device)
        self.registered = cached_registry(task.plugins).get(task.run.method)
        self.source = source_of(self.registered.source_digest, task.run.backbone.name)
        self.checkpoint = _StoredCheckpoint(task, store, self.source)

    def train(self) -> Method:
        """Train the run, write its record, and return the method with its selected weights."""
        run = self.task.run
        if (method := self._taken_over()) is not None:
            return method
        begin = time.perf_counter()
        self.on_progress(0, run.training.steps, "load")
        sources = {kind: source_dataset(self.task, kind) for kind in run.budgets}
        data = {
            kind: task_data(
                dataset,
                kind,
                run.budgets[kind],
                seed=run.protocol_seed,
                subset=run.subset,
                device=self.device,
                targets=[domain_dataset(self.task, kind, one) for one in run.target_images.get(kind, ())],
            )
            for kind, dataset in sources.items()
        }
        method = self._build()
        method.start(labeled_data(data, method.streams))
        begun = module_digests(method)
        loaded = time.perf_counter()
        history, rule, monitor = History(), self._selection_rule(), self._monitor()
        if not method.trivial:
            loader = StreamLoader(
                data,
                method.streams,
                run.training,
                seed=run.root_seed,
                views=method.views,
                device=self.device,
            )
            history = self._resuming(
                partial(
                    train,
                    method,
                    loader,
                    run.training,
                    rule,
                    device=self.device,
                    monitor=monitor,
                    on_step=self._report_step,
                )
            )
        trained = time.perf_counter()
        if run.trial is not None:
            monitor.finish(method)
        # The training's own clock also counts what was trained before an interruption.
        seconds = {
            "load": loaded - begin,
            "train": history.seconds if history.resumed_at else trained - loaded,
        }
        ended = module_digests(method)
        unmoved = [] if method.trivial else [name for name in begun if begun[name] == ended.get(name)]
        self._write(method, history, rule, monitor, seconds, unmoved)
        return method

    def restore(self) -> Method:
        """Return the method with its stored weights and state.

        Raises
        ------
        StoreError
            If they are not there or do not match their checksums.
        """
        runs, id = self.store.runs, self.task.id
        runs.verify(id)
        method = self._build(initialised=False)
        try:
            load_method(method, runs.folder(id), self.device)
        except DamagedFileError as error:
            raise StoreError(f"{error}; {fix_hint(self.store.root)}") from error
        return method

    def _taken_over(self) -> Method | None:
        """Return the method with the weights of the run that is trained as this one, and write its record.

        None where that run is not there, damaged or without weights, or where training is asked for.
        """
        run, runs, shared = self.task.run, self.store.runs, self.task.run.shared_id
        if shared is None or self.task.force == "run" or not runs.has(shared):
            return None
        try:
            runs.verify(shared)
            base = runs.read(shared)
            if not base.kept and run.trial is None:
                return None
            method = self._build(initialised=False)
            if run.trial is None:  # of a trial the scores alone are wanted
                load_method(method, runs.folder(shared), self.device)
        except (StoreError, DamagedFileError):
            return None
        record = base.model_copy(
            update={
                "id": run.id,
                "run": run,
                "taken_from": shared,
                "product": weights_digest(method) if run.trial is None else base.product,
                "kept": self.task.protocol.keep.weights and run.trial is None,
                "method_source": self.source,
                "distribution": self.registered.distribution,
            }
        )

        def files(folder: Path) -> None:
            for name in (LOSSES, VALIDATION, SELECTION):
                if (path := runs.folder(shared) / name).exists():
                    shutil.copyfile(path, folder / name)
            if record.kept:
                save_method(method, folder)

        runs.write(record, files, replace=True)
        self.taken_over = True
        return method

    def _build(self, *, initialised: bool = True) -> Method:
        return build_method(self.registered.cls, self.task.run, self.device, initialised=initialised)

    def _selection_rule(self) -> SelectionRule:
        run, rule = self.task.run, self.task.run.selection.rule
        if rule == "last":
            return LastWeights()
        if rule == "source_val":
            parts = self._validation_parts()
        else:
            parts = [
                ValidationPart(domain_dataset(self.task, kind, domain), domain.part, kind)
                for kind, domains in run.selected_on.items()
                for domain in domains
            ]
        scorer = partial(main_scores, parts=parts, device=self.device, precision=run.training.precision)
        return BestWeights(scorer, run.selection.every)

    def _monitor(self) -> Monitor:
        """Return what validates on the way; where a source has no validation part, its task is left out."""
        training, trial = self.task.run.training, self.task.run.trial
        parts = [part for part in self._validation_parts() if len(part.rows)]
        scorer = partial(primary_scores, parts=parts, device=self.device, precision=training.precision)
        count = training.validations if parts else 0
        if trial is not None:
            return Monitor(scorer, training.steps, count, training.stop, trial.ended)
        return Monitor(scorer, training.steps, count, training.stop)

    def _validation_parts(self) -> list[ValidationPart]:
        return [self._validation_part(kind) for kind in self.task.run.budgets]

    def _validation_part(self, kind: Task) -> ValidationPart:
        run, dataset = self.task.run, source_dataset(self.task, kind)
        if run.trial is None:
            return ValidationPart(dataset, "validation", kind)
        count = run.trial.validation[kind]
        chosen = validation_rows(dataset, kind, count, seed=run.protocol_seed, subset=run.subset)
        return ValidationPart(dataset, "validation", kind, chosen)

    def _resuming(self, go: Callable[..., History]) -> History:
        """Train from the checkpoint; from the first step where it is damaged."""
        try:
            return go(checkpoint=self.checkpoint)
        except DamagedFileError as error:
            aside = quarantine(self.store, self.checkpoint.path)
            print(f"{error}; set aside as {aside}", file=sys.stderr)
            return go(checkpoint=self.checkpoint)

    def _report_step(self, step: int, steps: int) -> None:
        self.on_progress(step, steps, "train")

    def _write(
        self,
        method: Method,
        history: History,
        rule: SelectionRule,
        monitor: Monitor,
        seconds: dict[str, float],
        unmoved: list[str],
    ) -> None:
        run, keep = self.task.run, self.task.protocol.keep.weights and self.task.run.trial is None
        last = history.losses[-1] if history.losses else {}
        scores = monitor.scores
        halved = 0 < history.micro_batch < run.training.batch_size
        record = RunRecord(
            id=run.id,
            run=run,
            product=weights_digest(method),
            kept=keep,
            parameters=sum(p.numel() for module in method.modules().values() for p in module.parameters()),
            seconds=seconds,
            peak_memory_mb=peak_mb(self.task.device),
            selected_step=None if method.trivial else history.selected_step,
            resumed_at=history.resumed_at,
            micro_batch=history.micro_batch if halved else None,
            validation={name: value for name, value in scores[-1].items() if name != "step"}
            if scores
            else {},
            last_gain=last_gain(scores) if scores else {},
            loss_change=loss_change(history.losses),
            idle_losses=idle_losses(history.losses, method.log()),
            unmoved=unmoved,
            last_losses={name: value for name, value in last.items() if name != "step"},
            method_source=self.source,
            distribution=self.registered.distribution,
            engine=engine_digest("run"),
            environment=capture(self.task.device),
        )

        def files(folder: Path) -> None:
            write_parquet(pd.DataFrame(history.losses), folder / LOSSES)
            for name, rows in ((VALIDATION, scores), (SELECTION, rule.scores)):
                if rows:
                    write_parquet(pd.DataFrame(rows), folder / name)
            if keep:
                save_method(method, folder)

        self.store.runs.write(record, files, replace=True)
        if keep:  # otherwise the predictions may need the checkpoint once more
            self.checkpoint.remove()


class _StoredCheckpoint(Checkpoint):
    """A checkpoint in a results folder; it belongs to one run, one state of the code, one device."""

    def __init__(self, task: RunTask, store: ResultStore, method_source: str):
        environment = capture(task.device)
        origin = {
            "run": task.id,
            "method": method_source,
            "engine": engine_digest("run"),
            "packages": environment.packages,
            "python": environment.python,
            "device": [task.device.partition(":")[0], environment.device_name],
            "threads": task.threads,
        }
        super().__init__(store.checkpoint(task.id), digest_json(origin), task.checkpoint_every)
        self._store = store
        if task.force == "run":
            self.remove()

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; a full disk ends the command, not the run."""
        with self._store.writing():
            super().save(state)
