"""What the engine costs around a run's steps: ``python -m benchmarks.performance.engine``.

One MultiMix run of ``cross_domain``, as a worker makes it, twice: a worker's first run also imports the
libraries and loads what Numba compiled. What is not the steps themselves (batch, losses, gradients,
optimiser) or the images' predictions and scores is overhead: loading, building, seeds, logging of losses,
checkpoints, progress, the records.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from mmbench.evaluation import breaches, validation
from mmbench.execution import job, scoring
from mmbench.execution.executor import RunTask
from mmbench.planning.plan import make_plan
from mmbench.protocol.loading import load_protocol
from mmbench.training import loop

WATCHED = (
    (loop._Gradients, "fill"),  # noqa: SLF001  losses and gradients of a step have no public name
    (torch.optim.Adam, "step"),
    (validation, "predict"),
    (breaches, "predict"),
    (scoring, "score_classification"),
    (scoring, "score_segmentation"),
)
"""The steps, the predictions and their scores: what a run is for."""


class Clock:
    """Wraps functions and adds up the seconds that they take."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def watch(self, owner: Any, name: str) -> None:
        """Replace a function by one that is timed."""
        inner = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            begin = time.perf_counter()
            try:
                return inner(*given, **named)
            finally:
                self.seconds += time.perf_counter() - begin

        setattr(owner, name, timed)


def main() -> None:
    """Print each run's seconds and the share that is not its steps and predictions."""
    plan = make_plan(load_protocol("cross_domain"))
    run = next(each for each in plan.runs if each.method == "multimix")
    clock = Clock()
    for owner, name in WATCHED:
        clock.watch(owner, name)
    for which in ("first", "second"):
        clock.seconds = 0.0
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            task = RunTask(run, tuple(plan.scores(run)), plan.protocol, Path(folder))
            job.execute(task, lambda step, steps, phase: None)
            whole = time.perf_counter() - begin
        overhead = 1 - clock.seconds / whole
        print(f"a worker's {which} run {whole:.1f} s, overhead {overhead:.1%} (goal 5 %)", flush=True)


if __name__ == "__main__":
    main()
