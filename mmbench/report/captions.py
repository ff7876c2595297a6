"""What must stand under a table of results for its numbers to mean anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.text import plural

if TYPE_CHECKING:
    from mmbench.report.main_table import MainTable

FEW_CASES = 50
LISTED = 5


def captions(table: MainTable, protocol: Protocol, *, planned: int, missing: int, failed: int) -> list[str]:
    """Return the sentences under a table.

    Parameters
    ----------
    table : MainTable
        Without captions yet.
    protocol : Protocol
        What was asked for.
    planned, missing, failed : int
        Runs planned; of these, without a record; of these, ended with an error.
    """
    found = [_spread(protocol, any(line.trivial for line in table.lines))]
    if missing:
        cause = f" ({failed} failed)" if failed else ""
        found.append(
            f"{missing} of {planned} runs missing{cause}: … stands for rows without any, n tells what is "
            "there."
        )
    undefined = _undefined(table)
    if undefined:
        found.append(f"Left out of means because undefined: {undefined}.")
    empty = _empty_predictions(table)
    if empty:
        found.append(empty)
    few = _few_cases(table)
    found += [f"Cases: {_cases(table)}."] if len(table.long) else []
    found += [f"Warning: fewer than {FEW_CASES} cases, so wide uncertainty: {few}."] if few else []
    found += [policy_sentence(table, protocol), selection_sentence(protocol), _abbreviations(table)]
    return [sentence for sentence in found if sentence]


def _spread(protocol: Protocol, trivial: bool) -> str:
    seeds, subsets = protocol.seeds, protocol.subsets
    if seeds * subsets == 1:
        return "One training per row (1 seed, 1 labelled subset): no spread can be shown."
    over = f"{plural(seeds, 'seed')} x {plural(subsets, 'labelled subset')}"
    note = (
        "; trivial baselines that no seed changes, over labelled subsets alone"
        if trivial and seeds > 1
        else ""
    )
    return f"± is the standard deviation over trainings: {over} (not over cases){note}."


def _undefined(table: MainTable) -> str:
    counts: dict[str, int] = {}
    for (line, column), value in table.results.items():
        if column in table.columns:
            lost = table.trainings[line][0] - value.n
            if lost > 0:
                key = f"{column.heading} on {column.domain}"
                counts[key] = counts.get(key, 0) + lost
    return ", ".join(f"{key} in {plural(lost, 'training')}" for key, lost in counts.items())


def _empty_predictions(table: MainTable) -> str:
    found = []
    for (line, column), value in table.results.items():
        if column.metric == "empty_prediction" and value.mean > 0:
            budgets = "/".join(line.budget(task) or "–" for task in Task)
            total = f"{value.mean * value.n:.0f} of {value.n * _caseplural(table, column.domain)}"
            found.append(f"{line.row} {budgets} on {column.domain} {total}")
    if not found:
        return ""
    rest = f", and {len(found) - LISTED} more rows" if len(found) > LISTED else ""
    listed = ", ".join(found[:LISTED])
    return f"Empty predicted masks, which bear on every distance, over all trainings: {listed}{rest}."


def _caseplural(table: MainTable, domain: str) -> int:
    rows = table.long[(table.long["domain"] == domain) & (table.long["task"] == Task.SEGMENTATION.value)]
    return int(rows["cases"].iloc[0])


def _counts(table: MainTable) -> dict[tuple[str, str], int]:
    parts = table.long.drop_duplicates(["task", "domain"])
    return {
        (task, domain): int(cases)
        for task, domain, cases in zip(parts["task"], parts["domain"], parts["cases"], strict=True)
    }


def _cases(table: MainTable) -> str:
    counts = _counts(table)
    return "; ".join(
        f"{task.value} "
        + ", ".join(f"{domain} {n}" for (of, domain), n in counts.items() if of == task.value)
        for task in Task
        if any(of == task.value for of, _ in counts)
    )


def _few_cases(table: MainTable) -> str:
    return ", ".join(
        f"{domain} ({cases}, {task})" for (task, domain), cases in _counts(table).items() if cases < FEW_CASES
    )


def policy_sentence(table: MainTable, protocol: Protocol) -> str:
    """Return the metric policy in words, for the tasks that a table shows."""
    policy, tasks = protocol.evaluation, {column.task for column in table.columns}
    parts = []
    if Task.CLASSIFICATION in tasks:
        parts.append(f"pneumonia from probability {policy.class_threshold:g}")
    if Task.SEGMENTATION in tasks:
        parts.append(f"mask pixels from probability {policy.mask_threshold:g}")
        unit = "in pixels" if policy.spacing == 1 else f"at a spacing of {policy.spacing:g} per pixel"
        parts.append(f"distances {unit} of {protocol.image_size} x {protocol.image_size} images")
        rule = "the image's diagonal" if policy.empty_distance == "diagonal" else "undefined"
        parts.append(f"a distance when exactly one mask is empty is {rule}")
    return f"Metric policy: {'; '.join(parts)}." if parts else ""


def selection_sentence(protocol: Protocol) -> str:
    """Return in words which weights of a training were evaluated."""
    rule, every = protocol.selection.rule, protocol.selection.every
    if rule == "last":
        return f"Selection rule last: the weights after step {protocol.training.steps} are evaluated."
    where = "the sources' validation parts" if rule == "source_val" else "the targets themselves"
    warning = "; an upper bound, not a result" if rule == "oracle" else ""
    return f"Selection rule {rule}: the weights best on {where}, looked at every {every} steps{warning}."


def _abbreviations(table: MainTable) -> str:
    shown = dict.fromkeys(column.metric for column in table.columns)
    names = [f"{METRICS[metric].heading} {METRICS[metric].title}" for metric in shown if metric in METRICS]
    lower = [METRICS[metric].heading for metric in shown if METRICS[metric].better == "lower"]
    ending = f"; lower is better for {', '.join(lower)}" if lower else ""
    return f"{', '.join(names)}{ending}." if names else ""
