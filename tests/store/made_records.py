"""Made-up cells, records and scores."""

import numpy as np
import pandas as pd

from mmbench.protocol.cells import Cell, DomainDigest
from mmbench.protocol.schema import Backbone, MetricPolicy, Selection, Training
from mmbench.store.environment import capture
from mmbench.store.record import CellRecord, DomainSummary
from mmbench.store.store import ResultStore


def make_cell(label="umtl", *, budgets=None, seed=0, draw=0, method="umtl") -> Cell:
    budgets = {"classification": 100, "segmentation": "full"} if budgets is None else budgets
    digest = DomainDigest(domain="chex", data="d" * 64, split="s" * 64)
    other = DomainDigest(domain="nih", data="e" * 64, split="t" * 64, part="all")
    return Cell(
        label=label,
        method=method,
        hyperparameters={"dice_weight": 5.0},
        budgets=budgets,
        draw=draw,
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


def make_record(cell: Cell | None = None, accuracy=0.75) -> CellRecord:
    cell = cell or make_cell()
    scores = {"classification": {"accuracy": accuracy, "auroc": float("nan")}, "segmentation": {"dice": 0.9}}
    return CellRecord(
        id=cell.id,
        cell=cell,
        summary=[
            DomainSummary(domain=domain, task=task, in_domain=domain == "chex", cases=4, metrics=scores[task])
            for task in cell.budgets
            for domain in ("chex", "nih")
        ],
        parameters=12,
        seconds={"train": 1.5, "total": 2.0},
        last_losses={"dice": np.float32(0.25), "ce": float("inf")},
        environment=capture(),
    )


def make_cases(cell: Cell) -> pd.DataFrame:
    rows = [
        {"domain": domain, "task": task, "in_domain": domain == "chex", "case_id": f"{domain}-{i}"}
        | {"patient_id": f"p{i}", "label": i % 2, "probability": 0.1 * i, "dice": np.nan}
        for task in cell.budgets
        for domain in ("chex", "nih")
        for i in range(4)
    ]
    return pd.DataFrame(rows)


def put(store: ResultStore, cell: Cell, accuracy=0.75, **options) -> None:
    losses = pd.DataFrame([{"step": 1, "dice": 0.5}])
    store.write(make_record(cell, accuracy), make_cases(cell), losses, **options)
