"""How long a training waits for its data: ``python -m benchmarks.performance.data``.

Gather and augmentation of MultiMix's four streams against the step that consumes them, on one thread, at
full width and 10 images per stream.
"""

import torch
from mmbench.baselines.multimix import MultiMix

from benchmarks.performance.step import interleaved, make_step
from mmbench.data.phantom import generate
from mmbench.methods import CLASSIFICATION, SEGMENTATION, Problem
from mmbench.protocol.schema import Backbone, Training
from mmbench.training.streams import StreamLoader, TaskData

CASES = 60


def main():
    """Print the milliseconds of a batch and of a step, and their ratio."""
    torch.set_num_threads(1)
    for side in (64, 256):
        method = MultiMix()
        method.build(Problem(frozenset(MultiMix.tasks), Backbone(), side))
        method.network.train()
        loader = make_loader(side)
        step = make_step(method, loader.batch(1), "float32")
        wait, seconds = interleaved(lambda loader=loader: loader.batch(1), step)
        print(
            f"{side} px: a batch {1000 * wait:.1f} ms, a step {1000 * seconds:.0f} ms,"
            f" {wait / seconds:.1%} (goal 3 %)",
            flush=True,
        )


def make_loader(side):
    """Return a loader of phantom images for every stream of MultiMix."""
    data = {}
    for task, domain in ((CLASSIFICATION, "paediatric_ap"), (SEGMENTATION, "adult_pa")):
        made = generate(domain, {}, cases=CASES, image_size=side)
        rows = torch.arange(CASES).numpy()
        data[task] = TaskData(
            images=torch.from_numpy(made.images),
            labels=torch.arange(CASES) % 2,
            masks=torch.from_numpy(made.masks)[:, None],
            labeled=rows[: CASES // 2],
            unlabeled=rows[CASES // 2 :],
        )
    return StreamLoader(data, MultiMix.streams, Training(), seed=0, views=MultiMix.views)


if __name__ == "__main__":
    main()
