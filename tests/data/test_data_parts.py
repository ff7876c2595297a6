import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmbench.data.parts import assign_parts, draw_parts, part_sizes, proportional, stratified_quotas
from mmbench.errors import DataError
from mmbench.protocol.schema import SplitSizes


def assign(official, groups=None, strata=None, *, sizes=None, default=(60, 10, 30), joined=0, seed=0):
    official = np.array(official, dtype=object)
    count = len(official)
    return assign_parts(
        official,
        np.arange(count) if groups is None else np.asarray(groups),
        np.zeros(count, dtype=int) if strata is None else np.asarray(strata),
        sizes=sizes,
        default=default,
        joined_validation=joined,
        random=np.random.default_rng(seed),
        where="toy",
    )


def tally(parts):
    return {part: int((parts == part).sum()) for part in ("train", "validation", "test")}


def test_the_sizes_of_the_publication_are_met_exactly():
    assert proportional(247, (111, 13, 123)) == [111, 13, 123]
    assert proportional(138, (93, 10, 35)) == [93, 10, 35]
    assert proportional(400, (60, 10, 30)) == [240, 40, 120]


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=5), st.lists(st.integers(0, 9), min_size=3, max_size=3)
)
def test_quotas_have_exact_margins_and_are_near_proportional(counts, shares):
    if sum(shares) == 0:
        shares = [1, 0, 0]
    strata = np.repeat(np.arange(len(counts)), counts)
    sizes = proportional(len(strata), shares)
    quotas = stratified_quotas(strata, sizes)
    np.testing.assert_array_equal(quotas.sum(axis=0), counts)
    np.testing.assert_array_equal(quotas.sum(axis=1), sizes)
    assert (quotas >= 0).all()


@given(st.integers(0, 10**6), st.lists(st.integers(1, 6), min_size=5, max_size=60))
def test_groups_stay_together_and_sizes_are_near(seed, sizes_of_groups):
    groups = np.repeat(np.arange(len(sizes_of_groups)), sizes_of_groups)
    strata = np.random.default_rng(seed).integers(0, 3, len(groups))
    strata = np.unique(strata, return_inverse=True)[1]
    sizes = proportional(len(groups), (60, 10, 30))
    parts = draw_parts(groups, strata, sizes, np.random.default_rng(seed))
    for group in np.unique(groups):
        assert len(np.unique(parts[groups == group])) == 1
    assert abs(np.bincount(parts, minlength=3) - sizes).max() <= 2 * max(sizes_of_groups)


def test_singletons_meet_every_stratum_exactly():
    strata = np.repeat([0, 1, 2], [50, 30, 20])
    parts = assign([""] * 100, strata=strata)
    assert tally(parts) == {"train": 60, "validation": 10, "test": 30}
    for stratum, counts in enumerate([(30, 5, 15), (18, 3, 9), (12, 2, 6)]):
        assert tuple(tally(parts[strata == stratum]).values()) == counts


def test_large_groups_go_to_parts_in_proportion():
    # 20 groups of 5 beside 900 single cases: the train part must not collect them all, nor the test part
    groups = np.concatenate([np.repeat(np.arange(20), 5), 20 + np.arange(900)])
    found = [(assign([""] * 1000, groups, seed=seed)[:100] == "train").mean() for seed in range(60)]
    assert 0.5 < np.mean(found) < 0.7


def test_the_same_stream_gives_the_same_parts():
    np.testing.assert_array_equal(assign([""] * 50, seed=3), assign([""] * 50, seed=3))
    assert (assign([""] * 50, seed=3) != assign([""] * 50, seed=4)).any()


def test_official_test_parts_are_kept_and_small_validation_parts_join():
    official = ["train"] * 100 + ["validation"] * 16 + ["test"] * 24
    parts = assign(official, joined=50)
    assert tally(parts) == {"train": 104, "validation": 12, "test": 24}
    assert (parts[116:] == "test").all()
    assert tally(assign(official)) == {"train": 100, "validation": 16, "test": 24}


def test_sizes_divide_what_is_not_official():
    official = ["train"] * 100 + ["test"] * 20
    assert tally(assign(official, sizes=SplitSizes(train=0.6, validation=0.2, test=0.2)))["validation"] == 25
    assert tally(assign(official, sizes=SplitSizes(train=93, validation=7, test=0)))["validation"] == 7
    with pytest.raises(DataError, match="test part of 20 cases is given"):
        assign(official, sizes=SplitSizes(train=80, validation=10, test=30))
    with pytest.raises(DataError, match="cannot change them"):
        assign([*official, "validation"], sizes=SplitSizes(train=0.6, validation=0.2, test=0.2))


def test_half_given_parts_are_an_error():
    with pytest.raises(DataError, match="1 of 3 cases have no part"):
        assign(["train", "", "test"])


def test_only_test_cases_need_no_other_part():
    assert tally(assign(["test"] * 5)) == {"train": 0, "validation": 0, "test": 5}


def test_counts_must_sum_to_the_cases():
    assert part_sizes(10, SplitSizes(train=5, validation=2, test=3), "toy") == [5, 2, 3]
    assert part_sizes(10, SplitSizes(train=0.5, validation=0.2, test=0.3), "toy") == [5, 2, 3]
    with pytest.raises(DataError, match=r"split 5 \+ 2 \+ 2 does not sum to its 10 cases.*cases: 9"):
        part_sizes(10, SplitSizes(train=5, validation=2, test=2), "toy")
