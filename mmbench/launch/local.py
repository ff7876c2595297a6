"""Cells side by side on this machine: one persistent process per worker, one socket each.

Workers are fresh interpreters, not forks and not ``multiprocessing`` children: CUDA and thread pools
start clean, and a caller's script needs no ``if __name__ == "__main__"`` guard. Each leads a process
group of its own, so Ctrl-C in the terminal reaches the parent alone, and ending a worker ends whatever
it has started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from mmbench.launch.executor import CellTask, Event, Failed, Finished
from mmbench.launch.worker import log_file

EXECUTE = "mmbench.launch.work:execute"
POLL = 1.0
"""Seconds between two looks at whether a silent worker still lives."""
GRACE = 3.0
"""Seconds that a worker has to end after being asked to."""

_BOOT = """
import sys
sys.path[:] = sys.argv[4:]
from mmbench.launch.worker import main
main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
"""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class _Worker:
    number: int
    device: str
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    task: CellTask | None = None
    begin: float = 0.0


class LocalExecutor:
    """Runs tasks in worker processes of this machine.

    Parameters
    ----------
    devices : sequence of str
        One per worker; a worker puts its own into every task that it takes.
    threads : int
        CPU threads of a worker.
    function : str
        What runs a task, as ``package.module:name``, called with the task and a progress callback
        ``(step, steps, phase)``; returns the cell's headline numbers.
    """

    def __init__(self, devices: Sequence[str] = ("cpu",), threads: int = 1, function: str = EXECUTE):
        self.devices = list(devices)
        self.threads = threads
        self.function = function
        self._workers: dict[int, _Worker] = {}

    def run(self, tasks: Sequence[CellTask]) -> Iterator[Event]:
        """Yield events until every task has had exactly one ``Finished`` or ``Failed``.

        A worker that dies fails its cell only; another takes its place. Leaving the iterator early, by
        an exception or by closing it, ends the workers.
        """
        waiting = deque(tasks)
        try:
            for number, device in enumerate(self.devices[: len(waiting)]):
                self._start(number, device)
                self._feed(number, waiting)
            while busy := {w.connection: w for w in self._workers.values() if w.task is not None}:
                ready = wait(list(busy), timeout=POLL)
                gone = [
                    w for w in busy.values() if w.connection not in ready and w.process.poll() is not None
                ]
                for worker in [busy[c] for c in ready if isinstance(c, Connection)] + gone:
                    for event in self._hear(worker):
                        yield event
                        if isinstance(event, Finished | Failed):
                            self._feed(worker.number, waiting)
        finally:
            self.stop()

    def stop(self) -> None:
        """End every worker at once."""
        workers, self._workers = list(self._workers.values()), {}
        for worker in workers:
            _signal_group(worker.process, signal.SIGTERM)
            worker.connection.close()
        end = time.monotonic() + GRACE
        for worker in workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, end - time.monotonic()))
            _signal_group(worker.process, signal.SIGKILL)
            worker.process.wait()

    def _start(self, number: int, device: str) -> None:
        ours, theirs = socket.socketpair()
        count = str(self.threads)
        try:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _BOOT,
                    str(theirs.fileno()),
                    str(number),
                    self.function,
                    *sys.path,
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**os.environ, **dict.fromkeys(_THREAD_VARIABLES, count), "PYTHONUNBUFFERED": "1"},
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._workers[number] = _Worker(number, device, process, Connection(ours.detach()))

    def _feed(self, number: int, waiting: deque[CellTask]) -> None:
        """Give a worker its next task; a dead one is replaced first."""
        worker = self._workers[number]
        worker.task = None
        if not waiting:
            return
        if worker.process.poll() is not None:
            worker.connection.close()
            self._start(number, worker.device)
            worker = self._workers[number]
        worker.task = replace(waiting.popleft(), device=worker.device, threads=self.threads)
        worker.begin = time.monotonic()
        # a worker that dies meanwhile is noticed by _hear
        with contextlib.suppress(OSError):
            worker.connection.send(worker.task)

    def _hear(self, worker: _Worker) -> Iterator[Event]:
        """Yield what a worker has to say; its death says that its cell failed."""
        assert worker.task is not None
        try:
            if worker.connection.poll():
                event: Event = worker.connection.recv()
                yield event
                return
        except (EOFError, OSError):
            pass
        try:
            code = worker.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            _signal_group(worker.process, signal.SIGKILL)
            code = worker.process.wait()
        _signal_group(worker.process, signal.SIGKILL)
        seconds = time.monotonic() - worker.begin
        yield Failed(worker.task.id, worker.number, _cause(code), _last_output(worker.task), seconds)


def _cause(code: int) -> str:
    if code >= 0:
        return f"worker exited with code {code}"
    hints: dict[int, str] = {signal.SIGKILL: " (out of memory?)", signal.SIGSEGV: " (segmentation fault)"}
    hint = hints.get(-code, "")
    return f"worker killed by signal {-code}{hint}"


def _last_output(task: CellTask, size: int = 4000) -> str:
    """Return the end of what a cell printed before its worker died."""
    try:
        return log_file(task).read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a worker and whatever it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
