"""A run's method, built with its initial weights."""

from __future__ import annotations

from typing import Any

import torch

from mmbench.methods.base import Method, Problem
from mmbench.networks.initialisation import build_by_name
from mmbench.networks.inputs import to_device
from mmbench.protocol.runs import RunSpec
from mmbench.randomness import derive_seed


def build_method(cls: Any, run: RunSpec, device: torch.device, *, initialised: bool = True) -> Method:
    """Return a method with the initial weights of a run.

    Layers of one name and shape start equal in all methods of one seed and one pair of label budgets.

    Parameters
    ----------
    cls : type of Method
        The run's method.
    run : RunSpec
        Its seed and its pair of budgets decide about the weights.
    device : torch.device
        Where the modules go.
    initialised : bool
        False where the weights do not matter, because others will take their place.
    """
    problem = Problem(
        tasks=frozenset(run.budgets),
        backbone=run.backbone,
        image_size=run.image_size,
        classes=run.classes,
        structures=run.structures,
        seed=derive_seed(run.root_seed, "prediction"),
        steps=run.training.steps,
        batch_size=run.training.batch_size,
        unlabeled_batch_size=run.training.batch_size * run.training.unlabeled_ratio,
    )

    def build() -> Method:
        method: Method = cls(cls.Hyperparameters.model_validate(run.hyperparameters))
        method.build(problem)
        return method

    method = build_by_name(build, cls.modules, run.root_seed) if initialised else build()
    for module in method.modules().values():
        to_device(module, device)
    return method
