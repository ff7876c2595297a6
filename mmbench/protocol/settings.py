"""The parts of a protocol that say how a run is trained, selected and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mmbench.protocol.annotations import BareString, Fraction, Positive, Strict, Words, located_error
from mmbench.protocol.vocabulary import Stream, Task, dataset_name


class Backbone(Strict):
    """The network under every method. A bare string is short for ``{name: …}``."""

    name: Annotated[
        str,
        Field(pattern=r"^([a-z][a-z0-9_]*|smp:[A-Za-z0-9_]+/[A-Za-z0-9_.-]+)$", max_length=80),
        Words("'paper_unet', 'smp:<decoder>/<timm encoder>' or the name of a plugin's backbone"),
    ] = "paper_unet"
    """``paper_unet``, ``smp:<decoder>/<timm encoder>`` such as ``smp:unet/resnet18``, or a plugin's."""
    width: float = Field(default=1.0, gt=0, le=8)
    """``paper_unet``: multiplier of its 16-32-64-128-256 channels."""
    depth: int = Field(default=5, ge=2, le=6)
    """``paper_unet``: number of encoder blocks."""
    dropout: float = Field(default=0.25, ge=0, lt=1)
    """``paper_unet``: dropout rate after each block."""
    norm: Literal["instance", "batch"] = Field(
        default="instance", exclude_if=lambda value: value == "instance"
    )
    """``paper_unet``: ``instance`` normalisation without affine parameters, as published, or ``batch``
    normalisation, which has what methods that adapt at test time need."""
    pretrained: Annotated[
        bool | Annotated[str, Field(pattern=r"^.+\.safetensors$", max_length=1000)],
        BeforeValidator(lambda value: True if value == "imagenet" else value),
        Words("true, false, 'imagenet' or the path of a .safetensors file"),
    ] = False
    """``smp:*``: weights that the encoder starts from: those that timm has for its name (``true``, or
    ``imagenet``; a tag as in ``resnet18.a1_in1k`` names others), or those of a local ``.safetensors`` file,
    whose path may be relative to the protocol file."""
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """sha256 of that file, or of the weights that timm has: filled in when a protocol is planned; where it is
    given, the weights must match."""
    trained_on: list[Annotated[str, AfterValidator(dataset_name)]] = Field(
        default_factory=list, max_length=100
    )
    """The datasets that these weights were trained on, such as ``chestxray14``: none of them may be tested
    on, unless ``acknowledged_leaks`` says so."""

    @property
    def file(self) -> Path | None:
        """The local file of weights to start from."""
        return Path(self.pretrained) if isinstance(self.pretrained, str) else None


class Optimizer(Strict):
    """The optimiser. A bare string is short for ``{name: …}``."""

    name: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(default=1e-4, gt=0, le=100)
    weight_decay: float = Field(default=0.0, ge=0, le=100)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """``sgd`` only."""


class Schedule(Strict):
    """The learning rate over the steps. A bare string is short for ``{name: …}``."""

    name: Literal["constant", "step", "cosine", "poly"] = "constant"
    every: Positive = 1000
    """``step``: steps between two reductions."""
    factor: float = Field(default=0.1, gt=0, le=1)
    """``step``: what the rate is multiplied by."""
    power: float = Field(default=0.9, gt=0, le=10)
    """``poly``: the rate falls as (1 - step / steps) to this power."""
    warmup: int = Field(default=0, ge=0, le=10**9)
    """Steps over which the rate rises linearly from 0."""


class StrongAugmentation(Strict):
    """RandAugment after the weak augmentation (FixMatch's pool without Color)."""

    operations: int = Field(default=2, ge=0, le=13)
    """How many operations each image gets."""
    probability: Fraction = 1.0
    """Chance that a drawn operation is applied (0.5 in the released script)."""
    cutout: bool = False
    """Blank a random square, up to half the image's side, afterwards (off in the released script)."""


class Augmentation(Strict):
    """Augmentation of training images, batched on the device."""

    flip: bool = True
    """Weak: horizontal flip with probability 1/2."""
    crop: float = Field(default=0.125, ge=0, lt=0.5)
    """Weak: reflect-padded random crop, as a fraction of the side."""
    strong: StrongAugmentation = Field(default_factory=StrongAugmentation)
    segmentation: Literal["none", "weak"] = "none"
    """What segmentation images (and their masks alike) get; none in the publication."""


class Stop(Strict):
    """When a training ends before its last step; the mean of the validation scores counts."""

    patience: Positive
    """Validations without a gain after which it ends."""
    min_gain: float = Field(default=0.0, ge=0, le=1)
    """What a mean score must be above the best one so far to be a gain."""


class Swa(Strict):
    """Plain mean of the weights over the last part of a training (Izmailov et al. 2018, arXiv:1803.05407)."""

    start: Fraction = 0.75
    """From which part of the steps on, such as the last quarter."""
    every: Positive = 1
    """Steps between two weights that count."""


class Swad(Strict):
    """Mean of every step's weights within the valley of the validation loss (Cha et al., arXiv:2102.08604).

    The loss is here 1 less the mean of a validation's scores.
    """

    converge: Positive = 3
    """The valley begins with a validation that is the lowest of this many, itself the first of them."""
    tolerance: Positive = 6
    """It ends where this many validations in a row lie above the threshold."""
    ratio: float = Field(default=0.3, ge=0, le=10)
    """The threshold is 1 + this times the mean loss of the validations that the valley begins with."""


class Training(Strict):
    """One run's training."""

    steps: Positive = 1000
    batch_size: int = Field(default=10, ge=1, le=4096)
    """Images per stream and step."""
    unlabeled_ratio: int = Field(default=1, ge=1, le=64)
    """Unlabelled images per labelled one: streams without labels have this many times ``batch_size``."""
    optimizer: Annotated[Optimizer, BareString("name")] = Field(default_factory=Optimizer)
    schedule: Annotated[Schedule, BareString("name")] = Field(default_factory=Schedule)
    clip: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Largest Euclidean norm of a step's gradient over all weights; a longer one is shortened to it."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is evaluated in their place."""
    swa: Swa | None = None
    """Evaluate the mean of the last part's weights instead."""
    swad: Swad | None = None
    """Evaluate the mean of the weights within the valley of the validation loss instead."""
    validations: int = Field(default=10, ge=0, le=1000)
    """How many times, evenly spaced, the sources' validation parts are scored on the way, the end included.
    They show whether a training has converged; unless it may ``stop``, nothing else depends on them."""
    stop: Stop | None = None
    """End a training early; every method then trains for a time of its own."""
    augmentation: Augmentation = Field(default_factory=Augmentation)
    precision: Literal["float32", "bf16"] = "float32"
    """``bf16`` runs the network under autocast, on CPU and GPU."""
    compile: bool = False
    """Compile the loss with ``torch.compile``, on a GPU with CUDA graphs; needs a C++ compiler, and pays
    for itself in long trainings only."""

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        named = [key for key in ("ema", "swa", "swad") if getattr(self, key) is not None]
        if len(named) > 1:
            raise located_error(f"only one average can be evaluated; remove this key or {named[0]}", named[1])
        if self.swad is not None and self.validations < self.swad.converge:
            raise located_error(f"swad needs at least {self.swad.converge} validations", "validations")
        return self

    def images_of(self, stream: Stream) -> int:
        """Return how many images of a stream a step consumes."""
        return self.batch_size * (1 if stream.labeled else self.unlabeled_ratio)


class Selection(Strict):
    """Which weights of a training are evaluated. A bare string is short for ``{rule: …}``."""

    rule: Literal["last", "source_val", "oracle"] = "last"
    """``last`` weights; best on the sources' validation parts; or, as an upper bound only, best on the
    targets."""
    every: Positive = 100
    """Steps between two validations (``source_val`` and ``oracle``). They score balanced accuracy and Dice
    at a probability of 0.5, whatever the metric policy, so that a new threshold trains nothing."""


class Keep(Strict):
    """What is stored beside scores and predicted masks."""

    weights: bool = True
    """Keep each run's weights, so that another domain can be predicted without training again."""
    probabilities: bool | Literal[8, 16] = False
    """Keep each pixel's probability of lung, rounded down to 8 or 16 bits (``true``: 16), beside the mask
    at the policy's threshold, so that another threshold predicts nothing."""

    @property
    def probability_bits(self) -> int:
        """Bits of a stored probability; 0 when none is stored."""
        return 16 if self.probabilities is True else int(self.probabilities)


class MetricPolicy(Strict):
    """The choices behind a metric that papers leave out; part of the identity of scores."""

    class_threshold: Fraction = 0.5
    """Probability of pneumonia from which a case is called positive; of other classes the most probable one
    counts."""
    mask_threshold: Fraction = 0.5
    """Probability from which a pixel belongs to the mask; rounded up to a multiple of 2**-16."""
    empty_distance: Literal["diagonal", "nan"] = "diagonal"
    """A surface distance when exactly one mask is empty: the image's diagonal, or undefined."""
    nsd_tolerance: float = Field(default=2.0, ge=0, le=1000)
    """Tolerance of the normalised surface distance, in units of the spacing."""
    spacing: float = Field(default=1.0, gt=0, le=1000)
    """Length of a pixel's side; 1 gives distances in pixels of the protocol's image size."""

    def of(self, task: Task) -> dict[str, Any]:
        """Return the fields that the metrics of a task depend on, as JSON values."""
        fields = self.model_dump(mode="json")
        threshold = {"class_threshold": fields.pop("class_threshold")}
        return threshold if task is Task.CLASSIFICATION else fields


class Statistics(Strict):
    """How methods are compared; nothing that is trained depends on it."""

    confidence: float = Field(default=0.95, ge=0.5, lt=1)
    """Of every interval; 1 - confidence is the significance level."""
    equivalence: float = Field(default=0.01, ge=0, le=1)
    """Region of practical equivalence: differences of a score up to this size do not matter."""
    distance_equivalence: float = Field(default=0.01, ge=0, le=1)
    """The same for surface distances, as a share of the image's diagonal."""
    resamples: int = Field(default=1000, ge=100, le=100_000)
    """Patient resamples behind the intervals."""
    metrics: Annotated[list[str], Field(min_length=1)] | None = None
    """What methods are compared by; the metrics of the main table and HD95 when left out. Every metric gets
    an interval; these get differences, too."""
    primary: list[str] = Field(default=["auroc", "dice"], min_length=1)
    """The metrics of the primary question, the only ones that verdicts are given on."""

    @property
    def alpha(self) -> float:
        """The significance level."""
        return 1 - self.confidence
