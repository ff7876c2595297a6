"""The executors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mmbench.errors import UserError, suggestion
from mmbench.execution.devices import Placement
from mmbench.execution.executor import Executor
from mmbench.execution.local import LocalExecutor

EXECUTORS: Mapping[str, Callable[[Placement], Executor]] = {
    "local": lambda workers: LocalExecutor(workers.devices, workers.threads),
}
"""What makes an executor for some workers; another back-end is one more entry."""


def make_executor(name: str, workers: Placement) -> Executor:
    """Return the executor of a name.

    Raises
    ------
    UserError
        If there is none.
    """
    if name not in EXECUTORS:
        raise UserError(f"executor: unknown executor {name!r}; {suggestion(name, EXECUTORS)}")
    return EXECUTORS[name](workers)
