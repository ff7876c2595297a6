"""What a protocol file may say, documented field by field.

The models hold no names of methods or datasets: those are checked where the registry and the catalogue
are at hand (:mod:`mmbench.planning.plan`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mmbench.errors import Location, suggestion
from mmbench.protocol.annotations import (
    BareString,
    Member,
    Name,
    Positive,
    Scalar,
    Strict,
    Words,
    located_error,
)
from mmbench.protocol.budgets import BudgetGrid, BudgetPair, Budgets, Seeds, UntilDecided
from mmbench.protocol.domains import (
    DatasetChoice,
    DialSweep,
    Sources,
    SplitSizes,
    Target,
    Targets,
    domain_name,
    explicit_names,
    open_alias,
    same_data,
)
from mmbench.protocol.metrics import compared_metrics
from mmbench.protocol.settings import (
    Augmentation,
    Backbone,
    Keep,
    MetricPolicy,
    Optimizer,
    Schedule,
    Selection,
    Statistics,
    Stop,
    StrongAugmentation,
    Swa,
    Swad,
    Training,
)
from mmbench.protocol.tuning import Tune
from mmbench.protocol.vocabulary import CLASS_NAMES, FAMILY_PREFIX, STRUCTURE_NAMES, Task

__all__ = [
    "Augmentation",
    "Backbone",
    "BudgetGrid",
    "BudgetPair",
    "Budgets",
    "DatasetChoice",
    "DialSweep",
    "Keep",
    "MethodEntry",
    "MetricPolicy",
    "Optimizer",
    "Protocol",
    "Scalar",
    "Schedule",
    "Selection",
    "Sources",
    "SplitSizes",
    "Statistics",
    "Stop",
    "Strict",
    "StrongAugmentation",
    "Swa",
    "Swad",
    "Target",
    "Targets",
    "Training",
    "Tune",
    "UntilDecided",
    "domain_name",
]


class MethodEntry(Strict):
    """One row of the benchmark: a method, under its own or another name, with overrides.

    An ablation is an entry with a name and overrides. A bare string is short for ``{method: …}``.
    """

    method: str = Field(min_length=1, max_length=80)
    """A name from ``mmbench list methods``, or ``family:`` and the name of a family there: every method of it
    that has no row of its own."""
    name: Name | None = None
    """The row's name in tables; the method's own name when left out."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """Values that differ from the method's defaults."""
    backbone: Annotated[Backbone, BareString("name")] | None = None
    """Another backbone than the protocol's, such as a pretrained encoder."""
    tune: bool = True
    """Whether its hyper-parameters are tuned, where the protocol says ``tune``; those named here are not."""

    @property
    def label(self) -> str:
        """The row's name in tables."""
        return self.name or self.method

    @property
    def family(self) -> str | None:
        """The family whose methods are meant, where it is not one method."""
        return self.method.removeprefix(FAMILY_PREFIX) if self.method.startswith(FAMILY_PREFIX) else None


class Protocol(Strict):
    """A benchmark: what is trained, on what, how often, and how it is judged."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80),
        Words("a name (a letter or digit, then at most 79 letters, digits and . _ -)"),
    ]
    """Names the results folder."""
    description: str = ""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Root of every random stream."""
    classes: Annotated[tuple[Member, ...], Field(min_length=2, max_length=50)] = CLASS_NAMES
    """What the classifier tells apart, in the order of its outputs: names of the datasets' findings, or what
    their ``label_map`` makes of them."""
    structures: Annotated[tuple[Member, ...], Field(min_length=1, max_length=20)] = STRUCTURE_NAMES
    """What is segmented, each with a mask of its own."""
    sources: Sources
    targets: Targets = Field(default_factory=Targets)
    budgets: Budgets
    subsets: Positive | None = None
    """Number of labelled subsets, each trained with every seed; when left out, each seed has its own one."""
    seeds: Seeds = 1
    """Number of training seeds; or ``{until: decided, first: 3, most: 20}``: looks after 3, 5, 7, 10, 14 and
    20 seeds, and no more seeds for what is decided."""
    methods: list[Annotated[MethodEntry, BareString("method")]] = Field(min_length=1, max_length=200)
    plugins: list[str] = Field(default_factory=list, max_length=100)
    """Files of methods, or folders of them, as ``--plugin`` names them; relative to the protocol file."""
    trivial_baselines: list[str] = Field(default=["majority", "positive", "prevalence", "mean_mask"])
    """Constant predictors that the methods are compared with."""
    reference: str | None = None
    """The row that comparisons are made against; the first method when left out."""
    backbone: Annotated[Backbone, BareString("name")] = Field(default_factory=Backbone)
    image_size: int = Field(default=256, ge=16, le=2048)
    """Side of the square images, in pixels; ``paper_unet`` needs at least 2 to the power of its depth."""
    training: Training = Field(default_factory=Training)
    recipe: Literal["shared", "published"] = "shared"
    """``shared``: every row is trained as ``training`` says; ``published``: a row whose method declares other
    settings in its publication is trained with those."""
    tune: Tune | None = None
    """How hyper-parameters are tuned; when left out, they are what ``methods`` and the plugins say."""
    selection: Annotated[Selection, BareString("rule")] = Field(default_factory=Selection)
    evaluation: MetricPolicy = Field(default_factory=MetricPolicy)
    keep: Keep = Field(default_factory=Keep)
    """What is stored beside scores and predicted masks."""
    acknowledged_leaks: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list
    )
    """Pairs of parts, such as ``[kermany:train, kermany:test]``, whose leaks are known and reported only."""
    statistics: Statistics = Field(default_factory=Statistics)

    @field_validator("classes", "structures")
    @classmethod
    def _distinct_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for position, name in enumerate(names):
            if name in names[:position]:
                raise located_error(f"{name!r} is listed twice; remove one", position)
        return names

    @field_validator("methods")
    @classmethod
    def _distinct_labels(cls, methods: list[MethodEntry]) -> list[MethodEntry]:
        labels: set[str] = set()
        for position, entry in enumerate(methods):
            if entry.label in labels:
                raise located_error(
                    f"{entry.label!r} is listed twice; give one of them another name", position
                )
            labels.add(entry.label)
        return methods

    @field_validator("acknowledged_leaks")
    @classmethod
    def _dataset_aliases(cls, pairs: list[list[str]], info: ValidationInfo) -> list[list[str]]:
        roles = [info.data[key] for key in ("sources", "targets") if key in info.data]
        domains = explicit_names(roles)
        return [[open_alias(part, domains) for part in pair] for pair in pairs]

    @model_validator(mode="after")
    def _image_size_fits(self) -> Self:
        for backbone in self.backbones.values():
            smallest = 2**backbone.depth
            if backbone.name == "paper_unet" and self.image_size < smallest:
                raise located_error(
                    f"paper_unet of depth {backbone.depth} needs images of at least {smallest} pixels, "
                    f"not {self.image_size}",
                    "image_size",
                )
        return self

    @model_validator(mode="after")
    def _roles_agree(self) -> Self:
        for task in Task:
            source: DatasetChoice | None = self.sources.of(task)
            budgets = self.budgets.of(task)
            targets: list[DatasetChoice] = self.targets.of(task)
            if source is None and targets:
                raise located_error(f"{task.value} has targets but no source", "targets", task.value)
            if source is None and budgets:
                raise located_error(f"there is a {task.value} budget but no {task.value} source", "budgets")
            if source is None:
                continue
            if not budgets:
                raise located_error(
                    f"no {task.value} budget is named, but {task.value} has a source", "budgets"
                )
            domains = [domain_name(source)]
            for target in targets:
                if same_data(target, source):
                    raise located_error(
                        f"{target.dataset!r} is the {task.value} source and cannot be its target too",
                        "targets",
                        task.value,
                    )
                if domain_name(target) in domains:
                    raise located_error(
                        f"two domains are called {domain_name(target)!r}; give one of them a name",
                        "targets",
                        task.value,
                    )
                domains.append(domain_name(target))
        labels = [entry.label for entry in self.methods]
        # What belongs to a family is known only where the methods are.
        families = any(entry.family is not None for entry in self.methods)
        if self.reference is not None and self.reference not in labels and not families:
            raise located_error(
                f"{self.reference!r} is not among the methods; {suggestion(self.reference, labels)}",
                "reference",
            )
        return self

    @model_validator(mode="after")
    def _threshold_is_of_two_classes(self) -> Self:
        if self.classes != CLASS_NAMES and self.evaluation.class_threshold != 0.5:
            raise located_error(
                "belongs to the classes normal and pneumonia; among others the most probable one counts, so "
                "remove this key",
                "evaluation",
                "class_threshold",
            )
        return self

    @model_validator(mode="after")
    def _stop_needs_validations(self) -> Self:
        if self.training.stop is not None and self.training.validations < 2:
            raise located_error("stop needs at least 2 validations", "training", "validations")
        return self

    @model_validator(mode="after")
    def _tuning_needs_validations(self) -> Self:
        if self.tune is not None and self.training.validations < 1:
            raise located_error("tuning needs at least 1 validation", "training", "validations")
        if self.tune is not None and self.selection.rule == "oracle":
            raise located_error("tuning may see no target; write last or source_val", "selection", "rule")
        return self

    @model_validator(mode="after")
    def _swad_selects(self) -> Self:
        if self.training.swad is not None and self.selection.rule != "last":
            raise located_error(
                "swad chooses the steps whose weights are evaluated; write last", "selection", "rule"
            )
        return self

    @model_validator(mode="after")
    def _sequential_is_not_crossed(self) -> Self:
        if self.sequential is not None and self.crossed:
            raise located_error("seeds until decided need a labelled subset each; remove this key", "subsets")
        return self

    @property
    def sequential(self) -> UntilDecided | None:
        """The group-sequential design, if seeds are added until everything is decided."""
        return self.seeds if isinstance(self.seeds, UntilDecided) else None

    @property
    def most_seeds(self) -> int:
        """The largest number of seeds."""
        return self.seeds.most if isinstance(self.seeds, UntilDecided) else self.seeds

    @property
    def crossed(self) -> bool:
        """Whether labelled subsets and seeds are crossed, rather than one subset for each seed."""
        return self.subsets is not None

    @property
    def trainings(self) -> int:
        """How many trainings each row has at each pair of budgets."""
        return self.most_seeds * (self.subsets or 1)

    @property
    def subset_numbers(self) -> range:
        """Every labelled subset."""
        return range(self.most_seeds if self.subsets is None else self.subsets)

    def seeds_of(self, subset: int) -> range:
        """Return the seeds that are trained on a labelled subset."""
        return range(self.most_seeds) if self.crossed else range(subset, subset + 1)

    def backbone_of(self, entry: MethodEntry) -> Backbone:
        """Return the backbone that a row is built on."""
        return entry.backbone or self.backbone

    @property
    def backbones(self) -> dict[Location, Backbone]:
        """Every backbone by the key that names it: the protocol's, and those of rows that have their own."""
        own = enumerate(entry.backbone for entry in self.methods)
        return {("backbone",): self.backbone} | {
            ("methods", index, "backbone"): backbone for index, backbone in own if backbone is not None
        }

    def with_backbones(self, change: Callable[[Location, Backbone], Backbone]) -> Self:
        """Return the protocol with each backbone as ``change`` makes it, given the key that names it."""
        changed = {at: change(at, backbone) for at, backbone in self.backbones.items()}
        methods = [
            entry.model_copy(update={"backbone": changed.get(("methods", index, "backbone"))})
            for index, entry in enumerate(self.methods)
        ]
        return self.model_copy(update={"backbone": changed[("backbone",)], "methods": methods})

    @property
    def reference_label(self) -> str:
        """The row that comparisons are made against."""
        return self.reference or self.methods[0].label

    @property
    def compared_metrics(self) -> list[str]:
        """What methods are compared by, the primary metrics included."""
        metrics = self.statistics.metrics or compared_metrics(self.classes, self.structures)
        return list(dict.fromkeys([*self.statistics.primary, *metrics]))

    @property
    def tasks(self) -> list[Task]:
        """The tasks that have a source."""
        return [task for task in Task if self.sources.of(task) is not None]
