"""Runs side by side on this machine: one persistent process per worker, one socket each.

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

from mmbench.execution.executor import (
    Elsewhere,
    Ending,
    Event,
    Failed,
    Progress,
    RunTask,
    Started,
    layer_of,
)
from mmbench.store.store import log_path

EXECUTE = "mmbench.execution.job:execute"
POLL = 1.0
"""Seconds between two looks at whether a silent worker still lives."""
GRACE = 3.0
"""Seconds that a worker has to end after being asked to."""
AGAIN = 1.0
"""Seconds until a run that another process is computing is looked at again."""

ALLOCATION = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**40),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""For glibc: keep freed memory, which the next training step asks for again, and take it in huge pages. By
default every large tensor comes new from the system, which clears it small page by small page."""

_BOOT = """
import sys
sys.path[:] = sys.argv[4:]
from mmbench.execution.worker import main
main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
"""
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass
class _Worker:
    number: int
    device: str
    process: subprocess.Popen[bytes]
    connection: Connection[Any, Any]
    task: RunTask | None = None
    begin: float = 0.0
    phase: str = ""

    @property
    def limit(self) -> float:
        """Seconds that the task may take."""
        limit = self.task.time_limit if self.task is not None else None
        return float("inf") if limit is None else limit

    def overdue(self) -> bool:
        """Whether the task has taken longer than it may."""
        return time.monotonic() - self.begin > self.limit


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
        ``(step, steps, phase)``; returns an :class:`~mmbench.execution.executor.Outcome`.
    """

    def __init__(self, devices: Sequence[str] = ("cpu",), threads: int = 1, function: str = EXECUTE):
        self.devices = list(devices)
        self.threads = threads
        self.function = function
        self._workers: dict[int, _Worker] = {}

    def run(self, tasks: Sequence[RunTask]) -> Iterator[Event]:
        """Yield events until every task has had exactly one ``Ending``.

        A worker that dies, or takes longer than a task's time limit, fails its run only; another takes its
        place, and also the place of one whose run has failed: what the run left behind (a memory limit, a
        broken CUDA context) must not fail the next. Runs that another process is computing are waited for.
        Leaving the iterator early, by an exception or by closing it, ends the workers.
        """
        waiting, elsewhere = deque(tasks), deque[tuple[float, RunTask]]()
        try:
            for number, device in enumerate(self.devices[: len(waiting)]):
                self._start(number, device)
                self._feed(number, waiting)
            while (busy := self._busy()) or elsewhere:
                for event in self._listen(busy):
                    worker = self._workers[event.worker]
                    if isinstance(event, Elsewhere):
                        assert worker.task is not None
                        elsewhere.append((time.monotonic() + AGAIN, worker.task))
                    yield event
                    if isinstance(event, Failed) and worker.process.poll() is None:
                        _kill(worker.process)
                    if isinstance(event, Elsewhere | Ending):
                        self._feed(worker.number, waiting)
                while elsewhere and elsewhere[0][0] <= time.monotonic():
                    waiting.append(elsewhere.popleft()[1])
                for worker in list(self._workers.values()):
                    if worker.task is None and waiting:
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
            _kill(worker.process)

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers.values() if worker.task is not None]

    def _listen(self, busy: list[_Worker]) -> Iterator[Event]:
        """Wait a while for the busy workers and yield what they say, or that they died or took too long."""
        if not busy:  # every run left is another process's
            time.sleep(POLL)
        ready = wait([worker.connection for worker in busy], timeout=POLL)
        for worker in busy:
            heard = worker.connection in ready or worker.process.poll() is not None
            event = self._hear(worker) if heard else None
            if event is not None:
                yield event
            if worker.overdue() and not isinstance(event, Elsewhere | Ending):
                yield self._end(worker, f"took longer than the time limit of {worker.limit:g} s")

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
                env={
                    **ALLOCATION,
                    **os.environ,
                    **dict.fromkeys(_THREAD_VARIABLES, count),
                    "PYTHONUNBUFFERED": "1",
                },
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._workers[number] = _Worker(number, device, process, Connection(ours.detach()))

    def _feed(self, number: int, waiting: deque[RunTask]) -> None:
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
        worker.begin, worker.phase = time.monotonic(), ""
        # a worker that dies meanwhile is noticed by _hear
        with contextlib.suppress(OSError):
            worker.connection.send(worker.task)

    def _hear(self, worker: _Worker) -> Event:
        """Return what a worker has to say; its death says that its run failed."""
        try:
            if worker.connection.poll():
                event: Event = worker.connection.recv()
                if isinstance(event, Started):
                    worker.begin = time.monotonic()
                if isinstance(event, Progress):
                    worker.phase = event.phase
                return event
        except (EOFError, OSError):
            pass
        try:
            code = worker.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            code = _kill(worker.process)
        return self._end(worker, _cause(code))

    def _end(self, worker: _Worker, why: str) -> Failed:
        """End a worker and whatever it has started, and return the failure of its run."""
        assert worker.task is not None
        _kill(worker.process)
        seconds = time.monotonic() - worker.begin
        output, layer = _last_output(worker.task), layer_of(worker.phase)
        return Failed(worker.task.id, worker.number, why, output, seconds, layer=layer)


def _cause(code: int) -> str:
    if code >= 0:
        return f"worker exited with code {code}"
    hints: dict[int, str] = {signal.SIGKILL: " (out of memory?)", signal.SIGSEGV: " (segmentation fault)"}
    hint = hints.get(-code, "")
    return f"worker killed by signal {-code}{hint}"


def _last_output(task: RunTask, size: int = 4000) -> str:
    """Return the end of what a run printed before its worker died."""
    try:
        return log_path(task.results, task.id).read_bytes()[-size:].decode(errors="replace")
    except OSError:
        return ""


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    """Signal a worker and whatever it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _kill(process: subprocess.Popen[bytes]) -> int:
    """End a worker and whatever it has started at once, and return its exit code."""
    _signal_group(process, signal.SIGKILL)
    return process.wait()
