"""Made-up runs, records and scores."""

import numpy as np
import pandas as pd

from mmbench.protocol.runs import DomainDigest, RunSpec
from mmbench.protocol.schema import Backbone, MetricPolicy, Selection, Training
from mmbench.store.environment import capture
from mmbench.store.record import DomainSummary, RunRecord
from mmbench.store.store import ResultStore


def make_cell(label="umtl", *, budgets=None, seed=0, subset=0, method="umtl") -> RunSpec:
    budgets = {"classification": 100, "segmentation": "full"} if budgets is None else budgets
    digest = DomainDigest(domain="kermany", data="d" * 64, split="s" * 64)
    other = DomainDigest(domain="nih", data="e" * 64, split="t" * 64, part="all")
    return RunSpec(
        label=label,
        method=method,
        hyperparameters={"dice_weight": 5.0},
        budgets=budgets,
        subset=subset,
        seed=seed,
        protocol_seed=0,
        backbone=Backbone(),
        image_size=64,
        training=Training(),
        selection=Selection(),
        evaluation=MetricPolicy(),
        sources=dict.fromkeys(budgets, digest),
        targets={task: [digest, other] for task in budgets},
    )


def make_record(run: RunSpec | None = None, accuracy=0.75) -> RunRecord:
    run = run or make_cell()
    scores = {"classification": {"accuracy": accuracy, "auroc": float("nan")}, "segmentation": {"dice": 0.9}}
    return RunRecord(
        id=run.id,
        run=run,
        summary=[
            DomainSummary(
                domain=domain, task=task, in_domain=domain == "kermany", cases=4, metrics=scores[task]
            )
            for task in run.budgets
            for domain in ("kermany", "nih")
        ],
        parameters=12,
        seconds={"train": 1.5, "total": 2.0},
        last_losses={"dice": np.float32(0.25), "ce": float("inf")},
        environment=capture(),
    )


def make_cases(run: RunSpec) -> pd.DataFrame:
    rows = [
        {"domain": domain, "task": task, "in_domain": domain == "kermany", "case_id": f"{domain}-{i}"}
        | {"patient_id": f"p{i}", "label": i % 2, "probability": 0.1 * i, "dice": np.nan}
        for task in run.budgets
        for domain in ("kermany", "nih")
        for i in range(4)
    ]
    return pd.DataFrame(rows)


def put(store: ResultStore, run: RunSpec, accuracy=0.75, **options) -> None:
    losses = pd.DataFrame([{"step": 1, "dice": 0.5}])
    store.write(make_record(run, accuracy), make_cases(run), losses, **options)
