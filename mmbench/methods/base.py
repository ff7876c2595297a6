"""The Method contract: the one thing a contributor writes.

This module and the built-in plugins import without torch, so that listing methods and resolving
hyper-parameters stay instant; torch is imported by the functions that compute with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from mmbench.errors import PluginError
from mmbench.methods.batch import Batch, Pool, Views
from mmbench.protocol.schema import Backbone
from mmbench.protocol.vocabulary import CLASS_NAMES, STRUCTURE_NAMES, Stream, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

CLASSIFICATION = Task.CLASSIFICATION
SEGMENTATION = Task.SEGMENTATION
LABELED_CLASSIFICATION = Stream.LABELED_CLASSIFICATION
UNLABELED_CLASSIFICATION = Stream.UNLABELED_CLASSIFICATION
LABELED_SEGMENTATION = Stream.LABELED_SEGMENTATION
UNLABELED_SEGMENTATION = Stream.UNLABELED_SEGMENTATION
UNLABELED_TARGET_CLASSIFICATION = Stream.UNLABELED_TARGET_CLASSIFICATION
UNLABELED_TARGET_SEGMENTATION = Stream.UNLABELED_TARGET_SEGMENTATION


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
    classes : tuple of str
        Names of the classes, in the order of class logits.
    structures : tuple of str
        Names of the structures, in the order of a mask's channels.
    seed : int
        Of a method that draws its own random numbers in ``predict`` (the trivial baseline ``prevalence``).
    steps : int
        Of the whole training.
    batch_size : int
        Images per labelled stream and step.
    unlabeled_batch_size : int
        Images per stream without labels and step.
    """

    tasks: frozenset[Task]
    backbone: Backbone
    image_size: int
    classes: tuple[str, ...] = CLASS_NAMES
    structures: tuple[str, ...] = STRUCTURE_NAMES
    seed: int = 0
    steps: int = 1000
    batch_size: int = 10
    unlabeled_batch_size: int = 10

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def num_structures(self) -> int:
        """Number of structures."""
        return len(self.structures)


@dataclass(frozen=True)
class LabeledData:
    """The labelled training data of a run, handed once to :meth:`Method.start`.

    Attributes
    ----------
    labels : Tensor or None
        int64, shape (N,): the labels within the classification budget.
    masks : Tensor or None
        uint8 in {0, 1}, shape (M, structures, H, W): the masks within the segmentation budget.
    pool_sizes : mapping from Stream to int
        How many images each of the method's streams draws from; ``rows`` of a batch counts within them.
    """

    labels: Tensor | None = None
    masks: Tensor | None = None
    pool_sizes: Mapping[Stream, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Adaptation:
    """How a method that adapts at test time is shown the images that it predicts.

    Attributes
    ----------
    batch_size : int
        Images that it sees at once; the last batch of a domain may be smaller.
    episodic : bool
        Whether it starts anew from the trained weights with each batch; otherwise it goes on from batch to
        batch (online), and starts anew with each domain and task.
    order : {'shuffled', 'stored'}
        Of a domain's images: at random, by the run's seed, or as the dataset lists them, which may be class
        by class.
    """

    batch_size: int = 64
    episodic: bool = False
    order: Literal["shuffled", "stored"] = "shuffled"


@dataclass
class Prediction:
    """What a method says of a batch of N images: the part of the task that it was asked for.

    Attributes
    ----------
    class_logits : Tensor or None
        Classification: shape (N, classes).
    mask_logits : Tensor or None
        Segmentation: shape (N, structures, H, W).
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
    views : mapping from Stream to Views
        Further augmented copies of a stream's images; one weak view is what every stream has.
    published : mapping from str to Any
        Settings of a protocol's ``training`` that the publication names, nested as in a protocol file, such
        as ``{"unlabeled_ratio": 7, "ema": 0.999}``; for protocols that allow each method its published ones.
    training : mapping from str to Any
        Settings of a protocol's ``training`` that are the method itself, such as ``{"swad": {}}``: they hold
        under every recipe.
    family : str
        The methods that it belongs to, for lists, tables and ``methods: [family:…]`` of a protocol; where it
        is empty, it follows from what the method sees (:func:`mmbench.protocol.families.family_of`).
    adaptation : Adaptation or None
        Of a method that adapts to the images that it predicts, by :meth:`begin_adaptation` and :meth:`adapt`.
        Tables mark it as transductive.
    trained_as : str
        The name of a method that is trained in exactly the same way, whose stored weights are then taken
        over: for methods that differ from it only when they predict.
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
    views: ClassVar[Mapping[Stream, Views]] = {}
    published: ClassVar[Mapping[str, Any]] = {}
    training: ClassVar[Mapping[str, Any]] = {}
    family: ClassVar[str] = ""
    adaptation: ClassVar[Adaptation | None] = None
    trained_as: ClassVar[str] = ""
    seeded: ClassVar[bool] = True
    trivial: ClassVar[bool] = False
    name: ClassVar[str] = ""
    reference: ClassVar[str] = ""
    Hyperparameters: ClassVar[type[BaseModel]] = Hyperparameters

    hyperparameters: Any

    def __init__(self, hyperparameters: BaseModel | None = None):
        self.hyperparameters = hyperparameters if hyperparameters is not None else self.Hyperparameters()
        self.forget_observed()

    def build(self, problem: Problem) -> None:
        """Make the network(s) as attributes of ``self``; the engine finds every ``nn.Module`` there.

        Called more than once in a training, on a new object each time: it must change nothing else. Layers
        of one name and shape start from the same weights in all methods of a seed: the names within the
        first network, whatever the attribute is called, and within every further one under its attribute's
        name. So two networks that are built alike start from different weights; ``copy.deepcopy`` makes one
        that starts from the same. Modules stay in the mode, training or evaluation, that they are left in.
        """
        raise NotImplementedError

    def start(self, labeled: LabeledData) -> None:
        """Look once at the labelled training data before the first step (class balance, mean mask)."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Return the named, already weighted loss terms of a step; the engine sums and steps.

        Every value is a scalar tensor, a mean over a stream's images. Where a GPU's memory runs out the
        engine calls this again, with parts of the batch, so it must not change what the method keeps:
        what a step learns for :meth:`after_step` goes through :meth:`observe`.
        """
        raise NotImplementedError

    def stages(self) -> Sequence[float]:
        """Return after which parts of the training, each in (0, 1), a new stage begins; none by default."""
        return ()

    def begin_stage(self, number: int, pools: Mapping[Stream, Pool]) -> None:
        """Look at the streams' whole pools before the first step of a stage, say to label them.

        The engine calls it with every module in evaluation mode and without gradients. What it keeps must be
        in :meth:`state`; pixels that it labels follow an augmented image by :meth:`StreamBatch.move`.

        Parameters
        ----------
        number : int
            Of the stage: 1 for the first that :meth:`stages` names.
        pools : mapping from Stream to Pool
            Of the method's streams; ``pools[stream].batches()`` has every image once, unaugmented.
        """
        raise NotImplementedError

    def combine(self, gradients: Mapping[str, Tensor]) -> Tensor:
        """Return a step's gradient from those of its loss terms.

        Only for methods that treat the terms' gradients in another way than adding them up: where it is
        overridden, every term has a backward pass of its own.

        Parameters
        ----------
        gradients : mapping from str to Tensor
            By the name of the term: float32, shape (P,), over all trainable weights one after the other, and
            over the whole batch.

        Returns
        -------
        Tensor
            Shape (P,).
        """
        import torch

        return torch.stack(list(gradients.values())).sum(0)

    def observe(self, **values: Tensor) -> None:
        """Hand something of each image from ``losses`` to ``after_step``, by name.

        Parameters
        ----------
        **values : Tensor
            The first axis counts images. They are kept without their gradients until the next step.
        """
        for name, value in values.items():
            self._observed.setdefault(name, []).append(value.detach())

    def observed(self, name: str) -> Tensor:
        """Return what ``losses`` gave :meth:`observe` in this step, of the whole batch; for ``after_step``.

        Raises
        ------
        PluginError
            If nothing of this name was observed.
        """
        import torch

        if name not in self._observed:
            known = ", ".join(self._observed) or "nothing"
            raise PluginError(f"method {self.name!r} observed no {name!r} in this step, only {known}")
        return torch.cat(self._observed[name])

    def forget_observed(self) -> None:
        """Forget what was observed; the engine calls it before each attempt at a step."""
        self._observed: dict[str, list[Tensor]] = {}

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

    def begin_adaptation(self, task: Task) -> None:
        """Prepare to adapt, from the trained weights; only called where there is an ``adaptation``.

        All that a method keeps is a copy then, modules in evaluation mode: it can be changed at will.

        Raises
        ------
        PluginError
            If there is nothing to adapt.
        """

    def adapt(self, images: Tensor, task: Task) -> None:
        """Adapt to the images that :meth:`predict` is asked for next, shape (N, 1, H, W) in [-1, 1].

        Gradients are enabled; labels and masks are never shown.
        """
        raise NotImplementedError

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer | None:
        """Return an optimiser of the method's own, or None for the protocol's."""
        return None

    def learning_rates(self) -> Mapping[str, float]:
        """Return factors of the protocol's learning rate for some of the weights.

        Keys are beginnings of weights' names, the attribute's name first, such as ``network.encoder``; the
        longest that fits counts, and the factor is 1 where none does.
        """
        return {}

    def after_step(self, step: int) -> None:
        """Run after each optimiser step, for example to move an averaged teacher.

        Parameters
        ----------
        step : int
            Counts from 1, as ``batch.step`` does.
        """

    def log(self) -> dict[str, float]:
        """Return further values to record beside the losses of the last step."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return what must be saved beside the modules and the optimiser.

        That is whatever ``start`` or ``after_step`` keep in other attributes and need later, in a resumed
        training or in ``predict``: tensors, numbers, text, and lists or dicts of them.
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
