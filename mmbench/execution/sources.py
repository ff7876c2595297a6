"""The data of a run in a worker: as planned, or an error."""

from __future__ import annotations

from mmbench.data.dataset import Dataset
from mmbench.data.loaded import cached_dataset
from mmbench.errors import DataError
from mmbench.execution.executor import RunTask
from mmbench.protocol.schema import domain_name
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Task


def source_dataset(task: RunTask, kind: Task) -> Dataset:
    """Return what a task of the run is trained on.

    Raises
    ------
    DataError
        If the data are not those that the run was planned with.
    """
    dataset = cached_dataset(task.protocol.sources.of(kind), task.protocol, kind, task.data_root)
    return _as_planned(dataset, task.run.sources[kind])


def domain_dataset(task: RunTask, kind: Task, domain: DomainDigest) -> Dataset:
    """Return the data of a domain that a task is evaluated on.

    Raises
    ------
    DataError
        If the data are not those that the run was planned with.
    """
    if domain.in_domain:
        choice = task.protocol.sources.of(kind)
    else:
        targets = task.protocol.targets.of(kind)
        choice = next(target for target in targets if domain_name(target) == domain.domain)
    return _as_planned(cached_dataset(choice, task.protocol, kind, task.data_root), domain)


def _as_planned(dataset: Dataset, planned: DomainDigest) -> Dataset:
    if (dataset.data_digest, dataset.split_digest) != (planned.data, planned.split):
        raise DataError(f"{dataset.name}: the data changed since the run was planned; run the command again")
    return dataset
