"""Looks of a group-sequential run: what falls when, and that it stays so."""

from dataclasses import replace

import numpy as np
import pytest

from mmbench.analysis.primary import PRIMARY_SHARE
from mmbench.analysis.records import Primary
from mmbench.analysis.rows import Column
from mmbench.analysis.sequential import WAITING, new_design, take_look, with_looks
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.vocabulary import Task
from mmbench.stats.mixed import mixed_estimate
from mmbench.stats.sequential import nominal_level

PROTOCOL = parse_protocol(
    'name: a\nsources: {segmentation: "phantom:adult_pa"}\nbudgets: {pairs: [{segmentation: full}]}\n'
    "methods: [unet, umtl]\nseeds: {until: decided, first: 3, most: 20}\n"
)
INSIDE = Column(True, "adult_pa", Task.SEGMENTATION, "dice")


def record(row, value, spread, seeds):
    values = np.linspace(-1, 1, seeds)
    values = value + spread * values / values.std(ddof=1)
    found = mixed_estimate(values[None], np.zeros((seeds, seeds)), patients=1000)
    return Primary(INSIDE, row, "unet", found, 0.01, (), np.nan, np.nan)


def names(questions):
    return [question.row for question in questions]


def test_what_is_decided_stays_so_and_leaves_its_error_to_the_rest():
    looks = new_design(PROTOCOL, family=3, first=3, most=20)
    assert looks.schedule == [3, 5, 7, 10, 14, 20]
    assert looks.alpha == pytest.approx(PRIMARY_SHARE * 0.05)
    for seeds in (3, 5):
        looks = take_look(
            [
                record("clear", 0.3, 1e-7 * seeds, seeds),
                record("middling", 0.05, 0.03, seeds),
                record("hopeless", 0.012, 0.05, seeds),
            ],
            PROTOCOL,
            looks,
        )
    first, second = looks.looks
    assert names(first.decided) == ["clear"]
    assert first.decided[0].verdict == "better"
    assert names(first.futile) == ["hopeless"]
    assert names(first.open) == ["middling"]
    assert second.decided == second.futile == []
    assert names(second.open) == ["middling"]
    assert (looks.seeds_of("clear"), looks.seeds_of("hopeless"), looks.seeds_of("middling")) == (3, 3, 7)
    # The family was three; one has been decided, so the open ones share the error by halves.
    shown = with_looks([record("middling", 0.05, 0.03, 5)], PROTOCOL, looks)
    assert shown[0].level == pytest.approx(nominal_level(looks.schedule, 1, looks.alpha / 2))
    assert (shown[0].verdict, shown[0].reason) == ("undecided", WAITING)


def test_between_looks_nothing_is_decided_whatever_the_data_say():
    looks = new_design(PROTOCOL, family=1, first=3, most=20)
    (found,) = with_looks([record("clear", 0.3, 1e-7, 3)], PROTOCOL, looks)
    assert found.verdict == "undecided"
    looks = take_look([record("clear", 0.3, 1e-7, 3)], PROTOCOL, looks)
    (found,) = with_looks([record("clear", -0.3, 1e-7, 4)], PROTOCOL, looks)
    assert (found.verdict, found.look) == ("better", 0)
    assert found.difference.value == pytest.approx(0.3)


def test_a_verdict_of_a_metric_that_is_better_when_lower_keeps_its_direction():
    column = replace(INSIDE, metric="hd95")
    closer = replace(record("closer", -3.0, 1e-6, 3), column=column, margin=0.5)
    looks = take_look([closer], PROTOCOL, new_design(PROTOCOL, 1, 3, 20))
    (one,) = looks.looks[0].decided
    assert one.verdict == "better"
    assert one.difference == pytest.approx(-3)
    assert one.low < one.high < -0.5


def test_the_last_look_leaves_nothing_open():
    looks = new_design(PROTOCOL, family=1, first=3, most=5)
    for seeds in (3, 5):
        assert looks.next_seeds == seeds
        looks = take_look([record("middling", 0.05, 0.02, seeds)], PROTOCOL, looks)
    assert looks.next_seeds is None
    assert looks.looks[-1].open == []
    assert looks.looks[-1].spent == pytest.approx(looks.alpha)
    assert looks.seeds_of("middling") == 5
