"""What a worker does with a run: load, build, train, evaluate, record."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from mmbench.data.dataset import Dataset
from mmbench.errors import DataError
from mmbench.evaluation.domains import DomainScores, EvaluatedPart, evaluate, main_scores
from mmbench.execution.executor import RunTask
from mmbench.execution.memory import peak_mb, reset_peak
from mmbench.files import DamagedFileError, digest_code, digest_json
from mmbench.methods.base import Method, Problem
from mmbench.networks.inputs import to_device
from mmbench.planning.plan import cached_dataset, cached_registry, source_choice, target_choices
from mmbench.protocol.runs import DomainDigest, RunSpec
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import derive_seed
from mmbench.store.environment import capture
from mmbench.store.record import DomainSummary, RunRecord
from mmbench.store.store import MASKS, TRUTH, ResultStore
from mmbench.store.upkeep import quarantine
from mmbench.training.checkpoint import Checkpoint
from mmbench.training.loop import History, train
from mmbench.training.selection import BestWeights, LastWeights, SelectionRule
from mmbench.training.streams import StreamLoader, TaskData, labeled_data, task_data

OnProgress = Callable[[int, int, str], None]


def execute(task: RunTask, on_progress: OnProgress) -> dict[str, float]:
    """Train and evaluate one run and write its record.

    Parameters
    ----------
    task : CellTask
        The run and where everything lies.
    on_progress : callable
        Told (steps done, steps, phase).

    Returns
    -------
    dict of str to float
        The headline for a status line: accuracy and Dice in-domain.
    """
    clock = [time.perf_counter()]
    torch.set_num_threads(task.threads)
    reset_peak(task.device)
    run, device = task.run, torch.device(task.device)
    on_progress(0, run.training.steps, "load")
    sources = {kind: _source(task, kind) for kind in run.budgets}
    targets = [where for kind in run.budgets for where in _targets(task, kind)]
    data = {
        kind: task_data(
            dataset, kind, run.budgets[kind], seed=run.protocol_seed, subset=run.subset, device=device
        )
        for kind, dataset in sources.items()
    }
    method = _build(task, data, device)

    clock.append(time.perf_counter())
    store = ResultStore(task.results)
    checkpoint = _StoredCheckpoint(task, store)
    history, rule = History(), _selection_rule(run, sources, targets, device)
    if not method.trivial:
        loader = StreamLoader(
            data,
            method.streams,
            run.training,
            protocol_seed=run.protocol_seed,
            seed=run.seed,
            device=device,
        )
        on_step = partial(_report_step, on_progress)
        go = partial(train, method, loader, run.training, rule, device=device, on_step=on_step)
        history = _resuming(go, checkpoint, store)

    clock.append(time.perf_counter())
    on_progress(run.training.steps, run.training.steps, "evaluate")
    precision = run.training.precision
    scores = [
        evaluate(method, where, run.evaluation, device=device, precision=precision) for where in targets
    ]

    clock.append(time.perf_counter())
    record = _record(task, method, history, targets, scores, np.diff(clock).tolist())
    store.write(
        record,
        pd.concat([found.cases for found in scores], ignore_index=True),
        pd.DataFrame(history.losses),
        pd.DataFrame(rule.scores) if rule.scores else None,
        partial(_write_extras, keep=task.protocol.keep, method=method, targets=targets, scores=scores),
        replace=task.force,
    )
    checkpoint.remove()
    return _headline(record)


class _StoredCheckpoint(Checkpoint):
    """A checkpoint in a results folder; it belongs to one run, one state of the code, one device."""

    def __init__(self, task: RunTask, store: ResultStore):
        environment = capture(task.device)
        origin = {
            "run": task.id,
            "method": cached_registry(task.plugins).get(task.run.method).source_digest,
            "code": digest_code(),
            "packages": environment.packages,
            "python": environment.python,
            "device": [task.device.partition(":")[0], environment.device_name],
            "threads": task.threads,
        }
        super().__init__(store.checkpoint(task.id), digest_json(origin), task.checkpoint_every)
        self._store = store
        if task.force:
            self.remove()

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state; a full disk ends the run, not the run."""
        with self._store.writing():
            super().save(state)


def _resuming(go: Callable[..., History], checkpoint: Checkpoint, store: ResultStore) -> History:
    """Train from the checkpoint; from the first step where it is damaged."""
    try:
        return go(checkpoint=checkpoint)
    except DamagedFileError as error:
        print(f"{error}; set aside as {quarantine(store, checkpoint.path)}", file=sys.stderr)
        return go(checkpoint=checkpoint)


def _source(task: RunTask, kind: Task) -> Dataset:
    dataset = cached_dataset(source_choice(task.protocol, kind), task.protocol, task.data_root)
    return _as_planned(dataset, task.run.sources[kind])


def _targets(task: RunTask, kind: Task) -> list[EvaluatedPart]:
    own = EvaluatedPart(_source(task, kind), "test", kind, in_domain=True)
    choices, planned = target_choices(task.protocol, kind), task.run.targets[kind][1:]
    return [own] + [
        EvaluatedPart(
            _as_planned(cached_dataset(choice, task.protocol, task.data_root), digest),
            choice.part,
            kind,
            in_domain=False,
        )
        for choice, digest in zip(choices, planned, strict=True)
    ]


def _as_planned(dataset: Dataset, planned: DomainDigest) -> Dataset:
    if (dataset.data_digest, dataset.split_digest) != (planned.data, planned.split):
        raise DataError(f"{dataset.name}: the data changed since the run was planned; run the command again")
    return dataset


def _build(task: RunTask, data: dict[Task, TaskData], device: torch.device) -> Method:
    run = task.run
    cls = cached_registry(task.plugins).get(run.method).cls
    method: Method = cls(cls.Hyperparameters.model_validate(run.hyperparameters))
    torch.manual_seed(derive_seed(run.protocol_seed, "initialisation", run.seed))
    method.build(
        Problem(
            tasks=frozenset(run.budgets),
            backbone=run.backbone,
            image_size=run.image_size,
            seed=derive_seed(run.protocol_seed, "prediction", run.seed),
        )
    )
    for module in method.modules().values():
        to_device(module, device)
    method.start(labeled_data(data))
    return method


def _selection_rule(
    run: RunSpec, sources: dict[Task, Dataset], targets: list[EvaluatedPart], device: torch.device
) -> SelectionRule:
    if run.selection.rule == "last":
        return LastWeights()
    parts = targets
    if run.selection.rule == "source_val":
        parts = [
            EvaluatedPart(dataset, "validation", kind, in_domain=True) for kind, dataset in sources.items()
        ]
    scorer = partial(
        main_scores, parts=parts, policy=run.evaluation, device=device, precision=run.training.precision
    )
    return BestWeights(scorer, run.selection.every)


def _report_step(on_progress: OnProgress, step: int, steps: int) -> None:
    on_progress(step, steps, "train")


def _record(
    task: RunTask,
    method: Method,
    history: History,
    targets: list[EvaluatedPart],
    scores: list[DomainScores],
    seconds: list[float],
) -> RunRecord:
    found = cached_registry(task.plugins).get(task.run.method)
    last = history.losses[-1] if history.losses else {}
    return RunRecord(
        id=task.run.id,
        run=task.run,
        summary=[
            DomainSummary(
                domain=where.dataset.domain,
                task=where.task,
                in_domain=where.in_domain,
                cases=len(found.cases),
                metrics=found.metrics,
            )
            for where, found in zip(targets, scores, strict=True)
        ],
        parameters=sum(p.numel() for module in method.modules().values() for p in module.parameters()),
        seconds=_seconds(seconds, history),
        peak_memory_mb=peak_mb(task.device),
        selected_step=None if method.trivial else history.selected_step,
        resumed_at=history.resumed_at,
        micro_batch=history.micro_batch if 0 < history.micro_batch < task.run.training.batch_size else None,
        last_losses={name: value for name, value in last.items() if name != "step"},
        method_source=found.source_digest,
        environment=capture(task.device),
    )


def _seconds(phases: list[float], history: History) -> dict[str, float]:
    load, train, evaluate = phases
    # The training's own clock also counts what was trained before an interruption.
    train = history.seconds if history.resumed_at else train
    return {"load": load, "train": train, "evaluate": evaluate, "total": load + train + evaluate}


def _write_extras(
    folder: Path,
    *,
    keep: Sequence[str],
    method: Method,
    targets: list[EvaluatedPart],
    scores: list[DomainScores],
) -> None:
    if "weights" in keep:
        from safetensors.torch import save_model

        for name, module in method.modules().items():
            save_model(module, str(folder / f"{name}.safetensors"))
    masks = {
        where.dataset.domain: _quantised(found.prediction.masks)
        for where, found in zip(targets, scores, strict=True)
        if where.task is Task.SEGMENTATION and found.prediction.masks is not None
    }
    for where in targets:
        if where.dataset.domain in masks and where.dataset.masks is not None:
            # So that scores can be computed again where the data are not.
            rows = where.dataset.rows(where.part, where.task)
            truth = where.dataset.masks[rows] > 0
            masks[f"{TRUTH}{where.dataset.domain}"] = np.packbits(truth, axis=None)
    if "masks" in keep and masks:
        np.savez_compressed(folder / MASKS, **masks)  # type: ignore[arg-type]  # names are arrays here


def _quantised(probabilities: np.ndarray) -> np.ndarray:
    """Return floor(65536 p) as uint16, which keeps every comparison with a multiple of 2**-16."""
    return np.minimum(np.floor(probabilities.astype(np.float64) * 65536), 65535).astype(np.uint16)


def _headline(record: RunRecord) -> dict[str, float]:
    shown = {Task.CLASSIFICATION: ("accuracy", "Acc"), Task.SEGMENTATION: ("dice", "Dice")}
    headline = {}
    for part in record.summary:
        metric, head = shown[part.task]
        value = part.metrics.get(metric)
        if part.in_domain and value is not None:
            headline[head] = value
    return headline
