"""The paired answer for two rows of one results folder, or for the rows of two folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.analysis.comparisons import compare_cells, judged
from mmbench.analysis.frames import comparison_row
from mmbench.analysis.records import Comparison
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

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CaseTests:
    """Each pair of trainings tested by itself, across cases.

    Attributes
    ----------
    name : str
        Which test.
    p : tuple of float
        Two-sided, one per pair of trainings.
    """

    name: str
    p: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """Two rows on one domain, in one metric, at one budget pair.

    Attributes
    ----------
    comparison : Comparison
        Over trainings and patients; p is corrected over the budgets and domains of one metric.
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
    """Everything that a comparison found, and in what the making of the records differs."""

    found: tuple[Answer, ...]
    mixed: tuple[str, ...]


def answer(
    sides: Iterable[tuple[Side, Side]],
    *,
    metrics: Sequence[str] = (),
    domains: Collection[str] = (),
    allow_mixed: bool = False,
) -> Answers:
    """Compare every pair of sides.

    Parameters
    ----------
    sides : iterable of (Side, Side)
        From :func:`mmbench.analysis.sides.sides_of`.
    metrics, domains : collection of str
        As for :func:`compare_sides`.
    allow_mixed : bool
        Compare rows of one folder that were made with different sources or library versions.

    Raises
    ------
    StoreError
        As :func:`compare_sides`, or if records of one folder are mixed and ``allow_mixed`` is not given.
    """
    found: list[Answer] = []
    mixed: dict[str, None] = {}
    for a, b in sides:
        differences = differences_in_making(a, b)
        if a.results.root == b.results.root and not allow_mixed:
            a.results.refuse(differences)
        mixed.update(dict.fromkeys(map(str, differences)))
        found += compare_sides(a, b, metrics=metrics, domains=domains)
    return Answers(tuple(found), tuple(mixed))


def compare_sides(
    a: Side, b: Side, *, metrics: Sequence[str] = (), domains: Collection[str] = ()
) -> list[Answer]:
    """Compare two rows on every domain, metric and label budget they share.

    Parameters
    ----------
    a, b : Side
        What to compare; differences are a - b.
    metrics : sequence of str
        Which metrics; the protocol's own list when empty.
    domains : collection of str
        Which domains; all when empty.

    Returns
    -------
    list of Answer
        One per domain, metric and budgets.

    Raises
    ------
    StoreError
        If the two rows share nothing, or were trained or tested on data or splits that differ.
    """
    check_digests(a, b)
    protocol = a.results.protocol
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise StoreError(f"there is no metric {unknown[0]!r}; {suggestion(unknown[0], METRICS)}")
    found = [
        one
        for block in _blocks(a, b, domains)
        for one in _compare(block, a, b, metrics or protocol.statistics.metrics)
    ]
    if not found:
        raise StoreError(
            f"{a.name} and {b.name} share no task, domain, metric and label budget; "
            f"see: mmbench status {a.results.root}"
        )
    verdicts: dict[int, Comparison] = {}
    for metric in dict.fromkeys(one.comparison.column.metric for one in found):
        places = [place for place, one in enumerate(found) if one.comparison.column.metric == metric]
        tests = judged([found[place].comparison for place in places], METRICS[metric], protocol)
        verdicts.update(zip(places, tests, strict=True))
    return [replace(one, comparison=verdicts[place]) for place, one in enumerate(found)]


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
    parts = [part for part in parts if not domains or part.domain in domains]
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


def _compare(block: Block, a: Side, b: Side, metrics: Sequence[str]) -> list[Answer]:
    protocol = a.results.protocol
    rng = generator(protocol.seed, "compare", block.task, block.domain)
    weights = patient_weights(block.patients, protocol.statistics.resamples, rng)
    crossed = protocol.crossed or b.results.protocol.crossed
    grids = grids_of(block, (), crossed=crossed)
    share = a.results.test_share(Task(block.task))
    found = []
    for name in metrics:
        metric = METRICS[name]
        if metric.task.value != block.task:
            continue
        scored = score(block, metric, weights, protocol, grids)
        for one in (cell for cell in grids if cell.row == a.name):
            for other in (cell for cell in grids if cell.row == b.name and compatible(one, cell)):
                pair = Budgets(
                    one.classification or other.classification, one.segmentation or other.segmentation
                )
                test = compare_cells(scored, one, other, pair, protocol.statistics, share)
                if test.difference.trainings:
                    found.append(Answer(test, _case_tests(scored, one, other), protocol))
    return found


def _case_tests(scored: Scored, a: Cell, b: Cell) -> CaseTests:
    """Test each pair of trainings by itself, across cases: what one sees who trained only once."""
    name = "Wilcoxon signed-rank over cases"
    values, found = scored.block.scores, []
    for one, other in zip(scored.grids[a].ravel(), scored.grids[b].ravel(), strict=True):
        if min(one, other) < 0:
            continue
        if scored.metric.task is Task.SEGMENTATION:
            difference = values[scored.metric.name][one] - values[scored.metric.name][other]
            found.append(wilcoxon_cases(difference[np.isfinite(difference)]).p)
        elif scored.metric.name == "auroc":
            name = "DeLong"
            labels, p = values["label"][0], values["probability"]
            found.append(delong_test(labels, p[one], p[other]).test.p)
        else:
            name = "McNemar"
            correct = values["correct"] > 0.5
            found.append(mcnemar(correct[one], correct[other]).p)
    return CaseTests(name, tuple(found))
