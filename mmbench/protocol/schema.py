"""What a protocol file may say, documented field by field.

The models hold no names of methods or datasets: those are checked where the registry and the catalogue
are at hand (:mod:`mmbench.planning.plan`).
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mmbench.errors import suggestion
from mmbench.protocol.annotations import (
    NAME_PATTERN,
    BareString,
    Name,
    OneOrMany,
    Positive,
    ReadAs,
    Scalar,
    Strict,
    Words,
    located_error,
    refuse_bool,
)
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
    Training,
)
from mmbench.protocol.vocabulary import Budget, Task, budget_order, dataset_name

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
    "Target",
    "Targets",
    "Training",
    "UntilDecided",
    "domain_name",
]

BudgetField = Annotated[Annotated[int, Field(ge=1, le=10**9)] | Literal["full"], BeforeValidator(refuse_bool)]


class SplitSizes(Strict):
    """How many cases go to each part: three counts, or three fractions that sum to 1."""

    train: float = Field(ge=0)
    validation: float = Field(ge=0)
    test: float = Field(ge=0)

    @model_validator(mode="after")
    def _counts_or_fractions(self) -> Self:
        sizes = (self.train, self.validation, self.test)
        if abs(sum(sizes) - 1) > 1e-6 and not all(float(size).is_integer() for size in sizes):
            raise ValueError("give three whole counts, or three fractions that sum to 1")
        return self


class ClassCounts(Strict):
    """How many cases of each class to keep."""

    normal: int = Field(ge=0, le=10**9)
    pneumonia: int = Field(ge=0, le=10**9)


class DatasetChoice(Strict):
    """One dataset in one role. A bare string is short for ``{dataset: …}``."""

    dataset: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(dataset_name)]
    """A name from ``mmbench list datasets``, for example ``phantom:adult_pa`` or ``shenzhen``."""
    name: Name | None = None
    """The domain's name in tables; the dataset's own name when left out."""
    path: str | None = None
    """``manifest`` only: the CSV file. Relative paths are looked up under the data root."""
    cases: Positive | None = None
    """Phantom: how many cases to generate. Real data: a seeded, stratified subset of this size."""
    class_counts: ClassCounts | None = None
    """Real data: a seeded subset with this many cases of each class, instead of ``cases``."""
    dials: dict[str, Scalar] = Field(default_factory=dict)
    """``phantom:*`` only: dials that differ from the domain's own."""
    split: SplitSizes | None = None
    """Sizes of the drawn parts where the dataset has no official ones."""
    part: Literal["all", "test"] = "all"
    """Which cases of a target domain are evaluated. Sources are always evaluated on their test part."""
    one_per_patient: bool = False
    """Keep one case for each patient, chosen by a named random stream."""

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if self.cases is not None and self.class_counts is not None:
            raise located_error("give either cases or class_counts, not both", "class_counts")
        return self


class DialSweep(Strict):
    """Values of one phantom dial; the entry stands for one target domain per value."""

    dial: str = Field(min_length=1, max_length=40)
    """The dial's name."""
    values: list[Scalar] = Field(min_length=1, max_length=100)
    """What it is set to, one target domain each."""


class Target(DatasetChoice):
    """One target domain, or one per value of a ``sweep``. A bare string is short for ``{dataset: …}``."""

    sweep: DialSweep | None = None
    """``phantom:*`` only: a dial and its values."""


DatasetField = Annotated[DatasetChoice, BareString("dataset")]


class PerTask(Strict):
    """A model with one field for each task."""

    def of(self, task: Task) -> Any:
        """Return the field of a task."""
        return getattr(self, task.value)


class Sources(PerTask):
    """The domains trained on. A role left out leaves its task unlearned."""

    classification: DatasetField | None = None
    segmentation: DatasetField | None = None

    @model_validator(mode="after")
    def _some_source(self) -> Self:
        if self.classification is None and self.segmentation is None:
            raise ValueError("name a classification source, a segmentation source or both")
        return self


def _expand_sweeps(entries: list[Target]) -> list[DatasetChoice]:
    expanded: list[DatasetChoice] = []
    for position, entry in enumerate(entries):
        choice = DatasetChoice.model_validate(entry.model_dump(exclude={"sweep"}, exclude_unset=True))
        if entry.sweep is None:
            expanded.append(choice)
            continue
        for setting in entry.sweep.values:
            name = f"{domain_name(entry)} {entry.sweep.dial}={setting}"
            if len(name) > 80 or not re.fullmatch(NAME_PATTERN, name):
                raise located_error(
                    f"{name!r} cannot be a domain's name; give the entry a short name", position, "sweep"
                )
            dials = {**entry.dials, entry.sweep.dial: setting}
            expanded.append(choice.model_copy(update={"name": name, "dials": dials}))
    return expanded


def _open_choice(value: Any) -> Any:
    return value.model_dump(exclude_unset=True) if isinstance(value, DatasetChoice) else value


TargetEntry = Annotated[Target, BareString("dataset"), BeforeValidator(_open_choice)]
TargetEntries = Annotated[list[TargetEntry], Field(max_length=100), OneOrMany()]
TargetList = Annotated[list[DatasetChoice], ReadAs(TargetEntries, _expand_sweeps)]


class Targets(PerTask):
    """The domains never seen in training; each entry may carry ``sweep: {dial, values}``.

    The held-out test parts of the sources are always evaluated and need not be listed.
    """

    classification: TargetList = Field(default_factory=list)
    segmentation: TargetList = Field(default_factory=list)


class BudgetPair(PerTask):
    """Numbers of labelled images, one per task; ``full`` is the whole training part."""

    classification: BudgetField | None = None
    segmentation: BudgetField | None = None


class BudgetGrid(PerTask):
    """Every combination of the listed budgets."""

    classification: list[BudgetField] = Field(default_factory=list, max_length=50)
    segmentation: list[BudgetField] = Field(default_factory=list, max_length=50)


class Budgets(Strict):
    """Label budgets, as a full ``grid`` or as listed ``pairs``."""

    grid: BudgetGrid | None = None
    pairs: list[BudgetPair] | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.grid is None) == (self.pairs is None):
            raise ValueError("give either grid or pairs")
        return self

    def combinations(self) -> list[BudgetPair]:
        """Return the budget pairs, smallest first, each once."""
        if self.pairs is not None:
            found = self.pairs
        else:
            assert self.grid is not None
            classification: list[Budget | None] = [*self.grid.classification] or [None]
            segmentation: list[Budget | None] = [*self.grid.segmentation] or [None]
            found = [
                BudgetPair(classification=a, segmentation=b) for a in classification for b in segmentation
            ]
        unique = {(pair.classification, pair.segmentation): pair for pair in found}
        return sorted(
            unique.values(), key=lambda p: (budget_order(p.classification), budget_order(p.segmentation))
        )

    def of(self, task: Task) -> list[Budget]:
        """Return the budgets of one task, smallest first, each once."""
        found = {pair.of(task) for pair in self.combinations()} - {None}
        return sorted(found, key=budget_order)


class MethodEntry(Strict):
    """One row of the benchmark: a method, under its own or another name, with overrides.

    An ablation is an entry with a name and overrides. A bare string is short for ``{method: …}``.
    """

    method: str = Field(min_length=1, max_length=80)
    """A name from ``mmbench list methods``."""
    name: Name | None = None
    """The row's name in tables; the method's own name when left out."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """Values that differ from the method's defaults."""

    @property
    def label(self) -> str:
        """The row's name in tables."""
        return self.name or self.method


class UntilDecided(Strict):
    """Seeds that are added until every primary comparison is decided, or hardly will be."""

    until: Literal["decided"] = "decided"
    first: Annotated[int, Field(ge=2, le=1000)] = 3
    """Seeds at the first look."""
    most: Annotated[int, Field(ge=2, le=1000)] = 20
    """Seeds at the last look."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.most:
            raise located_error(f"must not be above most, {self.most}", "first")
        return self


def _kind_of_seeds(value: Any) -> str:
    return "design" if isinstance(value, dict | UntilDecided) else "count"


SeedCount = Annotated[Annotated[int, Field(ge=1, le=1000)], BeforeValidator(refuse_bool)]
Seeds = Annotated[
    Annotated[SeedCount, Tag("count")] | Annotated[UntilDecided, Tag("design")],
    Discriminator(_kind_of_seeds),
]


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
    sources: Sources
    targets: Targets = Field(default_factory=Targets)
    budgets: Budgets
    subsets: Positive | None = None
    """Number of labelled subsets, each trained with every seed; when left out, each seed has its own one."""
    seeds: Seeds = 1
    """Number of training seeds; or ``{until: decided, first: 3, most: 20}``: looks after 3, 5, 7, 10, 14 and
    20 seeds, and no more seeds for what is decided."""
    methods: list[Annotated[MethodEntry, BareString("method")]] = Field(min_length=1, max_length=200)
    trivial_baselines: list[str] = Field(default=["majority", "positive", "prevalence", "mean_mask"])
    """Constant predictors that the methods are compared with."""
    reference: str | None = None
    """The row that comparisons are made against; the first method when left out."""
    backbone: Annotated[Backbone, BareString("name")] = Field(default_factory=Backbone)
    image_size: int = Field(default=256, ge=16, le=2048)
    """Side of the square images, in pixels; ``paper_unet`` needs at least 2 to the power of its depth."""
    training: Training = Field(default_factory=Training)
    selection: Annotated[Selection, BareString("rule")] = Field(default_factory=Selection)
    evaluation: MetricPolicy = Field(default_factory=MetricPolicy)
    keep: Keep = Field(default_factory=Keep)
    """What is stored beside scores and predicted masks."""
    acknowledged_leaks: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field(
        default_factory=list
    )
    """Pairs of parts, such as ``[kermany:train, kermany:test]``, whose leaks are known and reported only."""
    statistics: Statistics = Field(default_factory=Statistics)

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
        domains = _explicit_names(roles)
        return [[_open_alias(part, domains) for part in pair] for pair in pairs]

    @model_validator(mode="after")
    def _image_size_fits(self) -> Self:
        smallest = 2**self.backbone.depth
        if self.backbone.name == "paper_unet" and self.image_size < smallest:
            raise located_error(
                f"paper_unet of depth {self.backbone.depth} needs images of at least {smallest} pixels, "
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
                if _same_data(target, source):
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
        if self.reference is not None and self.reference not in labels:
            raise located_error(
                f"{self.reference!r} is not among the methods; {suggestion(self.reference, labels)}",
                "reference",
            )
        return self

    @model_validator(mode="after")
    def _stop_needs_validations(self) -> Self:
        if self.training.stop is not None and self.training.validations < 2:
            raise located_error("stop needs at least 2 validations", "training", "validations")
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

    @property
    def reference_label(self) -> str:
        """The row that comparisons are made against."""
        return self.reference or self.methods[0].label

    @property
    def tasks(self) -> list[Task]:
        """The tasks that have a source."""
        return [task for task in Task if self.sources.of(task) is not None]


def domain_name(choice: DatasetChoice) -> str:
    """Return the name under which a dataset's scores appear."""
    return choice.name or choice.dataset.split(":")[-1]


def _explicit_names(roles: list[Sources | Targets]) -> set[str]:
    """Return the names that a protocol itself gives to domains."""
    found: set[str] = set()
    for role in roles:
        for task in Task:
            choices = role.of(task) or []
            choices = choices if isinstance(choices, list) else [choices]
            found |= {choice.name for choice in choices if choice.name}
    return found


def _open_alias(part: str, domains: set[str]) -> str:
    """Return ``domain:part`` with a dataset's alias replaced, unless a domain of the protocol has it."""
    domain, colon, rest = part.partition(":")
    return part if domain in domains else f"{dataset_name(domain)}{colon}{rest}"


def _same_data(one: DatasetChoice, other: DatasetChoice) -> bool:
    return (one.dataset, one.path, one.dials) == (other.dataset, other.path, other.dials)
