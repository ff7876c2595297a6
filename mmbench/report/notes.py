"""The sentences that stand under a table so that its numbers mean something."""

from __future__ import annotations

from collections.abc import Sequence

from mmbench.analysis.analysis import Analysis
from mmbench.analysis.facts import FEW_CASES
from mmbench.analysis.matrix import Matrix
from mmbench.analysis.rows import Column
from mmbench.protocol.metrics import METRICS, main_metrics, metrics_of
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import CLASS_NAMES, Task
from mmbench.report.marks import BELOW_TRIVIAL, BETTER, EQUIVALENT, SIGNIFICANT, TRANSDUCTIVE, WORSE
from mmbench.text import plural

LISTED = 5


def spread_notes(matrix: Matrix) -> list[str]:
    """Return the sentences under means and deviations."""
    return [_spread(matrix), *_common(matrix)]


def interval_notes(analysis: Analysis) -> list[str]:
    """Return the sentences under means with intervals and marks; the answer is the first."""
    cells = analysis.matrix.cells
    ceilings = any(cell.classification == cell.segmentation == "full" for cell in cells)
    return [
        *_legend(analysis),
        *_ties(analysis),
        *(["Lines with full/full labels are each row's ceiling."] if ceilings else []),
        *(f"Warning: {text}" for text in analysis.facts.warnings),
        *_common(analysis.matrix),
    ]


def policy_sentence(columns: Sequence[Column], protocol: Protocol) -> str:
    """Return the metric policy in words, for the tasks that a table shows."""
    policy, tasks = protocol.evaluation, {column.task for column in columns}
    parts = []
    if Task.CLASSIFICATION in tasks:
        usual = protocol.classes == CLASS_NAMES
        called = f"pneumonia from probability {policy.class_threshold:g}"
        parts.append(
            called
            if usual
            else "the most probable class counts, and a metric without a class is its mean over classes, "
            "each against the rest"
        )
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


def recipe_sentence(protocol: Protocol) -> str:
    """Return in words whether all rows were trained with the same settings."""
    if protocol.recipe == "shared":
        return (
            "Recipe shared: every row is trained with the protocol's settings, apart from what is part of "
            "its method."
        )
    return "Recipe published: methods that declare settings in their publication are trained with those."


def _spread(matrix: Matrix) -> str:
    protocol = matrix.protocol
    if protocol.trainings == 1:
        return "One training per row (1 seed, 1 labelled subset): no spread can be shown."
    seeds, own = plural(protocol.most_seeds, "seed"), ", each with its own labelled subset"
    over = (
        f"{seeds} x {plural(protocol.subsets or 1, 'labelled subset')}" if protocol.crossed else seeds + own
    )
    constant = protocol.crossed and protocol.most_seeds > 1 and any(cell.trivial for cell in matrix.cells)
    note = "; trivial baselines that no seed changes, over labelled subsets alone" if constant else ""
    return f"± is the standard deviation over trainings: {over} (not over cases){note}."


def _common(matrix: Matrix) -> list[str]:
    """Return what holds whatever a table's entries show."""
    found = [
        _missing(matrix),
        _undefined(matrix),
        _empty_predictions(matrix),
        _cases(matrix),
        _few_cases(matrix),
        policy_sentence(matrix.columns, matrix.protocol),
        _transductive(matrix),
        selection_sentence(matrix.protocol),
        recipe_sentence(matrix.protocol),
        _abbreviations(matrix.columns, matrix.protocol),
        *(f"Mixed records differ in {mixture}." for mixture in matrix.mixed),
    ]
    return [sentence for sentence in found if sentence]


def _transductive(matrix: Matrix) -> str:
    """Return which rows saw images of the domains that they are tested on, and how."""
    rows = {cell.row for cell in matrix.cells}
    listed = "; ".join(f"{row} {how}" for row, how in matrix.transductive.items() if row in rows)
    return f"{TRANSDUCTIVE} saw images of tested domains, without labels: {listed}." if listed else ""


def _missing(matrix: Matrix) -> str:
    if not matrix.missing:
        return ""
    cause = f" ({matrix.failed} failed)" if matrix.failed else ""
    return (
        f"{matrix.missing} of {matrix.planned} runs missing{cause}: … stands for rows without any, n tells "
        "what is there."
    )


def _undefined(matrix: Matrix) -> str:
    shown = set(matrix.columns)
    counts: dict[str, int] = {}
    for (cell, column), value in matrix.values.items():
        lost = matrix.trainings[cell].found - value.n
        if column in shown and lost > 0:
            key = f"{column.heading} on {column.domain}"
            counts[key] = counts.get(key, 0) + lost
    listed = ", ".join(f"{key} in {plural(lost, 'training')}" for key, lost in counts.items())
    return f"Left out of means because undefined: {listed}." if listed else ""


def _empty_predictions(matrix: Matrix) -> str:
    # Summaries of masks count empty predictions: the mean over trainings times n is their number.
    found = [
        f"{cell.row} {cell.budgets.text} on {column.domain} {value.mean * value.n:.0f} of "
        f"{value.n * value.cases}"
        for (cell, column), value in matrix.values.items()
        if column.metric == "empty_prediction" and value.mean > 0
    ]
    if not found:
        return ""
    rest = f", and {len(found) - LISTED} more rows" if len(found) > LISTED else ""
    listed = ", ".join(found[:LISTED])
    return f"Empty predicted masks, which bear on every distance, over all trainings: {listed}{rest}."


def _cases(matrix: Matrix) -> str:
    by_task: dict[Task, list[str]] = {}
    for place, cases in matrix.cases.items():
        by_task.setdefault(place.task, []).append(f"{place.domain} {cases}")
    listed = "; ".join(f"{task.value} {', '.join(by_task[task])}" for task in Task if task in by_task)
    return f"Cases: {listed}." if listed else ""


def _few_cases(matrix: Matrix) -> str:
    few = [
        f"{place.domain} ({cases}, {place.task.value})"
        for place, cases in matrix.cases.items()
        if cases < FEW_CASES
    ]
    return f"Warning: fewer than {FEW_CASES} cases, so wide uncertainty: {', '.join(few)}." if few else ""


def _abbreviations(columns: Sequence[Column], protocol: Protocol) -> str:
    known = metrics_of(protocol.classes, protocol.structures)
    names = dict.fromkeys(column.metric for column in columns)
    shown = [known[name] for name in names if name in known]
    titles = [f"{metric.heading} {metric.title}" for metric in shown]
    lower = [metric.heading for metric in shown if metric.better == "lower"]
    ending = f"; lower is better for {', '.join(lower)}" if lower else ""
    return f"{', '.join(titles)}{ending}." if titles else ""


def _legend(analysis: Analysis) -> list[str]:
    """Return what intervals and marks mean, one sentence each."""
    statistics, reference = analysis.protocol.statistics, analysis.protocol.reference_label
    level = f"{100 * statistics.confidence:g} %"
    over = {record.estimate.over for record in analysis.records.estimates}
    listed = "; ".join(sorted(text for text in over if text and "one training" not in text))
    headings = " and ".join(METRICS[name].heading for name in statistics.primary)
    size = len(analysis.records.primary)
    return [
        f"[low, high]: {level} interval over {listed or 'cases of one training'} "
        "(trainings and patients as samples); trivial baselines that no seed changes over cases alone.",
        f"Verdicts on {headings} against {reference}: {plural(size, 'primary comparison')} over all label "
        f"budgets are corrected together (Holm, four fifths of {100 * statistics.alpha:g} %); single budgets "
        "are tested with the last fifth, behind a decided one only. Everything else is exploratory.",
        f"{BETTER} better, {WORSE} worse: the whole corrected interval of the difference beyond "
        f"±{statistics.equivalence:g} (distances: {100 * statistics.distance_equivalence:g} % of the image's "
        f"diagonal); {EQUIVALENT} equivalent: within. {SIGNIFICANT} p after Holm within metric and domain "
        f"below {statistics.alpha:g}, exploratory.",
        f"Bold: best mean at these budgets; no test. {BELOW_TRIVIAL} not better than every trivial baseline "
        "(paired, each by itself).",
    ]


def _ties(analysis: Analysis) -> list[str]:
    """Return, per column of the main table, how many cells do not differ significantly from the best."""
    main = main_metrics(analysis.protocol.classes, analysis.protocol.structures)
    counts: dict[Column, list[bool]] = {}
    for record in analysis.records.estimates:
        metric = record.column.metric
        tested = metric in main and metric in analysis.protocol.compared_metrics
        if tested and not record.cell.trivial:
            counts.setdefault(record.column, []).append(record.tied_best)
    listed = "; ".join(
        f"{column.domain} {column.heading} {sum(tied)} of {len(tied)}" for column, tied in counts.items()
    )
    return (
        [f"Lines not significantly different from the best (Holm, at any budget): {listed}."]
        if listed
        else []
    )
