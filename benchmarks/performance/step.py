"""A MultiMix training step timed, ours and done plainly: ``python -m benchmarks.performance.step``.

One thread; the two steps take turns, so that a machine whose speed drifts favours neither. Beside them
stand the machine's matrix rates, measured in the same rounds. ``python -m benchmarks.performance`` runs it
with a worker's memory settings and with the system's; both steps have the same.
"""

import statistics
import time

import torch
from mmbench.baselines.multimix import MultiMix
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.performance.plain import PlainMultiMix
from mmbench.methods import (
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
    Problem,
    StreamBatch,
)
from mmbench.protocol.schema import Backbone

SETTINGS = [(128, 1.0), (64, 1.0), (48, 0.25)]
REPEATS, PER_STREAM, SIDE, PRODUCTS = 5, 10, 1024, 20


def make_product(kind):
    """Return a function that multiplies two 1024 x 1024 matrices, ``PRODUCTS`` times."""
    one, other = torch.randn(2, SIDE, SIDE).to(kind)

    def multiply():
        for _ in range(PRODUCTS):
            one @ other

    return multiply


def make_batch(side, count):
    """Return random images for every stream of MultiMix, ``count`` per stream."""

    def images():
        return torch.rand(count, 1, side, side) * 2 - 1

    return {
        LABELED_CLASSIFICATION: StreamBatch(images(), labels=torch.arange(count) % 2),
        UNLABELED_CLASSIFICATION: StreamBatch(images(), strong=(images(),)),
        LABELED_SEGMENTATION: StreamBatch(images(), masks=(images() > 0).float()),
        UNLABELED_SEGMENTATION: StreamBatch(images()),
    }


def make_step(method, batch, precision):
    """Return a function that does one step: losses, gradients, Adam."""
    optimizer = torch.optim.Adam(method.network.parameters(), 1e-4, fused=True)

    def step():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            terms = method.losses(batch)
        optimizer.zero_grad(set_to_none=True)
        torch.stack([term.float() for term in terms.values()]).sum().backward()
        optimizer.step()

    return step


def gigaflops(step):
    """Return the billions of floating-point operations of a step's convolutions."""
    with _Counter() as counter:
        step()
    return counter.total / 1e9


class _Counter(TorchDispatchMode):
    """PyTorch's flop formulas; its own counter fails where a step calls ``torch.autograd.grad``."""

    total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if "convolution" in str(function) and function.overloadpacket in flop_registry:
            self.total += flop_registry[function.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def convolution_share(step):
    """Return which share of a step's time PyTorch's profiler gives to the convolutions, a median."""
    shares = []
    for _ in range(REPEATS):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            step()
        operations = profile.key_averages()
        convolutions = sum(each.self_cpu_time_total for each in operations if "convolution" in each.key)
        shares.append(convolutions / sum(each.self_cpu_time_total for each in operations))
    return statistics.median(shares)


def interleaved(*functions):
    """Return the median seconds of each function over some rounds, after one round that does not count."""
    seconds = [[] for _ in functions]
    for repeat in range(REPEATS + 1):
        for function, measured in zip(functions, seconds, strict=True):
            begin = time.perf_counter()
            function()
            if repeat:
                measured.append(time.perf_counter() - begin)
    return [statistics.median(measured) for measured in seconds]


def main():
    """Print for each setting the matrix rates, the seconds of the steps and their ratios."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    products = [make_product(kind) for kind in (torch.float32, torch.bfloat16)]
    for side, width in SETTINGS:
        method = MultiMix()
        method.build(Problem(frozenset(MultiMix.tasks), Backbone(width=width), side))
        method.network.train()
        batch = make_batch(side, PER_STREAM)
        step = make_step(method, batch, "float32")
        slow = make_step(PlainMultiMix(method), batch, "float32")
        plain, float32, bf16, *multiplied = interleaved(
            slow, step, make_step(method, batch, "bf16"), *products
        )
        rates = [PRODUCTS * 2e-9 * SIDE**3 / seconds for seconds in multiplied]
        needed, share = gigaflops(step), convolution_share(step)
        print(
            f"{side} px, width {width}\n"
            f"  matrix product: float32 {rates[0]:.0f} GFLOP/s, bf16 {rates[1]:.0f} GFLOP/s\n"
            f"  plain    {1000 * plain:6.0f} ms  {gigaflops(slow):6.1f} GFLOP\n"
            f"  float32  {1000 * float32:6.0f} ms  {needed:6.1f} GFLOP  {plain / float32:5.2f}x"
            f"  {needed / float32 / rates[0]:4.0%} of the matrix rate"
            f"  {1 / share:4.2f}x its convolutions\n"
            f"  bf16     {1000 * bf16:6.0f} ms  {needed:6.1f} GFLOP  {plain / bf16:5.2f}x"
            f"  {needed / bf16 / rates[1]:4.0%} of the matrix rate",
            flush=True,
        )


if __name__ == "__main__":
    main()
