"""The far end of a local worker: takes tasks from a socket, runs them, tells what happened.

What a plugin prints goes to the cell's log file, so it can disturb neither the conversation with the
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

from mmbench.errors import UserError
from mmbench.launch.executor import CellTask, Event, Failed, Finished, Progress, Started

PROGRESS_INTERVAL = 0.2
"""Smallest time between two progress events of a worker, in seconds."""

Execute = Callable[[CellTask, Callable[[int, int, str], None]], dict[str, float]]


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
    connection: Connection[Any, Any] = Connection(descriptor)
    tasks: queue.SimpleQueue[CellTask | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    while (task := tasks.get()) is not None:
        with _output_to(log_file(task)):
            event = _attempt(task, worker, function, connection.send)
        connection.send(event)


def log_file(task: CellTask) -> Path:
    """Return where the output of a cell's training goes; the file exists only if something was printed."""
    return task.results / "logs" / f"{task.id}.log"


def one_line(error: BaseException) -> str:
    """Return an exception as one line; a user's mistake without the name of its class."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _listen(connection: Connection[Any, Any], tasks: queue.SimpleQueue[CellTask | None]) -> None:
    """Hand on what the parent sends; when the parent is gone, end this process and its children."""
    try:
        while True:
            tasks.put(connection.recv())
    except (EOFError, OSError):
        if os.getpgid(0) == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)


def _attempt(task: CellTask, worker: int, function: str, send: Callable[[Event], None]) -> Event:
    """Run one task and return the event that ends it."""
    send(Started(task.id, worker))
    begin = time.monotonic()
    latest = float("-inf")

    def on_progress(step: int, steps: int, phase: str) -> None:
        nonlocal latest
        now = time.monotonic()
        if now - latest >= PROGRESS_INTERVAL:
            latest = now
            send(Progress(task.id, worker, int(step), int(steps), str(phase)))

    try:
        headline = _resolve(function)(task, on_progress)
        numbers = {str(name): float(value) for name, value in headline.items()}
    except (Exception, SystemExit) as error:
        lines = traceback.format_exc()
        return Failed(task.id, worker, one_line(error), lines, time.monotonic() - begin)
    return Finished(task.id, worker, time.monotonic() - begin, numbers)


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
