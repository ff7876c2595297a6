"""Which primary verdicts depend on choices that papers leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from mmbench.analysis.analysis import Analysis, compute, question_of
from mmbench.analysis.records import Primary
from mmbench.analysis.results import Results
from mmbench.evaluation.segmentation import structure_scores
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task

if TYPE_CHECKING:
    import pandas as pd

CLASS_THRESHOLDS = (0.3, 0.4, 0.6, 0.7)
MASK_THRESHOLDS = (0.3, 0.7)
SPACINGS = (0.5, 2.0)
NOT_KEPT = (
    "pixel probabilities were not kept, so no other mask threshold was tried: run with keep: {probabilities: "
    "true}"
)


@dataclass(frozen=True)
class Flip:
    """A verdict that changes under another metric policy."""

    policy: str
    row: str
    metric: str
    domain: str
    verdict: str
    difference: float
    other_verdict: str
    other_difference: float


@dataclass(frozen=True)
class Sensitivity:
    """The verdicts that change, and the policies that were tried, in words."""

    flips: tuple[Flip, ...]
    tried: tuple[str, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One line per verdict that changes, with the fields of :class:`Flip`."""
        import pandas as pd

        return pd.DataFrame(map(vars, self.flips), columns=[field.name for field in fields(Flip)])


def sensitivity(results: Results, analysis: Analysis) -> Sensitivity:
    """Score a results folder again under other metric policies and compare the verdicts.

    Thresholds of class and mask, the rule for a single empty mask, surfaces of eight instead of four
    neighbours, and spacings (of which only NSD depends: every other distance and its margin scale
    alike).

    Parameters
    ----------
    results : Results
        The results folder; other mask thresholds need stored probabilities.
    analysis : Analysis
        Its numbers under the policy of the run.
    """
    import pandas as pd

    question = question_of(results, analysis.matrix, analysis.collapsed)
    flips: list[Flip] = []
    tried: list[str] = []
    for name, policy, frame in _policies(results, results.scores, results.protocol.evaluation):
        if frame is None:
            tried.append(NOT_KEPT)
            continue
        tried.append(name)
        statistics = results.protocol.statistics.model_copy(
            update={"metrics": results.protocol.statistics.primary}
        )
        protocol = results.protocol.model_copy(update={"evaluation": policy, "statistics": statistics})
        # The other task's scores, too: the family of verdicts is that of the whole report.
        rest = results.scores[~results.scores["task"].isin(frame["task"].unique())]
        other = compute(pd.concat([frame, rest]), replace(question, protocol=protocol))
        flips += _flips(name, analysis.records.primary, other.primary)
    return Sensitivity(tuple(flips), tuple(dict.fromkeys(tried)))


def _policies(
    results: Results, scores: pd.DataFrame, policy: MetricPolicy
) -> Iterator[tuple[str, MetricPolicy, pd.DataFrame | None]]:
    classes = scores[scores["task"] == Task.CLASSIFICATION.value]
    for threshold in CLASS_THRESHOLDS:
        if "probability" in classes and len(classes):
            other = policy.model_copy(update={"class_threshold": threshold})
            predicted = (classes["probability"] >= threshold).astype("int64")
            frame = classes.assign(predicted=predicted, correct=predicted == classes["label"])
            yield f"class threshold {threshold:g}", other, frame
    masks = scores[scores["task"] == Task.SEGMENTATION.value]
    if not len(masks):
        return
    changes: list[tuple[str, dict[str, Any], int]] = [
        (f"mask threshold {value:g}", {"mask_threshold": value}, 4) for value in MASK_THRESHOLDS
    ]
    empty = "nan" if policy.empty_distance == "diagonal" else "diagonal"
    changes += [
        (f"a single empty mask: distance {empty}", {"empty_distance": empty}, 4),
        ("surfaces of 8 neighbours", {}, 8),
        *((f"spacing {value:g}", {"spacing": value}, 4) for value in SPACINGS),
    ]
    for name, change, neighbours in changes:
        other = policy.model_copy(update=change)
        yield name, other, _scored_again(results, masks, other, neighbours)


def _scored_again(
    results: Results, scores: pd.DataFrame, policy: MetricPolicy, neighbours: int
) -> pd.DataFrame | None:
    """Return the segmentation scores under a policy; None where what is stored does not give the masks."""
    import pandas as pd

    frames = []
    for run, own in scores.groupby("run", sort=False):
        for domain, part in own.groupby("domain", sort=False):
            masks = results.masks(str(run), str(domain), policy)
            if masks is None:
                return None
            structures = results.protocol.structures
            rows = [
                structure_scores(one, other, policy, structures, neighbours)
                for one, other in zip(*masks, strict=True)
            ]
            again = pd.DataFrame(rows, index=part.index)
            frames.append(part.assign(**{name: again[name] for name in again.columns}))
    return pd.concat(frames)


def _flips(policy: str, before: Sequence[Primary], after: Sequence[Primary]) -> Iterator[Flip]:
    known = {(record.row, record.column): record for record in before}
    for record in after:
        old = known[record.row, record.column]
        if old.verdict != record.verdict:
            yield Flip(
                policy=policy,
                row=record.row,
                metric=record.column.metric,
                domain=record.column.domain,
                verdict=old.verdict,
                difference=old.difference.value,
                other_verdict=record.verdict,
                other_difference=record.difference.value,
            )
