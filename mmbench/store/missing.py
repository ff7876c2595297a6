"""What is missing of a run: its training, its predictions, its scores.

Presence is not enough. Predictions count only if they were made by the weights that are stored now, and
scores only if they were made from the predictions that are stored now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbench.protocol.runs import RunSpec
from mmbench.protocol.specs import PredictionsSpec, ScoresSpec
from mmbench.protocol.vocabulary import Task
from mmbench.store.records import LayerName
from mmbench.store.store import ResultStore

PROBABILITY_CONTENT = "probabilities"


@dataclass(frozen=True)
class Missing:
    """What must be made of a run.

    Attributes
    ----------
    train : bool
        Whether it must be trained.
    again : bool
        Whether it was trained before, but its weights were not kept and predictions need them.
    predict : tuple of PredictionsSpec
        Predictions that are not there, or do not suffice for the scores that are asked for.
    score : tuple of ScoresSpec
        Scores that are not there.
    """

    train: bool = False
    again: bool = False
    predict: tuple[PredictionsSpec, ...] = ()
    score: tuple[ScoresSpec, ...] = ()

    def __bool__(self) -> bool:
        return self.train or bool(self.predict) or bool(self.score)


def missing(
    store: ResultStore, run: RunSpec, scores: Sequence[ScoresSpec], force: LayerName | None = None
) -> Missing:
    """Return what is missing of a run.

    Parameters
    ----------
    store : ResultStore
        What is there.
    run : RunSpec
        The run.
    scores : sequence of ScoresSpec
        The scores that are asked of it, and with them the predictions.
    force : {'run', 'predictions', 'scores'}, optional
        A layer to make again whether or not it is there, with what is made from it.

    Raises
    ------
    StoreError
        If a record is damaged.
    """
    record = store.runs.content(run.id) if store.runs.has(run.id) else None
    product = record["product"] if record is not None else None
    predict, score = [], []
    for spec in scores:
        scored = force is None and is_scored(store, spec)
        predicted = force in (None, "scores") and is_predicted(store, spec, product, scored)
        if not predicted:
            predict.append(spec.predictions)
        if not scored:
            score.append(spec)
    again = record is not None and bool(predict) and not record["kept"]
    train = record is None or force == "run" or again
    return Missing(train, again and force != "run", tuple(predict), tuple(score))


def is_predicted(store: ResultStore, spec: ScoresSpec, product: str | None, scored: bool = False) -> bool:
    """Return whether predictions are there, of the run's weights, and suffice to be scored.

    Parameters
    ----------
    store : ResultStore
        What is there.
    spec : ScoresSpec
        The scores that they are needed for.
    product : str or None
        The run's; None where it is not trained yet, so that any predictions may be its.
    scored : bool
        The scores are there, so that nothing more is asked of the predictions.
    """
    wanted = spec.predictions
    if not (store.predictions.has(wanted.id) and store.ground_truth.has(wanted.ground_truth)):
        return False
    content = store.predictions.content(wanted.id)
    if product is not None and content["product"] != product:
        return False
    return scored or scored_content(content, spec) is not None


def is_scored(store: ResultStore, spec: ScoresSpec) -> bool:
    """Return whether scores are there, of the predictions that are stored now, if any are."""
    if not store.scores.has(spec.id):
        return False
    if not store.predictions.has(spec.predictions.id):
        return True  # lost predictions are made again, and then it shows whether they are the same
    contents = store.predictions.content(spec.predictions.id)["contents"]
    return store.scores.content(spec.id)["scored"] in contents.values()


def scored_content(predictions: Mapping[str, Any], spec: ScoresSpec) -> str | None:
    """Return which array of a predictions' record holds what is to be scored; None if none does.

    Parameters
    ----------
    predictions : mapping
        The record, as :meth:`Layer.content` returns it.
    spec : ScoresSpec
        For masks, its policy's threshold decides.
    """
    contents = predictions["contents"]
    if spec.predictions.task is Task.CLASSIFICATION:
        return PROBABILITY_CONTENT if PROBABILITY_CONTENT in contents else None
    threshold = spec.policy.mask_threshold
    if mask_content(threshold) in contents:
        return mask_content(threshold)
    bits = predictions["probability_bits"]
    # Rounded down to 8 bits, probabilities can only be compared with multiples of 1/256.
    exact = bits == 16 or (bits == 8 and threshold < 1 and float(256 * threshold).is_integer())
    return PROBABILITY_CONTENT if exact else None


def mask_content(threshold: float) -> str:
    """Return the name of the masks at a threshold among a predictions' arrays."""
    return f"mask {threshold:g}" if float(f"{threshold:g}") == threshold else f"mask {threshold!r}"
