"""The Method contract: the one thing a contributor writes.

This module and the built-in plugins import without torch, so that listing methods and resolving
hyper-parameters stay instant; torch is imported by the functions that compute with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from mmbench.protocol.schema import Backbone
from mmbench.protocol.vocabulary import Stream, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

CLASSIFICATION = Task.CLASSIFICATION
SEGMENTATION = Task.SEGMENTATION
LABELED_CLASSIFICATION = Stream.LABELED_CLASSIFICATION
UNLABELED_CLASSIFICATION = Stream.UNLABELED_CLASSIFICATION
LABELED_SEGMENTATION = Stream.LABELED_SEGMENTATION
UNLABELED_SEGMENTATION = Stream.UNLABELED_SEGMENTATION


class Hyperparameters(BaseModel):
    """Base of a method's hyper-parameters: unknown keys, wrong types and non-finite numbers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Problem:
    """What a method may know of the protocol when it builds its network.

    Attributes
    ----------
    tasks : frozenset of Task
        The tasks to learn: the method's own, as far as the protocol has a source for them.
    backbone : Backbone
        The network to build, see :func:`mmbench.networks.build_network`.
    image_size : int
        Side of the square images in pixels.
    num_classes : int
        Number of classes; class 1 is pneumonia.
    seed : int
        Of a method that draws its own random numbers in ``predict`` (the trivial baseline ``prevalence``).
    """

    tasks: frozenset[Task]
    backbone: Backbone
    image_size: int
    num_classes: int = 2
    seed: int = 0


@dataclass
class StreamBatch:
    """One stream's share of a step. Images are float32 in [-1, 1], shape (N, 1, H, W).

    Attributes
    ----------
    images : Tensor
        Weakly augmented for classification streams; as the protocol says for segmentation streams.
    labels : Tensor or None
        Of ``labeled_classification``: int64, shape (N,).
    masks : Tensor or None
        Of ``labeled_segmentation``: float32 in {0, 1}, shape (N, 1, H, W).
    strong : Tensor or None
        Of ``unlabeled_classification``: the same images, strongly augmented.
    """

    images: Tensor
    labels: Tensor | None = None
    masks: Tensor | None = None
    strong: Tensor | None = None


Batch = Mapping[Stream, StreamBatch]


@dataclass(frozen=True)
class LabeledData:
    """The labelled training data of a run, handed once to :meth:`Method.start`.

    Attributes
    ----------
    labels : Tensor or None
        int64, shape (N,): the labels within the classification budget.
    masks : Tensor or None
        uint8 in {0, 1}, shape (M, H, W): the masks within the segmentation budget.
    """

    labels: Tensor | None = None
    masks: Tensor | None = None


@dataclass
class Prediction:
    """What a method says of a batch of N images: the part of the task that it was asked for.

    Attributes
    ----------
    class_logits : Tensor or None
        Classification: shape (N, classes).
    mask_logits : Tensor or None
        Segmentation: shape (N, 1, H, W).
    """

    class_logits: Tensor | None = None
    mask_logits: Tensor | None = None


class Method:
    """A network and its loss.

    A subclass declares ``tasks``, ``streams`` and, if it has any, ``Hyperparameters``, and implements
    ``build``, ``losses`` and ``predict``. It never sees test data, file paths, devices or the store.

    Attributes
    ----------
    tasks : set of Task
        What it predicts.
    streams : set of Stream
        What a step consumes; the engine builds only these.
    seeded : bool
        False when nothing depends on the training seed.
    trivial : bool
        True for a constant predictor: never trained, shown in every table.
    hyperparameters : Hyperparameters
        The resolved values.
    name, reference : str
        Set by :func:`mmbench.plugins.register_method`.
    """

    tasks: ClassVar[set[Task]] = set()
    streams: ClassVar[set[Stream]] = set()
    seeded: ClassVar[bool] = True
    trivial: ClassVar[bool] = False
    name: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    Hyperparameters: ClassVar[type[BaseModel]] = Hyperparameters

    hyperparameters: Any

    def __init__(self, hyperparameters: BaseModel | None = None):
        self.hyperparameters = hyperparameters if hyperparameters is not None else self.Hyperparameters()

    def build(self, problem: Problem) -> None:
        """Make the network(s) as attributes of ``self``; the engine finds every ``nn.Module`` there.

        Called more than once in a training, on a new object each time: it must change nothing else.
        """
        raise NotImplementedError

    def start(self, labeled: LabeledData) -> None:
        """Look once at the labelled training data before the first step (class balance, mean mask)."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the named, already weighted loss terms of a step; the engine sums and steps.

        Every value is a scalar tensor.
        """
        raise NotImplementedError

    def predict(self, images: Tensor, task: Task) -> Prediction:
        """Return the prediction for images of shape (N, 1, H, W) in [-1, 1], for one task alone.

        Deterministic, and changes no module state. The engine calls it with every module in evaluation
        mode and without gradients. It must not depend on anything but :meth:`build`, the modules' weights
        and :meth:`state`: predictions are also made later, from what was saved of them.

        Parameters
        ----------
        images : Tensor
            float32.
        task : Task
            One of the problem's tasks.
        """
        raise NotImplementedError

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer | None:
        """Return an optimiser of the method's own, or None for the protocol's."""
        return None

    def after_step(self, step: int) -> None:
        """Run after each optimiser step, for example to move an averaged teacher."""

    def log(self) -> dict[str, float]:
        """Return further values to record beside the losses of the last step."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return what must be saved beside the modules and the optimiser.

        That is whatever ``start``, ``losses`` or ``after_step`` keep in other attributes and need later, in
        a resumed training or in ``predict``: tensors, numbers, text, and lists or dicts of them.
        """
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned; the method is built, but need not have been started."""

    @classmethod
    def skip(cls, problem: Problem) -> str | None:
        """Return why the method cannot run on this problem, or None if it can."""
        return None

    def modules(self) -> dict[str, nn.Module]:
        """Return every ``nn.Module`` among the attributes, by attribute name."""
        from torch import nn

        return {name: value for name, value in vars(self).items() if isinstance(value, nn.Module)}
