"""The far end of a local worker: takes tasks from a socket, runs them, tells what happened.

What a plugin prints goes to the run's log file, so it can disturb neither the conversation with the
parent nor the terminal.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mmbench.errors import StoreError, UnwritableStoreError, UserError
from mmbench.execution.executor import (
    Elsewhere,
    Event,
    Failed,
    Finished,
    Found,
    Outcome,
    Progress,
    RunTask,
    Started,
    layer_of,
)
from mmbench.store.lease import lease, leased
from mmbench.store.missing import missing
from mmbench.store.store import ResultStore, log_path
from mmbench.store.upkeep import sweep

PROGRESS_INTERVAL = 0.2
"""Smallest time between two progress events of a worker, in seconds."""

Execute = Callable[[RunTask, Callable[[int, int, str], None]], Outcome]


def main(descriptor: int, worker: int, function: str) -> None:
    """Serve tasks until the parent says stop or is gone.

    Parameters
    ----------
    descriptor : int
        This end of the socket to the parent.
    worker : int
        This worker's number, repeated in every event.
    function : str
        What runs a task, as ``package.module:name``.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(descriptor, False)
    _offer_to_die_first()
    connection: Connection[Any, Any] = Connection(descriptor)
    tasks: queue.SimpleQueue[RunTask | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    while (task := tasks.get()) is not None:
        with _output_to(log_path(task.results, task.id)):
            event = attempt(task, worker, function, connection.send)
        connection.send(event)


def _offer_to_die_first() -> None:
    """Let the kernel, when memory runs out, end a worker and not the run or somebody else's program."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii")


def one_line(error: BaseException) -> str:
    """Return an exception as one line; a user's mistake without the name of its class."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _listen(connection: Connection[Any, Any], tasks: queue.SimpleQueue[RunTask | None]) -> None:
    """Hand on what the parent sends; when the parent is gone, end this process and its children."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        if os.getpgid(0) == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)


def attempt(task: RunTask, worker: int, function: str, send: Callable[[Event], None]) -> Event:
    """Run one task, unless another process does or did, and return the event that ends the attempt."""
    store = ResultStore(task.results)
    try:
        with store.writing(), lease(store.leases_folder, task.id) as held:
            if not held:
                return Elsewhere(task.id, worker)
            sweep(store, {task.id, *(spec.id for spec in task.scores), *_predictions(task)})
            return _known(task, store, worker) or _compute(task, store, worker, function, send)
    except UnwritableStoreError as error:
        return Failed(task.id, worker, one_line(error), unwritable=True)


def _predictions(task: RunTask) -> set[str]:
    return {spec.predictions.id for spec in task.scores}


def _known(task: RunTask, store: ResultStore, worker: int) -> Event | None:
    """Return how another process has ended the run since this task was planned."""
    version = store.failure_version(task.id)
    if version is None:
        return Found(task.id, worker) if _complete(task, store) else None
    if version == task.failure:
        return None
    try:
        failure = store.failed()[task.id]
    except (StoreError, KeyError):
        return None
    return Failed(
        task.id,
        worker,
        failure.error,
        failure.traceback,
        failure.seconds,
        layer=failure.layer,
        recorded=True,
    )


def _complete(task: RunTask, store: ResultStore) -> bool:
    """Whether nothing is missing; what cannot be read is found out by the work itself."""
    try:
        return not missing(store, task.run, task.scores, task.force)
    except StoreError:
        return False


def _compute(
    task: RunTask, store: ResultStore, worker: int, function: str, send: Callable[[Event], None]
) -> Event:
    """Run a task whose lease is held, and return the event that ends it."""
    send(Started(task.id, worker))
    begin = time.monotonic()
    latest, now_in = float("-inf"), ""

    def on_progress(step: int, steps: int, phase: str) -> None:
        nonlocal latest, now_in
        now = time.monotonic()
        if now - latest >= PROGRESS_INTERVAL or phase != now_in:
            latest, now_in = now, phase
            send(Progress(task.id, worker, int(step), int(steps), str(phase)))

    try:
        outcome = _resolve(function)(task, on_progress)
    except UnwritableStoreError:
        raise
    except (Exception, SystemExit) as error:
        if task.id not in leased(store.leases_folder):
            raise store.removed() from error
        lines, seconds = traceback.format_exc(), time.monotonic() - begin
        layer = layer_of(now_in)
        # While the lease is held, so that no other process repeats what has just failed.
        store.write_failure(task.run, one_line(error), lines, seconds, layer)
        return Failed(task.id, worker, one_line(error), lines, seconds, layer=layer, recorded=True)
    return Finished(task.id, worker, time.monotonic() - begin, outcome)


def _resolve(function: str) -> Execute:
    module, _, name = function.partition(":")
    found: Execute = getattr(importlib.import_module(module), name)
    return found


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Send this process's standard output and error, native code's included, to a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
    except OSError:
        yield  # the store will say what is wrong with the folder
        return
    kept = os.dup(1), os.dup(2)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable()
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        for target, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, target)
            os.close(copy)
        with contextlib.suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()
                path.parent.rmdir()  # succeeds only when it was the last
