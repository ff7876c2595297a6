"""What of a method did nothing, as its records tell: loss terms, networks, whole rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations

from mmbench.analysis.results import Results
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.vocabulary import Task


def idle_warnings(results: Results) -> list[str]:
    """Return one sentence for each part of a method, and each pair of rows, that made no difference.

    Parameters
    ----------
    results : Results
        The results folder; trivial baselines, which learn nothing, are left out.
    """
    runs = [run for run in results.runs if run.id in results.facts and run.label not in results.trivial]
    trained = Counter(run.label for run in runs)
    return [
        *_idle_losses(results, runs, trained),
        *_unmoved(results, runs, trained),
        *_same_predictions(results, runs),
    ]


def _idle_losses(results: Results, runs: Iterable[RunSpec], trained: Mapping[str, int]) -> Iterator[str]:
    counts = Counter((run.label, term) for run in runs for term in results.facts[run.id].idle_losses)
    for (row, term), count in counts.items():
        yield f"{row}: the loss term {term!r} was 0 at every step in {count} of {trained[row]} runs."


def _unmoved(results: Results, runs: Iterable[RunSpec], trained: Mapping[str, int]) -> Iterator[str]:
    counts = Counter((run.label, name) for run in runs for name in results.facts[run.id].unmoved)
    for (row, name), count in counts.items():
        yield (
            f"{row}: training changed no weight of its network {name!r} in {count} of {trained[row]} runs; "
            "it ended as it began."
        )


def _same_predictions(results: Results, runs: Iterable[RunSpec]) -> Iterator[str]:
    """Tell of rows that predict the same, bit by bit, where both have the same labels and seed."""
    by_row: dict[str, dict[tuple[object, ...], RunSpec]] = {}
    for run in runs:
        by_row.setdefault(run.label, {})[tuple(run.paired_budgets.items()), run.subset, run.seed] = run
    predicted = {run.id: results.predicted(run.id) for own in by_row.values() for run in own.values()}
    for one, other in combinations(by_row, 2):
        for task in Task:
            pairs = [
                (_of(task, predicted[by_row[one][key].id]), _of(task, predicted[by_row[other][key].id]))
                for key in by_row[one].keys() & by_row[other].keys()
            ]
            pairs = [(first, second) for first, second in pairs if first and second]
            same = sum(first == second for first, second in pairs)
            if same:
                yield (
                    f"{one} and {other} predict exactly the same ({task.value}) in {same} of {len(pairs)} "
                    "pairs of runs."
                )


def _of(task: Task, predicted: Mapping[tuple[Task, str], str]) -> dict[str, str]:
    return {domain: digest for (kind, domain), digest in predicted.items() if kind is task}
