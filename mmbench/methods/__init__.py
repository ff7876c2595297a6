"""The Method contract and the loss terms that methods share.

Everything that a plugin needs is importable from here.
"""

from mmbench.methods import blocks, terms
from mmbench.methods.base import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    SEGMENTATION,
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
    UNLABELED_TARGET_CLASSIFICATION,
    UNLABELED_TARGET_SEGMENTATION,
    Adaptation,
    Hyperparameters,
    LabeledData,
    Method,
    Prediction,
    Problem,
)
from mmbench.methods.batch import Batch, CutMix, Pool, StreamBatch, Views
from mmbench.methods.network import BridgeHyperparameters, NetworkMethod
from mmbench.plugins.registry import register_method
from mmbench.protocol.search import Choice, Range

__all__ = [
    "CLASSIFICATION",
    "LABELED_CLASSIFICATION",
    "LABELED_SEGMENTATION",
    "SEGMENTATION",
    "UNLABELED_CLASSIFICATION",
    "UNLABELED_SEGMENTATION",
    "UNLABELED_TARGET_CLASSIFICATION",
    "UNLABELED_TARGET_SEGMENTATION",
    "Adaptation",
    "Batch",
    "BridgeHyperparameters",
    "Choice",
    "CutMix",
    "Hyperparameters",
    "LabeledData",
    "Method",
    "NetworkMethod",
    "Pool",
    "Prediction",
    "Problem",
    "Range",
    "StreamBatch",
    "Views",
    "blocks",
    "register_method",
    "terms",
]
