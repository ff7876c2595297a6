"""The paired answer for two rows of one results folder, or for the rows of two folders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mmbench.errors import StoreError, suggestion
from mmbench.protocol.metrics import METRICS
from mmbench.protocol.runs import DomainDigest, RunSpec
from mmbench.protocol.schema import Protocol
from mmbench.protocol.vocabulary import Task
from mmbench.randomness import generator
from mmbench.report.about import test_share
from mmbench.report.comparisons import compare_lines, finish_comparisons, judge
from mmbench.report.scored import Scored, compatible, lines_of
from mmbench.stats.blocks import Block, blocks
from mmbench.stats.delong import delong_test
from mmbench.stats.paired import mcnemar, wilcoxon_cases
from mmbench.stats.resampling import patient_weights, replicates
from mmbench.store.frames import scores
from mmbench.store.provenance import Mixture, mixtures
from mmbench.store.record import StoredPlan
from mmbench.store.store import ResultStore

if TYPE_CHECKING:
    import pandas as pd

    from mmbench.report.main_table import Line


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes
    ----------
    name : str
        As it is told apart in the answer.
    store : ResultStore
        Where its records lie.
    plan : StoredPlan
        What they are of.
    row : str
        The row's name there.
    """

    name: str
    store: ResultStore
    plan: StoredPlan
    row: str

    @property
    def runs(self) -> list[RunSpec]:
        """The finished runs of the row.

        Raises
        ------
        StoreError
            If the row is unknown, or has no record yet.
        """
        own = [run for run in self.plan.runs if run.label == self.row]
        if not own:
            rows = list(dict.fromkeys(run.label for run in self.plan.runs))
            raise StoreError(f"{self.store.root}: has no row {self.row!r}; {suggestion(self.row, rows)}")
        finished = self.store.finished()
        done = [run for run in own if run.id in finished]
        if not done:
            raise StoreError(f"{self.store.root}: {self.row} has no record yet; run the protocol first")
        return done


def compare_sides(
    a: Side, b: Side, *, metrics: Sequence[str] = (), domains: Collection[str] = ()
) -> list[dict[str, Any]]:
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
    list of dict
        One per domain, metric and budgets, with the keys of ``Analysis.comparisons`` and ``case_tests``;
        p-values are corrected over the budgets and domains of one metric.

    Raises
    ------
    StoreError
        If the two rows share nothing, or were trained or tested on data or splits that differ.
    """
    check_digests(a, b)
    protocol = a.plan.protocol
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise StoreError(f"there is no metric {unknown[0]!r}; {suggestion(unknown[0], METRICS)}")
    frame = _together(a, b)
    known = list(dict.fromkeys(frame["domain"]))
    for domain in domains:
        if domain not in known:
            raise StoreError(f"{a.store.root}: no scores on a domain {domain!r}; {suggestion(domain, known)}")
    try:
        parts = blocks(frame)
    except ValueError as error:
        raise StoreError(f"{error}, so they cannot be paired") from None
    parts = [part for part in parts if not domains or part.domain in domains]
    tests = [
        test
        for block in sorted(parts, key=lambda part: (not part.in_domain, part.task))
        for test in _compare(block, a, b, metrics or protocol.statistics.metrics)
    ]
    if not tests:
        raise StoreError(
            f"{a.name} and {b.name} share no task, domain, metric and label budget; "
            f"see: mmbench status {a.store.root}"
        )
    finish_comparisons(tests)
    for metric in dict.fromkeys(test["metric"] for test in tests):
        judge([test for test in tests if test["metric"] == metric], METRICS[metric], protocol)
    return tests


def check_digests(a: Side, b: Side) -> None:
    """Refuse to pair rows of different data, splits or metric policies.

    Raises
    ------
    StoreError
        Naming the domain and what differs.
    """
    ones, others = _digests(a.runs), _digests(b.runs)
    shared = [key for key in ones if key in others]
    for key in shared:
        one, other = ones[key], others[key]
        for what, mine, yours in (("data", one.data, other.data), ("split", one.split, other.split)):
            if mine != yours:
                raise StoreError(
                    f"{a.name} and {b.name} cannot be paired: the {what} digests of {one.domain} "
                    f"differ ({mine[:12]} and {yours[:12]}); run both on the same {what}"
                )
        if one.part != other.part:
            raise StoreError(
                f"{a.name} and {b.name} cannot be paired: they are scored on the parts {one.part!r} and "
                f"{other.part!r} of {one.domain}; run both on the same part"
            )
    mine_policy, yours_policy = (side.runs[0].evaluation for side in (a, b))
    for name in type(mine_policy).model_fields:
        if getattr(mine_policy, name) != getattr(yours_policy, name):
            raise StoreError(
                f"{a.name} and {b.name} cannot be paired: evaluation.{name} is "
                f"{getattr(mine_policy, name)} and {getattr(yours_policy, name)}; score both by "
                "one metric policy"
            )
    if a.runs[0].image_size != b.runs[0].image_size:
        raise StoreError(
            f"{a.name} and {b.name} cannot be paired: their images are {a.runs[0].image_size} and "
            f"{b.runs[0].image_size} pixels wide; run both at one image_size"
        )


def differences_in_making(a: Side, b: Side) -> list[Mixture]:
    """Return in what the making of two rows' records differs: versions, or a method's source in two folders.

    Raises
    ------
    StoreError
        If a record is damaged.
    """
    return mixtures(side.store.content(run.id) for side in (a, b) for run in side.runs)


def _digests(runs: Sequence[RunSpec]) -> dict[tuple[str, Task, str], DomainDigest]:
    found = {}
    for run in runs:
        for task, digest in run.sources.items():
            found["trained", task, digest.domain] = digest
        for task, digests in run.targets.items():
            for digest in digests:
                found["tested", task, digest.domain] = digest
    return found


def _together(a: Side, b: Side) -> pd.DataFrame:
    """Return the scores of both sides, each under its side's name."""
    import pandas as pd

    frames = []
    for side in (a, b):
        frame = scores(side.store, [run.id for run in side.runs])
        assert frame is not None
        # Two folders may hold the same run: what tells trainings apart is the side, too.
        frames.append(frame.assign(row=side.name, run=f"{side.name} " + frame["run"]))
    whole = pd.concat(frames, ignore_index=True)
    counts = whole.groupby(["domain", "task"])["row"].transform("nunique")
    return whole[counts == 2]


def _compare(block: Block, a: Side, b: Side, metrics: Sequence[str]) -> list[dict[str, Any]]:
    protocol = a.plan.protocol
    rng = generator(protocol.seed, "compare", block.task, block.domain)
    weights = patient_weights(block.patients, protocol.statistics.resamples, rng)
    grids = lines_of(block, ())
    tests = []
    for name in metrics:
        metric = METRICS[name]
        if metric.task.value != block.task:
            continue
        resampled = replicates(block, name, weights, protocol.evaluation.class_threshold)
        scored = Scored(block, metric, resampled, resampled.covariance, grids)
        for one in (line for line in grids if line.row == a.name):
            for other in (line for line in grids if line.row == b.name and compatible(one, line)):
                pair = (
                    one.classification or other.classification,
                    one.segmentation or other.segmentation,
                )
                test = compare_lines(
                    scored, one, other, pair, protocol.statistics, test_share(a.plan, block.task)
                )
                if test["trainings"]:
                    tests.append({**test, "case_tests": _case_tests(scored, one, other)})
    return tests


def _case_tests(scored: Scored, a: Line, b: Line) -> dict[str, Any]:
    """Test each pair of trainings by itself, across cases: what one sees who trained only once."""
    ones, others = scored.grids[a].ravel(), scored.grids[b].ravel()
    name = "Wilcoxon signed-rank over cases"
    values, found = scored.block.scores, []
    for one, other in zip(ones, others, strict=True):
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
    return {"name": name, "p": found}


def describe(test: dict[str, Any], protocol: Protocol) -> str:
    """Return a comparison in words."""
    metric = METRICS[test["metric"]]
    size = abs(test["difference"])
    level = f"{100 * protocol.statistics.confidence:g} % interval"
    where = f"{metric.title}, {test['domain']} ({test['scope']}), {test['budget']} labels"
    if not size:
        course = "no difference"
    else:
        way = "higher" if test["difference"] > 0 else "lower"
        course = f"{test['row_a']} is {way} by {size:.3f}"
    return (
        f"{where}: {course} ({level} of the difference {test['low']:+.3f} to {test['high']:+.3f}, over "
        f"{test['over']}). {VERDICTS[test['verdict']].format(a=test['row_a'], b=test['row_b'])}"
    )


VERDICTS = {
    "better": "{a} is better.",
    "worse": "{a} is worse.",
    "equivalent": "Equivalent: any difference is too small to matter.",
    "undecided": "Undecided: these trainings and cases cannot tell them apart.",
}
"""What a verdict on row a against row b says."""
