"""Made-up runs, and records of every layer."""

import numpy as np
import pandas as pd

from mmbench.files import digest_json
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Backbone, MetricPolicy, Selection, Training
from mmbench.protocol.specs import DomainDigest, PredictionsSpec, predictions_of, scores_of
from mmbench.protocol.vocabulary import Task
from mmbench.store.environment import capture
from mmbench.store.layer import write_arrays, write_parquet
from mmbench.store.missing import PROBABILITY_CONTENT, mask_content
from mmbench.store.records import GroundTruthRecord, PredictionsRecord, RunRecord, ScoresRecord
from mmbench.store.store import CASES, LOSSES, MASKS, PROBABILITIES, VALIDATION

PRODUCT, ENGINE = "e" * 64, "f" * 64
SOURCE = DomainDigest(domain="kermany", data="d" * 64, split="s" * 64, in_domain=True)
OTHER = DomainDigest(domain="nih", data="e" * 64, split="t" * 64, part="all")
DOMAINS = {task: [SOURCE, OTHER] for task in Task}
METRICS = {
    Task.CLASSIFICATION: {"accuracy": 0.75, "auroc": float("nan")},
    Task.SEGMENTATION: {"dice": 0.9},
}


def make_run(label="umtl", *, budgets=None, seed=0, subset=0, method="umtl") -> RunSpec:
    budgets = {"classification": 100, "segmentation": "full"} if budgets is None else budgets
    return RunSpec(
        label=label,
        method=method,
        hyperparameters={"dice_weight": 5.0},
        budgets=budgets,
        paired_budgets=budgets,
        subset=subset,
        seed=seed,
        protocol_seed=0,
        backbone=Backbone(),
        image_size=64,
        training=Training(),
        selection=Selection(),
        sources=dict.fromkeys(budgets, SOURCE),
    )


def make_record(run: RunSpec | None = None, parameters=12, **more) -> RunRecord:
    run = run or make_run()
    values = {
        "id": run.id,
        "run": run,
        "product": PRODUCT,
        "kept": False,
        "parameters": parameters,
        "seconds": {"load": 0.5, "train": 1.5},
        "last_losses": {"dice": np.float32(0.25), "ce": float("inf")},
        "engine": ENGINE,
        "environment": capture(),
    }
    return RunRecord(**(values | more))


def put_run(store, run, parameters=12, *, validation=None, extra=None, replace=False, **more) -> None:
    """Write a run's record; ``extra`` writes further files into its folder."""

    def files(folder):
        write_parquet(pd.DataFrame([{"step": 1, "dice": 0.5}]), folder / LOSSES)
        if validation is not None:
            write_parquet(validation, folder / VALIDATION)
        if extra is not None:
            extra(folder)

    store.runs.write(make_record(run, parameters, **more), files, replace=replace)


def specs_of(run: RunSpec, domains=DOMAINS, policy=None):
    return scores_of(predictions_of(run.id, run.tasks, domains, run.image_size), policy or MetricPolicy())


def make_cases(task: Task, count=4) -> pd.DataFrame:
    cases = pd.DataFrame(
        {"case_id": [f"c{i}" for i in range(count)], "patient_id": [f"p{i}" for i in range(count)]}
    )
    if task is Task.SEGMENTATION:
        return cases.assign(dice=0.9)
    label = [i % 2 for i in range(count)]
    return cases.assign(label=label, probability=[0.1 * i for i in range(count)])


def content_of(wanted: PredictionsSpec) -> str:
    """Return a digest of what was predicted, another one for each run and domain."""
    return digest_json(wanted.id)


def put_scores(
    store,
    spec,
    cases=None,
    metrics=None,
    *,
    masks=None,
    truth=None,
    bits=16,
    product=PRODUCT,
    replace=False,
    engines=(ENGINE, ENGINE),
    made=None,
) -> None:
    """Write scores with the predictions and the ground truth that they claim to be of.

    ``engines`` are the digests that made predictions and scores; ``masks`` are pixel probabilities,
    stored with ``bits`` each; with 0, only as masks.
    """
    wanted = spec.predictions
    cases = make_cases(wanted.task) if cases is None else cases
    metrics = METRICS[wanted.task] if metrics is None else metrics
    name = PROBABILITY_CONTENT
    if wanted.task is Task.SEGMENTATION:
        name = mask_content(spec.policy.mask_threshold)
    shared = {"task": wanted.task, "domain": wanted.domain, "cases": len(cases)}
    made = made or {"environment": capture(), "seconds": 0.1}
    store.ground_truth.write(
        GroundTruthRecord(id=wanted.ground_truth, image_size=wanted.image_size, **shared),
        lambda folder: _ground_truth(folder, cases, truth),
    )
    predictions = PredictionsRecord(
        id=wanted.id,
        run=wanted.run,
        product=product,
        ground_truth=wanted.ground_truth,
        contents={name: content_of(wanted)},
        probability_bits=bits if masks is not None else 0,
        engine=engines[0],
        **shared,
        **made,
    )
    if masks is not None and bits:
        predictions = predictions.model_copy(
            update={"contents": {name: content_of(wanted), PROBABILITY_CONTENT: "b" * 64}}
        )
    store.predictions.write(
        predictions, lambda folder: _predictions(folder, cases, name, masks, bits), replace=replace
    )
    scores = ScoresRecord(
        id=spec.id,
        predictions=wanted.id,
        scored=content_of(wanted),
        run=wanted.run,
        policy=spec.policy.of(wanted.task),
        metrics_version=spec.metrics,
        metrics=metrics,
        engine=engines[1],
        **shared,
        **made,
    )
    store.scores.write(scores, lambda folder: write_parquet(cases, folder / CASES), replace=replace)


def put(store, run, domains=DOMAINS, **more) -> None:
    """Write a run with all its predictions and scores."""
    put_run(store, run, **more)
    for spec in specs_of(run, domains):
        put_scores(store, spec)


def _ground_truth(folder, cases, truth):
    columns = [name for name in ("case_id", "patient_id", "label") if name in cases]
    write_parquet(cases[columns], folder / CASES)
    if truth is not None:
        from mmbench.store.masks import TRUTH, pack

        write_arrays({TRUTH: pack(truth)}, folder / MASKS)


def _predictions(folder, cases, name, masks, bits):
    """Store class probabilities, or pixel probabilities ``masks`` (N, S, S) and their bits at one half."""
    if "probability" in cases:
        positive = cases["probability"].astype("float32")
        frame = pd.DataFrame({"case_id": cases["case_id"], "normal": 1 - positive, "pneumonia": positive})
        write_parquet(frame, folder / PROBABILITIES)
    elif masks is not None:
        from mmbench.store.masks import at_threshold, pack, quantise

        arrays = {name: pack(at_threshold(masks, 0.5))}
        if bits:
            arrays[PROBABILITY_CONTENT] = quantise(masks, bits)
        write_arrays(arrays, folder / MASKS)
