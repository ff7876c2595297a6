"""A run's method, built with its initial weights."""

from __future__ import annotations

from typing import Any

import torch

from mmbench.methods.base import Method, Problem
from mmbench.networks.inputs import to_device
from mmbench.protocol.runs import RunSpec
from mmbench.randomness import derive_seed


def build_method(cls: Any, run: RunSpec, device: torch.device) -> Method:
    """Return a method with the initial weights of a run.

    Parameters
    ----------
    cls : type of Method
        The run's method.
    run : RunSpec
        Its seeds decide about the weights; methods of one seed start from the same encoder.
    device : torch.device
        Where the modules go.
    """
    method: Method = cls(cls.Hyperparameters.model_validate(run.hyperparameters))
    torch.manual_seed(derive_seed(run.protocol_seed, "initialisation", run.seed))
    method.build(
        Problem(
            tasks=frozenset(run.budgets),
            backbone=run.backbone,
            image_size=run.image_size,
            seed=derive_seed(run.protocol_seed, "prediction", run.seed),
        )
    )
    for module in method.modules().values():
        to_device(module, device)
    return method
