"""What a protocol comes to, as far as it can be told without its data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmbench.errors import located
from mmbench.planning.methods import resolve_methods, with_families, with_plugins, with_target_images
from mmbench.plugins.discovery import discover
from mmbench.protocol.runs import expand
from mmbench.protocol.schema import DatasetChoice, Protocol, domain_name
from mmbench.protocol.specs import DomainDigest


def outline(protocol: Protocol, plugins: Iterable[Path] = ()) -> dict[str, Any]:
    """Check a protocol's names and count its runs.

    Parameters
    ----------
    protocol : Protocol
        What to check.
    plugins : iterable of Path
        Method files beside the built-in ones.

    Returns
    -------
    dict
        ``protocol``, ``runs``, ``subsets``, ``seeds``, and ``rows``: runs by row.

    Raises
    ------
    ProtocolError, DataError
        If a method, a hyper-parameter or a dataset is unknown.
    """
    from mmbench.data.catalogue import describe

    registry = discover(with_plugins(protocol, plugins))
    protocol = with_families(protocol, registry)
    methods = resolve_methods(protocol, registry)
    domains = {}
    for task in protocol.tasks:
        source, targets = protocol.sources.of(task), protocol.targets.of(task)
        with located("sources", task.value):
            describe(source.dataset)
        for index, choice in enumerate(targets):
            with located("targets", task.value, index):
                describe(choice.dataset)
        domains[task] = [_nameless(source, True), *(_nameless(choice, False) for choice in targets)]
    methods, _ = with_target_images(methods, domains)
    runs = expand(protocol, methods, domains)
    rows = {entry.label: sum(run.label == entry.label for run in runs) for entry, _ in methods}
    return {
        "protocol": protocol.name,
        "runs": len(runs),
        "subsets": len(protocol.subset_numbers),
        "seeds": protocol.most_seeds,
        "rows": rows,
    }


def _nameless(choice: DatasetChoice, in_domain: bool) -> DomainDigest:
    """Return a digest that stands for data not loaded."""
    return DomainDigest(domain=domain_name(choice), data="", split="", part=choice.part, in_domain=in_domain)
