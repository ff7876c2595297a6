import math

import pytest

from mmbench.planning.cost import DECODER, run_cost
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.runs import expand
from mmbench.protocol.vocabulary import Task


def cost(matrix, name, extra="", budgets=None, **cases) -> float:
    protocol = parse_protocol(matrix.text + extra)
    run = expand(protocol, matrix.rows(name), matrix.domains)[0]
    return run_cost(run, matrix.summaries[name], **cases)


def test_the_decoder_weighs_what_its_multiplications_do():
    sides, widths = (256, 128, 64, 32, 16), (1, 16, 32, 64, 128, 256)
    encoder = sum(
        side**2 * 9 * (before * after + after * after)
        for side, before, after in zip(sides, widths, widths[1:], strict=False)
    )
    decoder = sum(
        side**2 * 9 * (before * after + after * after)
        for side, before, after in ((32, 386, 128), (64, 192, 64), (128, 96, 32), (256, 48, 16))
    )
    assert decoder / encoder == pytest.approx(DECODER, rel=0.02)


def test_one_task_costs_its_streams(matrix):
    assert cost(matrix, "enc") == 1000 * 10 * 3
    assert cost(matrix, "encssl") == 1000 * 10 * (3 + 4)
    assert cost(matrix, "unet") == pytest.approx(1000 * 10 * 3 * (1 + DECODER))


def test_more_work_costs_more(matrix):
    costs = [
        cost(matrix, name) for name in ("majority", "enc", "encssl", "unet", "umtl", "umtls", "multimix")
    ]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)
    assert costs[0] > 0


@pytest.mark.parametrize(
    ("extra", "ratio"),
    [
        ("image_size: 128\n", 2**-1.75),
        ("seeds: 3\n", 1),
        ("backbone: {width: 0.5}\n", 0.405),
        # Half way between two measured widths, in logarithms: their geometric mean.
        (f"backbone: {{width: {2**-2.5}}}\n", math.sqrt(0.186 * 0.107)),
        ("backbone: {width: 0.0625}\n", 0.107 / 4),
    ],
)
def test_costs_scale_with_pixels_and_measured_widths(matrix, extra, ratio):
    assert cost(matrix, "multimix", extra) == pytest.approx(ratio * cost(matrix, "multimix"))


def test_predictions_and_validation_are_counted_when_known(matrix):
    alone = cost(matrix, "enc")
    assert cost(matrix, "enc", predicted={Task.CLASSIFICATION: 600}) == alone + 600
    # Ten validations on the way of each training, and as many again for the selection rule.
    assert cost(matrix, "enc", validated={Task.CLASSIFICATION: 16}) == alone + 16 * 10
    validated = cost(matrix, "enc", "selection: source_val\n", validated={Task.CLASSIFICATION: 16})
    assert validated == alone + 16 * (10 + 1000 / 100)
    assert cost(matrix, "enc", train=False, predicted={Task.CLASSIFICATION: 600}) == 600 + 1
