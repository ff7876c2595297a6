"""The rows of a protocol: their methods resolved, and which of them cannot be run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmbench.errors import ProtocolError, located, suggestion
from mmbench.methods.base import Problem
from mmbench.plugins.extensions import source_of
from mmbench.plugins.registry import Registry
from mmbench.protocol.runs import MethodSummary, seen_targets, training_of
from mmbench.protocol.schema import MethodEntry, Protocol
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Task

Rows = list[tuple[MethodEntry, MethodSummary]]


def with_plugins(protocol: Protocol, plugins: Iterable[Path]) -> tuple[Path, ...]:
    """Return the plugins that the user names, then those that the protocol names; each once."""
    named = (Path(text).resolve() for text in protocol.plugins)
    return tuple(dict.fromkeys([*plugins, *named]))


def with_families(protocol: Protocol, registry: Registry) -> Protocol:
    """Return the protocol with the methods of each family that it names, in alphabetical order.

    A method that has a row of its own is not added again. Every other entry is resolved once, so that what
    is wrong with one is told by its place in the file.

    Raises
    ------
    ProtocolError
        If a family or a method is unknown, or the reference is not among the methods.
    """
    named = {entry.method for entry in protocol.methods}
    entries: list[MethodEntry] = []
    for index, entry in enumerate(protocol.methods):
        with located("methods", index):
            if entry.family is None:
                registry.resolve(entry)
                entries.append(entry)
            else:
                members = [name for name in _members(entry, registry) if name not in named]
                entries += [entry.model_copy(update={"method": name}) for name in members]
    labels = [entry.label for entry in entries]
    for label, count in Counter(labels).items():
        if count > 1:
            raise ProtocolError(f"two rows are called {label!r}; give one of them another name", ("methods",))
    if not entries:
        raise ProtocolError("no method is left; name one", ("methods",))
    if protocol.reference is not None and protocol.reference not in labels:
        raise ProtocolError(
            f"{protocol.reference!r} is not among the methods; {suggestion(protocol.reference, labels)}",
            ("reference",),
        )
    return protocol.model_copy(update={"methods": entries})


def _members(entry: MethodEntry, registry: Registry) -> list[str]:
    """Return the methods of the family that an entry names."""
    if entry.name is not None or entry.hyperparameters:
        raise ProtocolError("a family takes neither a name nor hyper-parameters; list the method itself")
    families = registry.families()
    if entry.family not in families:
        raise ProtocolError(
            f"no method is of the family {entry.family!r}; {suggestion(str(entry.family), families)}"
        )
    return families[entry.family]


def resolve_methods(protocol: Protocol, registry: Registry) -> Rows:
    """Return the protocol's rows, then its trivial baselines that are not rows already."""
    rows = []
    for index, entry in enumerate(protocol.methods):
        with located("methods", index):
            rows.append((entry, _resolved(entry, registry, protocol)))
    listed = {entry.method for entry in protocol.methods}
    for index, name in enumerate(protocol.trivial_baselines):
        if name not in listed:
            with located("trivial_baselines", index):
                rows.append((entry := MethodEntry(method=name), _resolved(entry, registry, protocol)))
    return rows


def _resolved(entry: MethodEntry, registry: Registry, protocol: Protocol) -> MethodSummary:
    found = registry.resolve(entry)
    backbone = protocol.backbone_of(entry).name
    return found.model_copy(update={"source_digest": source_of(found.source_digest, backbone)})


def runnable(rows: Rows, registry: Registry, protocol: Protocol) -> tuple[Rows, list[str]]:
    """Return the rows whose method does not ask to be skipped, and why the others do."""
    kept, notes = [], []
    for entry, summary in rows:
        training = training_of(protocol, summary)
        problem = Problem(
            summary.tasks,
            protocol.backbone_of(entry),
            protocol.image_size,
            classes=protocol.classes,
            structures=protocol.structures,
            steps=training.steps,
            batch_size=training.batch_size,
            unlabeled_batch_size=training.batch_size * training.unlabeled_ratio,
        )
        reason = registry.get(entry.method).cls.skip(problem)
        if reason is None:
            kept.append((entry, summary))
        else:
            notes.append(f"{entry.label} is skipped: {' '.join(str(reason).split())}")
    return kept, notes


def with_target_images(rows: Rows, domains: Mapping[Task, Sequence[DomainDigest]]) -> tuple[Rows, list[str]]:
    """Return the rows whose streams of target images are not empty, and why the others are left out."""
    kept, notes = [], []
    for entry, summary in rows:
        lacking = [
            stream.task.value
            for stream in sorted(summary.streams)
            if stream.target and stream.task in domains and not seen_targets(domains[stream.task])
        ]
        if lacking:
            notes.append(
                f"{entry.label} is skipped: it learns from unlabelled images of the targets, and no "
                f"{lacking[0]} target has a part that is not tested; write part: test in a target's entry"
            )
        else:
            kept.append((entry, summary))
    return kept, notes


def recipe_notes(rows: Rows, protocol: Protocol) -> list[str]:
    """Return which rows are trained with other settings than the protocol's."""
    notes = [
        f"{entry.label} has settings of training that are the method: {', '.join(_flat(summary.training))}"
        for entry, summary in rows
        if summary.training
    ]
    if protocol.recipe == "shared":
        return notes
    own = [(entry.label, _flat(summary.published)) for entry, summary in rows if summary.published]
    if not own:
        return [*notes, "recipe published: no method of this protocol declares settings of its own"]
    return notes + [f"{label} is trained as published: {', '.join(settings)}" for label, settings in own]


def backbone_notes(protocol: Protocol) -> list[str]:
    """Return which rows have another backbone than the protocol's."""
    return [
        f"{entry.label} has a backbone of its own: {entry.backbone.name} (the others' is "
        f"{protocol.backbone.name}), so that what differs is not the method alone"
        for entry in protocol.methods
        if entry.backbone is not None and entry.backbone != protocol.backbone
    ]


def _flat(settings: Mapping[str, Any], before: str = "") -> list[str]:
    """Return nested settings as "optimizer.name sgd" and so on."""
    found = []
    for key, value in settings.items():
        name = f"{before}{key}"
        found += _flat(value, f"{name}.") if isinstance(value, Mapping) else [f"{name} {value}"]
    return found


def left_out(rows: Rows, covered: Collection[str]) -> list[str]:
    """Return why rows have no run: the protocol offers no source or budget for what they learn."""
    return [
        f"{entry.label} is left out: it learns {' and '.join(sorted(summary.tasks))}, and the protocol has "
        "no source or no budget for that"
        for entry, summary in rows
        if entry.label not in covered and not summary.trivial
    ]
