"""The paired answer for two rows of one results folder, or for the rows of two folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.analysis.comparisons import compare_cells, corrected
from mmbench.analysis.frames import comparison_row, primary_rows
from mmbench.analysis.primary import compare_rows, decided
from mmbench.analysis.records import Comparison, Primary
from mmbench.analysis.rows import Budgets, Cell, compatible
from mmbench.analysis.scored import Scored, grids_of, score
from mmbench.analysis.sides import Side
from mmbench.errors import StoreError, suggestion
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.schema import Protocol
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import generator
from mmbench.stats.blocks import Block, blocks
from mmbench.stats.delong import delong_test
from mmbench.stats.paired import mcnemar, wilcoxon_cases
from mmbench.stats.resampling import patient_weights
from mmbench.store.mixtures import Mixture, mixtures
from mmbench.text import plural

if TYPE_CHECKING:
    import pandas as pd


LOOKED_AT = "seeds were added until decided, so that only the report's looks give verdicts"
"""Why a comparison of a group-sequential run has none: each further look would need its part of the error."""
CASE_TESTS = {"auroc": "DeLong", "accuracy": "McNemar"}
"""Tests over cases, by metric of classification."""


@dataclass(frozen=True)
class CaseTests:
    """Each pair of trainings tested by itself, across cases.

    Attributes
    ----------
    name : str
        Which test.
    p : tuple of float
        Two-sided, one per pair of trainings; NaN where the test says nothing.
    """

    name: str
    p: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """Two rows on one domain, in one metric, at one budget pair.

    Attributes
    ----------
    comparison : Comparison
        Over trainings and patients; p is corrected over all budgets, domains and rows of one metric.
    case_tests : CaseTests
        Of each pair of trainings by itself.
    protocol : Protocol
        Whose statistics count.
    """

    comparison: Comparison
    case_tests: CaseTests
    protocol: Protocol

    def as_json(self) -> dict[str, Any]:
        """Return the answer as JSON values."""
        tests = {"name": self.case_tests.name, "p": list(self.case_tests.p)}
        return {**comparison_row(self.comparison), "case_tests": tests}


@dataclass(frozen=True)
class Answers:
    """Everything that a comparison found.

    Attributes
    ----------
    primary : tuple of Primary
        Each pair of rows over all budgets, with verdicts.
    found : tuple of Answer
        The details: every domain, metric and budget by itself, exploratory.
    notes : tuple of str
        Which rows and trainings have no partner.
    mixed : tuple of str
        In what the making of the records differs.
    protocol : Protocol
        Whose statistics count.
    """

    primary: tuple[Primary, ...]
    found: tuple[Answer, ...]
    notes: tuple[str, ...]
    mixed: tuple[str, ...]
    protocol: Protocol

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "primary": [line for record in self.primary for line in primary_rows(record)],
            "comparisons": [one.as_json() for one in self.found],
            "notes": list(self.notes),
            "mixed": list(self.mixed),
        }


def answer(
    sides: Iterable[tuple[Side, Side]],
    *,
    metrics: Sequence[str] = (),
    domains: Collection[str] = (),
    allow_mixed: bool = False,
) -> Answers:
    """Compare every pair of sides on every domain, metric and label budget they share.

    Verdicts are given on the protocol's primary metrics over all budgets. Their family is everything that
    could be asked of these sides: looking at one domain alone makes it no smaller.

    Parameters
    ----------
    sides : iterable of (Side, Side)
        From :func:`mmbench.analysis.sides.sides_of`; differences are the first minus the second.
    metrics : sequence of str
        Which metrics are shown; the protocol's own list when empty.
    domains : collection of str
        Which domains are shown; all when empty.
    allow_mixed : bool
        Compare rows of one folder that were made with different sources or library versions.

    Raises
    ------
    StoreError
        If two rows share nothing, were trained or tested on data or splits that differ, or if records of one
        folder are mixed and ``allow_mixed`` is not given.
    """
    sides, notes = _recorded(list(sides))
    protocol = sides[0][0].results.protocol
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise StoreError(f"there is no metric {unknown[0]!r}; {suggestion(unknown[0], METRICS)}")
    wanted = tuple(metrics or protocol.compared_metrics)
    primary: list[Primary] = []
    found: list[Answer] = []
    mixed: dict[str, None] = {}
    for a, b in sides:
        differences = differences_in_making(a, b)
        if a.results.root == b.results.root and not allow_mixed:
            a.results.refuse(differences)
        mixed.update(dict.fromkeys(map(str, differences)))
        check_digests(a, b)
        own = [_compare(block, a, b, wanted) for block in _blocks(a, b, domains)]
        if not any(details for _, details in own):
            raise StoreError(
                f"{a.name} and {b.name} share no task, domain, metric and label budget; "
                f"see: mmbench status {a.results.root}"
            )
        looked = a.results.looks is not None or b.results.looks is not None
        primary += [
            replace(record, withheld=LOOKED_AT) if looked else record
            for records, _ in own
            for record in records
        ]
        found += [one for _, details in own for one in details]
        notes += _without_partner(a, b)
    shown = [
        record
        for record in decided(primary, protocol)
        if record.column.metric in wanted and (not domains or record.column.domain in domains)
    ]
    details = [one for one in _corrected(found) if not domains or one.comparison.column.domain in domains]
    return Answers(tuple(shown), tuple(details), tuple(notes), tuple(mixed), protocol)


def _recorded(sides: list[tuple[Side, Side]]) -> tuple[list[tuple[Side, Side]], list[str]]:
    """Return the pairs that both have records of, with a note on each other; all if there is no such pair."""
    ready = [pair for pair in sides if all(side.has_record for side in pair)]
    if not ready:
        return sides, []
    missing = [side.name for pair in sides if pair not in ready for side in pair if not side.has_record]
    return ready, [f"{name}: not compared, there is no record of it yet" for name in missing]


def _corrected(found: Sequence[Answer]) -> list[Answer]:
    """Return the details with p corrected over everything that is known of one metric."""
    by_metric: dict[str, list[int]] = {}
    for place, one in enumerate(found):
        by_metric.setdefault(one.comparison.column.metric, []).append(place)
    tests = {
        place: test
        for places in by_metric.values()
        for place, test in zip(places, corrected([found[p].comparison for p in places]), strict=True)
    }
    return [replace(one, comparison=tests[place]) for place, one in enumerate(found)]


def _without_partner(a: Side, b: Side) -> list[str]:
    """Say which trainings of two sides have no partner of the same subset and seed.

    An unseeded row's run of a subset is the partner of every seed's.
    """
    by_seed = not (a.unseeded or b.unseeded)
    ones, others = ({(run.subset, run.seed if by_seed else 0) for run in side.runs} for side in (a, b))
    lost = {a.name: len(ones - others), b.name: len(others - ones)}
    return [
        f"{name}: {plural(count, 'training')} at each budget left out, because the other side has none of "
        "the same subset and seed"
        for name, count in lost.items()
        if count
    ]


def check_digests(a: Side, b: Side) -> None:
    """Refuse to pair rows of different data, splits or metric policies.

    Raises
    ------
    StoreError
        Naming the domain and what differs.
    """
    refused = f"{a.name} and {b.name} cannot be paired"
    ones, others = _digests(a), _digests(b)
    for key in (key for key in ones if key in others):
        one, other = ones[key], others[key]
        for what, mine, yours in (("data", one.data, other.data), ("split", one.split, other.split)):
            if mine != yours:
                raise StoreError(
                    f"{refused}: the {what} digests of {one.domain} "
                    f"differ ({mine[:12]} and {yours[:12]}); run both on the same {what}"
                )
        if one.part != other.part:
            raise StoreError(
                f"{refused}: they are scored on the parts {one.part!r} and {other.part!r} of {one.domain}; "
                "run both on the same part"
            )
    mine_policy, yours_policy = (side.results.protocol.evaluation for side in (a, b))
    for name in type(mine_policy).model_fields:
        if getattr(mine_policy, name) != getattr(yours_policy, name):
            raise StoreError(
                f"{refused}: evaluation.{name} is {getattr(mine_policy, name)} and "
                f"{getattr(yours_policy, name)}; score both by one metric policy"
            )
    if a.runs[0].image_size != b.runs[0].image_size:
        raise StoreError(
            f"{refused}: their images are {a.runs[0].image_size} and {b.runs[0].image_size} pixels wide; run "
            "both at one image_size"
        )


def differences_in_making(a: Side, b: Side) -> list[Mixture]:
    """Return in what the making of two rows' records differs: versions, or a method's source in two folders.

    Raises
    ------
    StoreError
        If a record is damaged.
    """
    return mixtures(made for side in (a, b) for made in side.results.makings(run.id for run in side.runs))


def _digests(side: Side) -> dict[tuple[str, Task, str], DomainDigest]:
    found = {}
    for run in side.runs:
        for task, digest in run.sources.items():
            found["trained", task, digest.domain] = digest
        for spec in side.results.available[run.id]:
            digest = spec.predictions.domain
            found["tested", spec.predictions.task, digest.domain] = digest
    return found


def _blocks(a: Side, b: Side, domains: Collection[str]) -> list[Block]:
    """Return the blocks that both sides were scored on, in-domain first."""
    frame = _together(a, b)
    known = list(dict.fromkeys(frame["domain"]))
    for domain in domains:
        if domain not in known:
            listed = suggestion(domain, known)
            raise StoreError(f"{a.results.root}: no scores on a domain {domain!r}; {listed}")
    try:
        parts = blocks(frame)
    except ValueError as error:
        raise StoreError(f"{error}, so they cannot be paired") from None
    return sorted(parts, key=lambda part: (not part.in_domain, part.task))


def _together(a: Side, b: Side) -> pd.DataFrame:
    """Return the scores of both sides, each under its side's name."""
    import pandas as pd

    frames = []
    for side in (a, b):
        frame = side.results.scores_of([run.id for run in side.runs])
        # Two folders may hold the same run: only side and run together name a training.
        frames.append(frame.assign(row=side.name, run=f"{side.name} " + frame["run"]))
    whole = pd.concat(frames, ignore_index=True)
    counts = whole.groupby(["domain", "task"])["row"].transform("nunique")
    return whole[counts == 2]


def _compare(block: Block, a: Side, b: Side, metrics: Sequence[str]) -> tuple[list[Primary], list[Answer]]:
    """Return the primary comparisons of a block, whichever metrics are shown, and the details of these."""
    protocol = a.results.protocol
    rng = generator(protocol.seed, "compare", block.task, block.domain)
    weights = patient_weights(block.patients, protocol.statistics.resamples, rng)
    crossed = protocol.crossed or b.results.protocol.crossed
    grids = grids_of(block, (), crossed=crossed)
    for side in (a, b):
        if side.unseeded and crossed:
            # Its one run of a subset is the partner of every seed's.
            grids |= {cell: _spread(grid) for cell, grid in grids.items() if cell.row == side.name}
    ones, others = ([cell for cell in grids if cell.row == side.name] for side in (a, b))
    share = a.results.test_share(Task(block.task))
    primary: list[Primary] = []
    found: list[Answer] = []
    for name in dict.fromkeys([*protocol.statistics.primary, *metrics]):
        metric = METRICS[name]
        if metric.task.value != block.task:
            continue
        scored = score(block, metric, weights, protocol, grids)
        if name in protocol.statistics.primary:
            primary += compare_rows(scored, protocol, ones, others)
        if name not in metrics:
            continue
        for one in ones:
            for other in (cell for cell in others if compatible(one, cell)):
                pair = Budgets(
                    one.classification or other.classification, one.segmentation or other.segmentation
                )
                test = compare_cells(scored, one, other, pair, protocol.statistics, share)
                if test.difference.trainings:
                    found.append(Answer(test, _case_tests(scored, one, other), protocol))
    return primary, found


def _spread(grid: np.ndarray) -> np.ndarray:
    """Return the places of trainings with each subset's one training under every seed."""
    return np.broadcast_to(grid.max(axis=1, keepdims=True), grid.shape).copy()


def _case_tests(scored: Scored, a: Cell, b: Cell) -> CaseTests:
    """Test each pair of trainings by itself, across cases: what one sees who trained only once.

    There is a test for AUROC (DeLong), accuracy (McNemar) and means over cases (Wilcoxon); for F1, the Brier
    score and the like there is none, and no DeLong of means over classes.
    """
    values, metric, found = scored.block.scores, scored.metric, []
    over_classes = metric.name == "auroc" and scored.block.class_names
    if metric.task is Task.CLASSIFICATION and (metric.name not in CASE_TESTS or over_classes):
        return CaseTests("", ())
    for one, other in zip(scored.grids[a].ravel(), scored.grids[b].ravel(), strict=True):
        if min(one, other) < 0:
            continue
        if metric.task is Task.SEGMENTATION:
            difference = values[metric.name][one] - values[metric.name][other]
            found.append(wilcoxon_cases(difference[np.isfinite(difference)]).p)
        elif metric.name == "auroc":
            labels, p = values["label"][0], values["probability"]
            found.append(delong_test(labels, p[one], p[other]).test.p)
        else:
            correct = values["correct"] > 0.5
            found.append(mcnemar(correct[one], correct[other]).p)
    return CaseTests(CASE_TESTS.get(metric.name, "Wilcoxon signed-rank over cases"), tuple(found))
