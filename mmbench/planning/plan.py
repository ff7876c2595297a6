"""From a protocol to what it asks for: names resolved, data loaded, leaks looked for, runs listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from mmbench.data.dataset import Dataset
from mmbench.data.leaks import LeakReport
from mmbench.data.loaded import forget
from mmbench.errors import Location, ProtocolError, located, suggestion
from mmbench.planning.datasets import ProtocolData, load_data
from mmbench.planning.methods import (
    backbone_notes,
    left_out,
    recipe_notes,
    resolve_methods,
    runnable,
    with_families,
    with_plugins,
    with_target_images,
)
from mmbench.planning.subset_table import subset_table
from mmbench.plugins.discovery import discover
from mmbench.protocol.families import seen_by
from mmbench.protocol.metrics import MAIN_METRIC, declared_json, metrics_of
from mmbench.protocol.runs import MethodSummary, RunSpec, expand
from mmbench.protocol.schema import Protocol
from mmbench.protocol.settings import Backbone
from mmbench.protocol.specs import DomainDigest, ScoresSpec, predictions_of, scores_of
from mmbench.protocol.vocabulary import Task
from mmbench.store.tuned import Tuned


@dataclass(frozen=True)
class Plan:
    """What a protocol asks for on the data at hand.

    Attributes
    ----------
    protocol : Protocol
        As loaded.
    runs : list of RunSpec
        Everything to train, trivial baselines included.
    domains : mapping from Task to list of DomainDigest
        The evaluated domains, the source's test part first.
    methods : mapping from str to MethodSummary
        Each row's method, by label.
    leaks : LeakReport
        Counts of shared patients and images between the parts.
    notes : tuple of str
        Facts about the data and the expansion that a reader of the results should know.
    patients : mapping from Task to mapping from str to float
        The effective number of independent patients among them, by domain.
    cases : mapping from Task to mapping from str to int
        Evaluated cases by task and domain.
    parts : mapping from Task to mapping from str to int
        Cases of each part of a task's source.
    subsets : DataFrame, optional
        See :func:`mmbench.planning.subset_table.subset_table`.
    sources : mapping from Task to Dataset
        What is trained on.
    data_root : Path or None
        Where real data are.
    plugins : tuple of Path
        Method files named by the user.
    tuning : tuple of Tuned
        What tuning has found, if there was any.
    """

    protocol: Protocol
    runs: list[RunSpec]
    domains: Mapping[Task, list[DomainDigest]]
    methods: Mapping[str, MethodSummary]
    leaks: LeakReport
    notes: tuple[str, ...] = ()
    cases: Mapping[Task, Mapping[str, int]] = field(default_factory=dict)
    patients: Mapping[Task, Mapping[str, float]] = field(default_factory=dict)
    parts: Mapping[Task, Mapping[str, int]] = field(default_factory=dict)
    subsets: pd.DataFrame | None = None
    sources: Mapping[Task, Dataset] = field(default_factory=dict)
    data_root: Path | None = None
    plugins: tuple[Path, ...] = ()
    tuning: tuple[Tuned, ...] = ()

    def scores(self, run: RunSpec) -> list[ScoresSpec]:
        """Return the scores, and with them the predictions, that are asked of a run; none of a trial."""
        if run.trial is not None:
            return []
        predictions = predictions_of(run.id, run.tasks, self.domains, run.image_size)
        return scores_of(predictions, self.protocol.evaluation)

    def validated(self, task: Task) -> int:
        """Return how many cases the selection rule scores at each validation."""
        if self.protocol.selection.rule == "oracle":
            return sum(self.cases[task].values())
        return self.parts[task]["validation"]

    def _transductive(self) -> dict[str, str]:
        """Return which rows see images of domains that they are tested on, and how."""
        adapting = {
            label: "adapts to the images that it predicts"
            for label, summary in self.methods.items()
            if summary.transductive
        }
        trained = {}
        for run in self.runs:
            names = {domain.domain: None for domains in run.target_images.values() for domain in domains}
            if names:
                trained[run.label] = f"is trained with those of the training parts of {', '.join(names)}"
        return {
            label: " and ".join(how[label] for how in (adapting, trained) if label in how)
            for label in {**adapting, **trained}
        }

    def _rows(self) -> dict[str, Any]:
        """Return each row's family, and what its numbers rest on."""
        backbones = {entry.label: self.protocol.backbone_of(entry) for entry in self.protocol.methods}
        return {
            label: {
                "family": summary.family,
                "sees": seen_by(
                    summary.streams,
                    trivial=summary.trivial,
                    adapts=summary.transductive,
                    pretrained=label in backbones and bool(backbones[label].pretrained),
                ),
            }
            for label, summary in self.methods.items()
        }

    def report(self) -> dict[str, Any]:
        """Return what was found out about the data and the methods, as JSON values for the store."""
        return {
            "notes": list(self.notes),
            "cases": {task.value: dict(counts) for task, counts in self.cases.items()},
            "parts": {task.value: dict(counts) for task, counts in self.parts.items()},
            "leaks": self.leaks.to_json(),
            "transductive": self._transductive(),
            "rows": self._rows(),
            "metrics": declared_json(),
            **({"tuning": [one.model_dump(mode="json") for one in self.tuning]} if self.tuning else {}),
            "trivial_baselines": [label for label, summary in self.methods.items() if summary.trivial],
        }


def make_plan(
    protocol: Protocol,
    *,
    data_root: Path | None = None,
    plugins: Iterable[Path] = (),
    on_dataset: Callable[[str], None] = lambda name: None,
) -> Plan:
    """Resolve a protocol.

    Parameters
    ----------
    protocol : Protocol
        What to run.
    data_root : Path, optional
        Where real data are.
    plugins : iterable of Path
        Plugin files named by the user.
    on_dataset : callable
        Told each dataset's name before it is loaded (the first time may decode or generate images).

    Raises
    ------
    ProtocolError
        If a method, a hyper-parameter or a budget does not fit.
    DataError
        If a dataset is unknown or cannot be read.
    LeakError
        If parts share patients or images and the protocol does not acknowledge it.
    """
    forget()
    plugins = with_plugins(protocol, plugins)
    registry = discover(plugins)
    _check_metrics(protocol)
    protocol = _with_digests(with_families(protocol, registry))
    methods, skipped = runnable(resolve_methods(protocol, registry), registry, protocol)
    data = load_data(protocol, data_root, on_dataset)
    domains = data.digests
    methods, without = with_target_images(methods, domains)
    skipped += without
    runs = expand(protocol, methods, domains)
    covered = {run.label for run in runs}
    uncovered = left_out(methods, covered)
    if not covered & {entry.label for entry in protocol.methods}:
        raise ProtocolError(f"no method can be trained: {[*uncovered, *skipped][0]}", at=("methods",))
    leaks = data.leaks(protocol, {task for run in runs for task in run.target_images})
    return Plan(
        protocol=protocol,
        runs=runs,
        domains=domains,
        methods={entry.label: summary for entry, summary in methods},
        leaks=leaks,
        notes=(
            *_notes(data, leaks),
            *data.weights_notes(protocol),
            *backbone_notes(protocol),
            *recipe_notes(methods, protocol),
            *skipped,
            *uncovered,
        ),
        cases=data.cases,
        patients=data.patients,
        parts=data.parts,
        subsets=subset_table(data.sources, seed=protocol.seed, subsets=len(protocol.subset_numbers)),
        sources=data.sources,
        data_root=data_root,
        plugins=plugins,
    )


def _notes(data: ProtocolData, leaks: LeakReport) -> list[str]:
    return [*data.notes, *leaks.notes()]


def _check_metrics(protocol: Protocol) -> None:
    known = metrics_of(protocol.classes, protocol.structures)
    for key in ("metrics", "primary"):
        for index, name in enumerate(getattr(protocol.statistics, key) or ()):
            if name not in known:
                raise ProtocolError(
                    f"there is no metric {name!r} of these classes and structures; {suggestion(name, known)}",
                    at=("statistics", key, index),
                )
    tasks = {known[name].task for name in protocol.statistics.primary}
    for task in protocol.tasks:
        if task not in tasks:
            raise ProtocolError(
                f"no primary metric is of {task.value}; add one, such as {MAIN_METRIC[task]}",
                at=("statistics", "primary"),
            )


def _with_digests(protocol: Protocol) -> Protocol:
    """Check that the backbones can be built, and return the protocol with their weights' digests."""

    def checked(place: Location, backbone: Backbone) -> Backbone:
        if backbone.name == "paper_unet":
            return backbone
        from mmbench.networks.build import check_backbone

        with located(*place):
            digest = check_backbone(backbone, protocol.image_size)
        return backbone.model_copy(update={"digest": digest})

    return protocol.with_backbones(checked)
