"""Fixtures of analysis and report: a table like the publication's, and a results folder of made-up scores."""

import itertools

import pandas as pd
import pytest

from mmbench.analysis.analysis import analyse
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.vocabulary import Task
from mmbench.store.frames import SUMMARY_COLUMNS
from tests.analysis.made_up import write_results

TRIVIAL = ("positive", "mean_mask")
PROTOCOL = parse_protocol("""\
name: paper-like
sources: {classification: kermany, segmentation: jsrt}
targets: {classification: nih, segmentation: [montgomery]}
budgets: {grid: {classification: [100, full], segmentation: [10]}}
methods: [unet, enc, {method: multimix, name: MultiMix}]
trivial_baselines: [positive, mean_mask]
seeds: 2
subsets: 1
training: {steps: 500}
""")
TASKS = {
    "unet": [Task.SEGMENTATION],
    "enc": [Task.CLASSIFICATION],
    "multimix": list(Task),
    "positive": [Task.CLASSIFICATION],
    "mean_mask": [Task.SEGMENTATION],
}
DOMAINS = {
    Task.CLASSIFICATION: [("kermany", True, 624), ("nih", False, 4185)],
    Task.SEGMENTATION: [("jsrt", True, 123), ("montgomery", False, 35)],
}
METRICS = {
    Task.CLASSIFICATION: ["accuracy", "f1_normal", "f1_pneumonia", "auroc"],
    Task.SEGMENTATION: ["dice", "hausdorff", "ssim", "empty_prediction"],
}


def make_summaries(protocol=PROTOCOL) -> pd.DataFrame:
    """Numbers that follow a rule, in binary fractions so that every platform prints the same digits."""
    rows = []
    entries = [(entry.label, entry.method) for entry in protocol.methods] + [
        (f, f) for f in protocol.trivial_baselines
    ]
    for number, (row, method) in enumerate(entries):
        tasks, trivial = TASKS[method], method in protocol.trivial_baselines
        budgets = [protocol.budgets.of(task) if task in tasks else [None] for task in Task]
        for (bc, bs), seed in itertools.product(itertools.product(*budgets), range(1 if trivial else 2)):
            for task in tasks:
                for (domain, inside, cases), metric in itertools.product(DOMAINS[task], METRICS[task]):
                    value = 0.5 + number / 32 + seed / 64 + (0.125 if inside else 0.0)
                    if not trivial:
                        value += (bc == "full") / 128
                    if metric == "hausdorff":
                        value = 16 * (1 - value)
                    if metric == "empty_prediction":
                        value = 3.0 if (row, domain, seed) == ("unet", "montgomery", 0) else 0.0
                    run = (f"{row}-{bc}-{bs}-{seed}", row, method, _text(bc), _text(bs), 0, seed)
                    rows.append((*run, domain, task.value, inside, cases, metric, value))
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS))


def _text(budget) -> str | None:
    return None if budget is None else str(budget)


@pytest.fixture
def results() -> pd.DataFrame:
    return make_summaries()


@pytest.fixture(scope="session")
def protocol():
    return PROTOCOL


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """A results folder of three rows, the second better than the first and the third like it."""
    root = tmp_path_factory.mktemp("results") / "made_up"
    write_results(root, {"plain": 0.0, "stronger": 2.0, "alike": 0.0}, seeds=4)
    return root


@pytest.fixture(scope="session")
def analysis(made_up):
    return analyse(made_up)
