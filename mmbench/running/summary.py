"""What a run came to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mmbench.planning.work import Work
from mmbench.report.build import FOLDER, Report, make_report
from mmbench.running.tasks import Followed, Options
from mmbench.store.looks import Looks
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.planning.plan import Plan


@dataclass(frozen=True, kw_only=True)
class RunSummary:
    """What ``mmbench run`` came to.

    Attributes
    ----------
    protocol : str
        The protocol's name.
    results : Path
        The result store's folder.
    trained, predicted, scored : int
        How many runs were trained now, and how many predictions and scores were made.
    done, cached : tuple of str
        Ids of the runs that something was made of now, and of those found complete.
    failed : mapping from str to str
        The error of each run that failed now, or earlier and was not repeated, by id.
    skipped : tuple of str
        Ids of the selected runs that were left alone: failed earlier, or not asked for by
        ``retry_failed``.
    descriptions : mapping from str to str
        Each selected run in a few words, by id.
    report : Report
        The tables over everything that is scored of the protocol, and the files they were written to;
        without any where no report was asked for.
    looks : Looks or None
        Of a group-sequential run.
    seconds : float
        Wall time.
    """

    protocol: str
    results: Path
    trained: int = 0
    predicted: int = 0
    scored: int = 0
    done: tuple[str, ...] = ()
    cached: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    descriptions: Mapping[str, str] = field(default_factory=dict)
    report: Report
    looks: Looks | None = None
    seconds: float = 0.0

    @property
    def table(self) -> pd.DataFrame | None:
        """The main table, one row per line, unrounded; None when nothing is scored."""
        return self.report.table

    @property
    def paths(self) -> tuple[Path, ...]:
        """The table files written."""
        return self.report.paths

    @property
    def exit_code(self) -> int:
        """1 when a selected run stands as failed, otherwise 0."""
        return 1 if self.failed else 0


def summarise(
    plan: Plan, store: ResultStore, work: Work, followed: Followed, options: Options, begin: float
) -> RunSummary:
    """Make the report and return what the run came to.

    Parameters
    ----------
    plan : Plan
        What was to be made.
    store : ResultStore
        The results folder.
    work : Work
        What was missing at the beginning.
    followed : Followed
        What became of it.
    options : Options
        Whether to make a report, and whether records that were made differently may be mixed in it.
    begin : float
        Of ``time.monotonic``.
    """
    outcomes = followed.outcomes
    earlier = {run.id: work.failures[run.id].error for run in work.skipped if run.id in work.failures}
    return RunSummary(
        protocol=plan.protocol.name,
        results=store.root,
        trained=sum(outcome.trained for outcome in outcomes.values()),
        predicted=sum(outcome.predicted for outcome in outcomes.values()),
        scored=sum(outcome.scored for outcome in outcomes.values()),
        done=tuple(outcomes),
        cached=(*(run.id for run in work.finished), *followed.found),
        failed={**earlier, **followed.failed},
        skipped=tuple(run.id for run in work.skipped),
        descriptions={run.id: run.describe() for run in work.chosen},
        report=make_report(store.root, allow_mixed=options.allow_mixed)
        if options.report
        else Report(plan.protocol.name, store.root, store.root / FOLDER),
        seconds=time.monotonic() - begin,
    )
