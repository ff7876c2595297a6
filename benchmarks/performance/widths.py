"""A MultiMix training step per pixel by network width: ``python -m benchmarks.performance.widths``.

Multiplications grow with the square of the width, but narrow layers run at a fraction of a wide one's rate.
``mmbench/planning/cost.py`` takes its ``WIDTHS`` from the column *relative*. One thread,
widths and image sizes in turn.
"""

import torch
from mmbench.baselines.multimix import MultiMix

from benchmarks.performance.step import interleaved, make_batch, make_step
from mmbench.methods.base import Problem
from mmbench.protocol.schema import Backbone

WIDTHS, SIDES, PER_STREAM = (0.125, 0.25, 0.5, 1.0, 2.0), (48, 64, 128), 10


def seconds_per_side(side):
    """Return the seconds of a step at each width, for images of one size."""
    batch = make_batch(side, PER_STREAM)
    steps = []
    for width in WIDTHS:
        method = MultiMix()
        method.build(Problem(frozenset(MultiMix.tasks), Backbone(width=width), side))
        method.network.train()
        steps.append(make_step(method, batch, "float32"))
    return interleaved(*steps)


def main():
    """Print the milliseconds of a step, and its cost relative to full width."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    measured = {side: seconds_per_side(side) for side in SIDES}
    heads = " | ".join(f"{side} px" for side in SIDES)
    print(f"| width | {heads} | relative, {SIDES[1]} px | multiplications |")
    print("|" + "---:|" * (len(SIDES) + 3))
    for place, width in enumerate(WIDTHS):
        times = " | ".join(f"{1000 * measured[side][place]:.0f} ms" for side in SIDES)
        relative = measured[SIDES[1]][place] / measured[SIDES[1]][WIDTHS.index(1.0)]
        print(f"| {width} | {times} | {relative:.3f} | {width**2:.3f} |")


if __name__ == "__main__":
    main()
