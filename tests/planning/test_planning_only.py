import pytest

from mmbench.errors import UserError
from mmbench.planning.only import select
from tests.execution.fake_work import tiny_plan

RUNS = tiny_plan().runs


def chosen(only):
    return [run.describe() for run in select(RUNS, only)]


def test_no_filter_is_everything():
    assert select(RUNS, None) == RUNS


def test_different_keys_must_all_hold_and_equal_ones_are_alternatives():
    assert chosen("method=enc,seed=1") == ["enc cla=4 subset=0 seed=1", "enc cla=8 subset=0 seed=1"]
    assert chosen(" classification=8 , method=enc, method=majority,seed=0 ") == [
        "enc cla=8 subset=0 seed=0",
        "majority cla=8 subset=0 seed=0",
    ]
    assert len(chosen("subset=0")) == 10
    assert len(chosen("segmentation=none")) == 10


def test_every_run_can_be_named_by_its_id():
    for run in RUNS:
        assert select(RUNS, f"id={run.id}") == [run]


def test_method_means_the_row_or_the_method_under_it():
    run = RUNS[0].model_copy(update={"label": "a=b [c]"})
    assert select([run, *RUNS[1:]], "method=a=b [c]") == [run]
    assert select([run, *RUNS[1:]], "label=a=b [c]") == [run]
    assert run in select([run, *RUNS[1:]], "method=enc")
    assert run not in select([run, *RUNS[1:]], "label=enc")


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("", "only: '' is not key=value; write for example method=unet,seed=0"),
        ("enc", "only: 'enc' is not key=value"),
        ("method=enc,,seed=0", "only: '' is not key=value"),
        ("method=", "only: 'method=' is not key=value"),
        ("metod=enc", "only: unknown key 'metod'; did you mean 'method'?"),
        ("method=encsl", "only: no run has method=encsl; did you mean 'encssl'?"),
        ("seed=7", "only: no run has seed=7; valid: 0, 1"),
        ("classification=16", "only: no run has classification=16; valid: 4, 8"),
        ("method=majority,seed=1", "only: no run has all of method=majority,seed=1"),
    ],
)
def test_mistakes_are_told_in_one_line(only, message):
    with pytest.raises(UserError) as caught:
        select(RUNS, only)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
