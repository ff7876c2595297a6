"""The ledger of external numbers."""

import pytest

from mmbench.claims.ledger import load_ledger
from mmbench.claims.yardsticks import COLUMNS, load_yardsticks, parse_yardsticks
from mmbench.data.readers import READERS
from mmbench.errors import ClaimError
from mmbench.protocol.vocabulary import Task

ROW = {
    "task": "segmentation",
    "metric": "dice",
    "trained_on": "jsrt",
    "tested_on": "jsrt",
    "model": "U-Net",
    "value": "0.9",
    "comparability": "other split",
    "source": "Someone 2025",
}


def parsed(**changes):
    row = ROW | changes
    return parse_yardsticks(",".join(COLUMNS) + "\n" + ",".join(row.get(name, "") for name in COLUMNS), "y")


def test_shipped_numbers_are_of_data_sets_that_can_be_read():
    found = load_yardsticks()
    assert len(found) == 20
    assert {name for one in found for name in (one.trained_on, one.tested_on)} - {""} <= set(READERS)
    (montgomery,) = (
        one
        for one in found
        if one.of(Task.SEGMENTATION, "dice", "shenzhen", "montgomery") and one.trained_on and one.tested_on
    )
    assert montgomery.value == 0.942
    assert all(claim.source != "Zech et al. 2018" for claim in load_ledger()), "they are no claims to check"


def test_an_empty_name_is_of_any_data_set():
    (one,) = parsed(trained_on="", high="0.95")
    assert one.of(Task.SEGMENTATION, "dice", "shenzhen", "jsrt")
    assert not one.of(Task.SEGMENTATION, "dice", "shenzhen", "montgomery")
    assert not one.of(Task.SEGMENTATION, "jaccard", "shenzhen", "jsrt")
    assert (one.value, one.high) == (0.9, 0.95)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"metric": "dicee"}, "did you mean 'dice'"),
        ({"task": "classification"}, "dice is a metric of segmentation"),
        ({"value": "94"}, "value 94 of dice is outside 0 to 1; write 0.94"),
        ({"high": "9"}, "value 9 of dice is outside 0 to 1"),
        ({"value": ""}, "value '' is not a number"),
        ({"value": "high"}, "value 'high' is not a number"),
        ({"comparability": ""}, "comparability is empty"),
    ],
)
def test_what_is_wrong_is_named(changes, fault):
    with pytest.raises(ClaimError, match=fault):
        parsed(**changes)
