"""A metric of masks, one of each classified case, and one that only all cases have."""

import numpy as np
from sklearn.metrics import cohen_kappa_score

from mmbench.methods import CLASSIFICATION, SEGMENTATION
from mmbench.plugins import register_metric


@register_metric(
    "area_similarity",
    task=SEGMENTATION,
    heading="VS",
    title="volumetric similarity",
    definition="1 - ||P| - |T|| / (|P| + |T|); 1 when both are empty",
    source="Taha and Hanbury 2015, doi:10.1186/s12880-015-0068-x",
)
def area_similarity(prediction, truth, policy):
    """Return the similarity of two areas."""
    predicted, true = np.count_nonzero(prediction), np.count_nonzero(truth)
    return 1 - abs(predicted - true) / (predicted + true) if predicted + true else 1.0


@register_metric(
    "log_loss",
    task=CLASSIFICATION,
    heading="LL",
    title="logarithmic loss",
    definition="minus the logarithm of the label's probability, which counts as at least 1e-6",
    source="Good 1952",
    better="lower",
    highest=14.0,
    unit="nats",
)
def log_loss(probabilities, labels, policy):
    """Return the logarithmic loss of each case."""
    own = probabilities[np.arange(len(labels)), labels]
    return -np.log(np.maximum(own, 1e-6))


@register_metric(
    "weighted_kappa",
    task=CLASSIFICATION,
    heading="Kappa",
    title="quadratically weighted kappa",
    definition="1 - observed over expected squared distance of classes",
    source="Cohen 1968, doi:10.1037/h0026256",
    lowest=-1.0,
    per_case=False,
)
def weighted_kappa(probabilities, labels, policy):
    """Return the agreement of predicted classes and labels."""
    return cohen_kappa_score(labels, probabilities.argmax(1), weights="quadratic")
