"""``mmbench run``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmbench.cli.output import (
    INTERRUPTED,
    AllowMixed,
    Json,
    complain,
    console,
    duration,
    print_json,
    shown,
)
from mmbench.text import plural

if TYPE_CHECKING:
    from mmbench.running.summary import RunSummary

ProtocolName = Annotated[
    str, typer.Argument(metavar="PROTOCOL", help="A protocol file, or the name of a shipped protocol.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="PATH", help="A plugin file, or a folder of them; repeatable."),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", envvar="MMBENCH_DATA_ROOT", metavar="DIR", help="Where real data sets are."),
]


class Force(StrEnum):
    """A layer that can be made again."""

    run = "run"
    predictions = "predictions"
    scores = "scores"


class Until(StrEnum):
    """When to stop adding seeds."""

    decided = "decided"


def run(
    protocol: ProtocolName,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder; results/<protocol> when left out.")
    ] = None,
    data_root: DataRoot = None,
    plugin: Plugins = None,
    jobs: Annotated[
        str, typer.Option("--jobs", "-j", metavar="N", help="Runs side by side; auto: one per CPU or GPU.")
    ] = "auto",
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda or cuda:N.")] = "auto",
    only: Annotated[
        str | None,
        typer.Option(
            metavar="FILTER",
            help="Some runs only, for example method=unet,seed=0. Keys: method, "
            "label, classification, segmentation, subset, seed, id.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Repeat the runs that failed, and only those.")
    ] = False,
    force: Annotated[
        Force | None,
        typer.Option(
            "--force",
            metavar="LAYER",
            help="Make a layer of the selected runs again, with what is made from it: run, predictions or "
            "scores.",
        ),
    ] = None,
    executor: Annotated[
        str, typer.Option(metavar="NAME", help="Where the work is done; local: processes of this machine.")
    ] = "local",
    checkpoint_every: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.0, help="Time between two checkpoints of a training run."),
    ] = 60.0,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.0, help="End a run that takes longer; it counts as failed."),
    ] = None,
    until: Annotated[
        Until | None,
        typer.Option(
            "--until",
            metavar="decided",
            help="Add seeds until every primary comparison is decided, or hardly will be.",
        ),
    ] = None,
    max_seeds: Annotated[
        int | None,
        typer.Option("--max-seeds", metavar="N", min=2, help="With --until: no more seeds than that."),
    ] = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            "--max-minutes",
            metavar="M",
            min=0.0,
            help="Stop after that time; the same command continues later.",
        ),
    ] = None,
    allow_mixed: AllowMixed = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Make tables, figures and page afterwards.")
    ] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")] = False,
    json: Json = False,
) -> None:
    """Train, predict and score what is missing of a protocol, then show its table.

    What is stored is not made again: after an interruption the same command resumes, a new domain is only
    predicted and scored, and a new threshold or metric is only scored.
    """
    from mmbench.api import run as run_protocol
    from mmbench.cli.progress import RunDisplay

    out = console(stderr=json)
    try:
        with RunDisplay(out, quiet=quiet) as display:
            summary = run_protocol(
                protocol,
                results=results,
                data_root=data_root,
                plugins=plugin or (),
                jobs=jobs,
                device=device,
                only=only,
                force=force.value if force is not None else None,
                executor=executor,
                retry_failed=retry_failed,
                checkpoint_every=checkpoint_every,
                time_limit=time_limit,
                allow_mixed=allow_mixed,
                until="decided" if until is not None else None,
                max_seeds=max_seeds,
                max_minutes=max_minutes,
                report=report,
                listener=display,
            )
    except KeyboardInterrupt:
        complain("stopped; the same command resumes from here", prefix="")
        raise typer.Exit(INTERRUPTED) from None
    if json:
        print_json(_as_json(summary))
    else:
        _show(summary, quiet, report)
    raise typer.Exit(summary.exit_code)


def _show(summary: RunSummary, quiet: bool, reported: bool) -> None:
    from mmbench.report.terminal import print_terminal

    out = console()
    if summary.report.main is not None and not quiet:
        out.print()
        print_terminal(summary.report.main, out, summary.report.answer)
        out.print()
    parts = [
        f"{summary.trained} trained",
        f"{summary.predicted} predicted",
        f"{summary.scored} scored",
        f"{len(summary.cached)} cached",
        f"{len(summary.failed)} failed",
    ]
    never_ran = len([id for id in summary.skipped if id not in summary.failed])
    if never_ran:
        parts.append(f"{never_ran} not run")
    out.print(f"{', '.join(parts)} in {duration(summary.seconds)}", style="bold")
    out.print(f"records  {shown(summary.results)}", soft_wrap=True)
    if summary.paths:
        out.print(f"tables   {shown(summary.report.folder / 'tables')}", soft_wrap=True)
        out.print(f"report   {shown(summary.report.page)}", soft_wrap=True)
    elif not reported:
        out.print(f"report   mmbench report {shown(summary.results)} makes it", soft_wrap=True)
    earlier = [id for id in summary.skipped if id in summary.failed]
    if earlier:
        out.print(
            f"{plural(len(earlier), 'run')} failed earlier; run with --retry-failed to repeat",
            style="yellow",
        )
    if summary.failed:
        out.print(f"errors   mmbench status {shown(summary.results)} --tracebacks", soft_wrap=True)


def _as_json(summary: RunSummary) -> dict[str, object]:
    states = {
        **dict.fromkeys(summary.skipped, "skipped"),
        **dict.fromkeys(summary.done, "done"),
        **dict.fromkeys(summary.cached, "cached"),
        **dict.fromkeys(summary.failed, "failed"),
    }
    counts = {state: list(states.values()).count(state) for state in ("done", "cached", "failed", "skipped")}
    return {
        "protocol": summary.protocol,
        "results": str(summary.results),
        "trained": summary.trained,
        "predicted": summary.predicted,
        "scored": summary.scored,
        **counts,
        "errors": dict(summary.failed),
        "runs": [{"id": id, "run": what, "state": states[id]} for id, what in summary.descriptions.items()],
        "answer": list(summary.report.answer),
        "report": str(summary.report.page) if summary.paths else None,
        "tables": [str(path) for path in summary.paths if path.parent.name == "tables"],
        "seconds": round(summary.seconds, 3),
    }
