"""What :mod:`benchmarks.performance.against` runs in a checkout: trains as many steps as each line asks for.

It uses names of the package alone that every commit has.
"""

import importlib
import sys
from pathlib import Path

import torch

from mmbench import methods
from mmbench.methods import Problem, StreamBatch
from mmbench.protocol.schema import Backbone

SIDE, WIDTH, COUNT = 48, 0.25, 10


def main():
    """Train the steps that are asked for; each rate of dropout has a network of its own."""
    torch.set_num_threads(1)
    methods_by_rate, batch = {}, make_batch()
    print("ready", flush=True)
    for line in sys.stdin:
        steps, dropout = line.split()
        if dropout not in methods_by_rate:
            method = build(float(dropout), Path(sys.argv[1]))
            methods_by_rate[dropout] = method, make_optimizer(method)
        method, optimizer = methods_by_rate[dropout]
        print(*(step(method, optimizer, batch) for _ in range(int(steps))), flush=True)


def build(dropout, weights):
    """Build the method with the weights of the file; make the file if there is none."""
    torch.manual_seed(0)
    module = importlib.import_module(f"mmbench.baselines.{sys.argv[2]}")
    (cls,) = (one for one in vars(module).values() if getattr(one, "name", None) == sys.argv[2])
    method = cls()
    method.build(Problem(frozenset(cls.tasks), Backbone(width=WIDTH, dropout=dropout), SIDE))
    if weights.exists():
        method.network.load_state_dict(torch.load(weights))
    else:
        torch.save(method.network.state_dict(), weights)
    method.network.train()
    return method


def make_optimizer(method):
    """Return the optimiser that the package's trainings use."""
    from mmbench.protocol.schema import Optimizer
    from mmbench.training import optimization

    return optimization.make_optimizer(method.network.parameters(), Optimizer(learning_rate=0.002))


def make_batch():
    """Return random images for every stream."""
    random = torch.Generator().manual_seed(1)

    def images():
        return torch.rand(COUNT, 1, SIDE, SIDE, generator=random) * 2 - 1

    # Older versions take one strong view, later ones any number of them.
    strong = (images(),) if hasattr(methods, "Views") else images()
    return {
        methods.LABELED_CLASSIFICATION: StreamBatch(images(), labels=torch.arange(COUNT) % 2),
        methods.UNLABELED_CLASSIFICATION: StreamBatch(images(), strong=strong),
        methods.LABELED_SEGMENTATION: StreamBatch(images(), masks=(images() > 0).float()),
        methods.UNLABELED_SEGMENTATION: StreamBatch(images()),
    }


def step(method, optimizer, batch):
    """Train one step and return its loss."""
    loss = torch.stack([term.float() for term in method.losses(batch).values()]).sum()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


if __name__ == "__main__":
    main()
