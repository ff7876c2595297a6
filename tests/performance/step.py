"""How long a MultiMix training step takes on one thread: ``python -m tests.performance.step``.

Beside it stand the machine's matrix rates, measured in the same run. Start it with
``MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1099511627776`` for the memory settings of a worker.
"""

import statistics
import time

import torch
from mmbench.baselines.multimix import MultiMix

from mmbench.methods import (
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
)
from mmbench.methods.base import Problem, StreamBatch
from mmbench.protocol.schema import Backbone

SETTINGS = [(128, 1.0, "float32"), (128, 1.0, "bf16"), (64, 1.0, "float32"), (64, 1.0, "bf16")]
SETTINGS += [(48, 0.25, "float32")]
REPEATS, PER_STREAM, SIDE = 5, 10, 1024


def matrix_rate(kind):
    """Return the GFLOP/s of a product of two 1024 x 1024 matrices."""
    one, other = torch.randn(2, SIDE, SIDE).to(kind)
    return 2e-9 * SIDE**3 / measured(lambda: one @ other)


def make_step(side, width, precision):
    """Return a function that does one step: losses, gradients, Adam."""
    method = MultiMix()
    backbone = Backbone(width=width)
    method.build(Problem(tasks=frozenset(MultiMix.tasks), backbone=backbone, image_size=side))
    optimizer = torch.optim.Adam(method.network.parameters(), 1e-4)

    def images():
        return torch.rand(PER_STREAM, 1, side, side) * 2 - 1

    batch = {
        LABELED_CLASSIFICATION: StreamBatch(images(), labels=torch.arange(PER_STREAM) % 2),
        UNLABELED_CLASSIFICATION: StreamBatch(images(), strong=images()),
        LABELED_SEGMENTATION: StreamBatch(images(), masks=(images() > 0).float()),
        UNLABELED_SEGMENTATION: StreamBatch(images()),
    }

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            terms = method.losses(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        optimizer.step()

    return step


def measured(function):
    """Return the median of some repeats, in seconds, after one that does not count."""
    function()
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


def main():
    """Print the rates and the seconds of a step for each setting."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for name, kind in (("float32", torch.float32), ("bf16", torch.bfloat16)):
        print(f"matrix product, {name}: {matrix_rate(kind):6.0f} GFLOP/s")
    for side, width, precision in SETTINGS:
        seconds = measured(make_step(side, width, precision))
        print(f"{side:4d} px  width {width:4.2f}  {precision:8s} {1000 * seconds:7.0f} ms a step")


if __name__ == "__main__":
    main()
