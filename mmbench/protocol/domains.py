"""What a protocol file says of domains: the sources trained on, and the targets never seen in training."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from mmbench.protocol.annotations import (
    NAME_PATTERN,
    BareString,
    Name,
    OneOrMany,
    Positive,
    ReadAs,
    Scalar,
    Strict,
    located_error,
)
from mmbench.protocol.vocabulary import Task, dataset_name


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


def _text_keys(value: Any) -> Any:
    """Let whole numbers be keys, as labels of a manifest often are."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else value


MaskValues = Annotated[tuple[Annotated[int, Field(ge=0, le=65535)], ...], OneOrMany()]


class DatasetChoice(Strict):
    """One dataset in one role. A bare string is short for ``{dataset: …}``."""

    dataset: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(dataset_name)]
    """A name from ``mmbench list datasets``, for example ``phantom:adult_pa`` or ``shenzhen``."""
    name: Name | None = None
    """The domain's name in tables; the dataset's own name when left out."""
    path: str | None = None
    """``manifest`` only: the CSV file. A relative path is looked up beside the protocol file, then under the
    data root."""
    patients: Name | None = None
    """``manifest`` only: whose patient ids these are. Those of manifests that give the same name are compared
    by the leak gate; those of others are not, since two hospitals may count alike."""
    cases: Positive | None = None
    """Phantom: how many cases to generate. Real data: a seeded, stratified subset of this size."""
    label_map: Annotated[dict[str, str | None], BeforeValidator(_text_keys)] = Field(default_factory=dict)
    """What the dataset's findings count as: a class of the protocol, or ``null`` for no label. A finding that
    is not named is the class of its name; normal and pneumonia need no map."""
    mask_values: dict[str, MaskValues] = Field(default_factory=dict)
    """Where mask files hold several values, those of each structure."""
    white_level: Annotated[int, Field(ge=255, le=65535)] | None = None
    """Of 16-bit PNG and TIFF files, the level that is white; left out, the smallest of 255, 511, ... 65535
    that holds every file's maximum."""
    class_counts: dict[str, Annotated[int, Field(ge=0, le=10**9)]] | None = None
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


def domain_name(choice: DatasetChoice) -> str:
    """Return the name under which a dataset's scores appear."""
    return choice.name or choice.dataset.split(":")[-1]


def explicit_names(roles: list[Sources | Targets]) -> set[str]:
    """Return the names that a protocol itself gives to domains."""
    found: set[str] = set()
    for role in roles:
        for task in Task:
            choices = role.of(task) or []
            choices = choices if isinstance(choices, list) else [choices]
            found |= {choice.name for choice in choices if choice.name}
    return found


def open_alias(part: str, domains: set[str]) -> str:
    """Return ``domain:part`` with a dataset's alias replaced, unless a domain of the protocol has it."""
    domain, colon, rest = part.partition(":")
    return part if domain in domains else f"{dataset_name(domain)}{colon}{rest}"


def same_data(one: DatasetChoice, other: DatasetChoice) -> bool:
    """Whether two roles are given the same images."""
    if one.dataset == "manifest" and one.name != other.name:
        return False  # a manifest may hold several domains, told apart by their names
    return (one.dataset, one.path, one.dials) == (other.dataset, other.path, other.dials)
