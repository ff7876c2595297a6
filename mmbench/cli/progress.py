"""What ``mmbench run`` shows while it runs: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from mmbench.cli.output import duration, is_live, shown
from mmbench.execution.executor import Elsewhere, Ending, Failed, Finished, Found, Progress, Started
from mmbench.planning.work import Work
from mmbench.report.looks import look_lines
from mmbench.running.events import Chosen, Looked, Planned, Preparing, RunEvent
from mmbench.text import plural

ETA_AFTER = 2.0
"""Seconds of work before the time left is worth showing."""
BAR_WIDTH = 24


@dataclass
class _Running:
    id: str
    phase: str = "starting"
    step: int = 0
    steps: int = 0

    @property
    def fraction(self) -> float:
        """Share of the run's work that is behind it; loading comes before any of it."""
        if not self.steps or self.phase in ("starting", "load"):
            return 0.0
        return min(1.0, self.step / self.steps)


class RunDisplay:
    """Listens to a run and shows it.

    Parameters
    ----------
    console : Console
        Where to.
    quiet : bool
        Show failures only.
    """

    def __init__(self, console: Console, *, quiet: bool = False):
        self.console = console
        self.quiet = quiet
        self._preparing: str | None = None
        self._descriptions: dict[str, str] = {}
        self._costs: dict[str, float] = {}
        self._running: dict[int, _Running] = {}
        self._elsewhere: set[str] = set()
        self._ended = 0
        self._cost_ended = 0.0
        self._begin = time.monotonic()
        self._spinner = Spinner("dots")
        self._live: Live | None = None
        if is_live(console) and not quiet:
            self._live = Live(
                console=console, get_renderable=self._render, refresh_per_second=5, transient=True
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.clear()
        self._preparing = None
        self._descriptions = {}
        if self._live is not None:
            self._live.stop()

    def __call__(self, event: RunEvent) -> None:
        """Take in one event."""
        match event:
            case Preparing(dataset=name):
                if self._live is None and name != self._preparing:
                    self._say(f"preparing {name}")
                self._preparing = name
            case Planned():
                self._preparing = None
                self._begin, self._ended, self._cost_ended = time.monotonic(), 0, 0.0
                self._descriptions = {run.id: run.describe() for run in event.work.pending}
                self._costs = {run.id: event.work.costs[run.id] for run in event.work.pending}
                self._introduce(event)
            case Looked(looks=looks):
                for line in look_lines(looks):
                    self._say(line, "bold" if line.startswith("look") else None)
            case Chosen(tuned=tuned):
                for one in tuned:
                    self._say(f"tuned   {one.text}")
            case Started(id=id, worker=worker):
                self._running[worker] = _Running(id)
            case Progress(id=id, worker=worker):
                self._running[worker] = _Running(id, event.phase, event.step, event.steps)
            case Elsewhere(id=id) if id not in self._elsewhere:
                self._elsewhere.add(id)
                self._say(f"another process works on {self._descriptions.get(id, id)}", "dim")
            case Finished() | Found() | Failed():
                self._end(event)

    def _introduce(self, planned: Planned) -> None:
        plan, work = planned.plan, planned.work
        workers = f", {planned.workers}" if work.pending else ""
        if any(run.trial is not None for run in plan.runs):
            trials = [run for run in plan.runs if run.trial is not None]
            count = f"{plural(len(trials), 'trial')}, {len(work.pending)} of them to train"
            self._say(f"{plan.protocol.name}: tuning, {count}{workers}", "bold")
            return
        self._say(f"{plan.protocol.name}: {plural(len(work.chosen), 'run')}{workers}", "bold")
        for note in planned.notes:
            self._say(f"note    {note}", "yellow")
        if not plan.leaks.leaks:
            self._say("leak gate passed: parts share no patients and no images", "dim")
        if work.finished:
            self._say(f"done (cached)  {plural(len(work.finished), 'run')}", "dim")
        if work.skipped:
            self._say(f"skipped        {plural(len(work.skipped), 'run')}, {planned.why_skipped}", "dim")
        if work.pending:
            self._say(f"to do          {_to_do(work)} into {shown(planned.results)}")

    def _end(self, event: Ending) -> None:
        self._running.pop(event.worker, None)
        self._ended += 1
        self._cost_ended += self._costs.get(event.id, 0.0)
        width = len(str(len(self._costs)))
        line = Text(f"{self._ended:>{width}}/{len(self._costs)}  ", "dim")
        what = self._descriptions.get(event.id, event.id)
        if isinstance(event, Failed):
            line.append("failed  ", "bold red").append(f"{what}  ").append(event.error, "red")
            self.console.print(line, soft_wrap=True)
            return
        if isinstance(event, Found):
            self._say(line.append("done  ", "green").append(f"{what}  by another process", "dim"))
            return
        longest = max(map(len, self._descriptions.values()), default=0)
        line.append("done  ", "green").append(f"{what:<{longest}}  {event.seconds:7.1f} s")
        for name, value in event.outcome.headline.items():
            line.append(f"  {name} ").append(f"{value:.3f}", "bold")
        self._say(line)

    def _say(self, text: str | Text, style: str | None = None) -> None:
        if not self.quiet:
            self.console.print(text, style=style, soft_wrap=True)

    def _render(self) -> RenderableType:
        if self._preparing is not None:
            self._spinner.update(text=f"preparing {self._preparing}")
            return self._spinner
        if not self._descriptions:
            return Text("")
        workers = Table.grid(padding=(0, 2))
        workers.add_column(no_wrap=True, style="dim")
        workers.add_column(no_wrap=True, overflow="ellipsis")
        workers.add_column(no_wrap=True)
        workers.add_column(width=BAR_WIDTH)
        workers.add_column(no_wrap=True, justify="right")
        for number, running in sorted(self._running.items()):
            counter = f"{running.step}/{running.steps}" if running.fraction else ""
            bar = ProgressBar(total=1.0, completed=running.fraction, width=BAR_WIDTH)
            what = self._descriptions.get(running.id, running.id)
            workers.add_row(f"worker {number}", what, running.phase, bar, counter)
        workers.add_row("all", self._time(), "", self._overall(), f"{self._ended}/{len(self._costs)}")
        return Group(Text(""), workers)

    def _overall(self) -> ProgressBar:
        return ProgressBar(total=1.0, completed=self._fraction(), width=BAR_WIDTH)

    def _fraction(self) -> float:
        total = sum(self._costs.values())
        behind = self._cost_ended + sum(
            self._costs.get(running.id, 0.0) * running.fraction for running in self._running.values()
        )
        return behind / total if total else 1.0

    def _time(self) -> str:
        elapsed, fraction = time.monotonic() - self._begin, self._fraction()
        if elapsed < ETA_AFTER or not fraction:
            return duration(elapsed)
        return f"{duration(elapsed)}, about {duration(elapsed * (1 - fraction) / fraction)} left"


def _to_do(work: Work) -> str:
    """Return what is missing, layer by layer, in words."""
    return ", ".join(
        (
            f"{plural(work.count('run'), 'run')} to train",
            f"{plural(work.count('predictions'), 'prediction')} to make",
            f"{plural(work.count('scores'), 'score')} to make",
        )
    )


class CountDisplay:
    """Shows how many of a known number are done: a bar on a terminal, nothing elsewhere."""

    def __init__(self, console: Console, text: str):
        self._text = text
        self._done, self._total = 0, 0
        self._live = Live(console=console, get_renderable=self._render, transient=True)

    def __enter__(self) -> Self:
        if is_live(self._live.console):
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._total = 0
        self._live.stop()

    def __call__(self, done: int, total: int) -> None:
        """Take in the count."""
        self._done, self._total = done, total

    def _render(self) -> RenderableType:
        if not self._total:
            return Text("")
        grid = Table.grid(padding=(0, 2))
        bar = ProgressBar(total=self._total, completed=self._done, width=BAR_WIDTH)
        grid.add_row(self._text, bar, f"{self._done}/{self._total}")
        return grid
