"""Edges that changed code got past the other tests: boundaries, names, and parts that one case decides.

Each number is from scipy, scikit-learn, statsmodels or a formula written out here.
"""

import math

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from mmbench.stats.blocks import Block, effective_patients
from mmbench.stats.delong import delong_test
from mmbench.stats.intervals import wilson
from mmbench.stats.paired import EXACT_UP_TO, mcnemar, nadeau_bengio, signed_rank_exact, wilcoxon_cases
from mmbench.stats.power import Design, Noise, _shares, power  # private: shares have a formula of their own
from mmbench.stats.ranks import friedman
from mmbench.stats.resampling import replicates


@pytest.mark.parametrize("shape", [(2, 3), (3, 3), (2, 4)])
def test_friedman_is_scipys_from_two_blocks_and_three_methods_on(shape):
    values = np.random.default_rng(0).normal(size=shape)
    found, expected = friedman(values), stats.friedmanchisquare(*values.T)
    assert (found.name, found.n) == ("Friedman", shape[0])
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    for few in (values[:1], values[:, :2], np.ones(shape)):
        nothing = friedman(few)
        assert (nothing.name, nothing.n) == ("Friedman", len(few))
        assert math.isnan(nothing.statistic)
        assert math.isnan(nothing.p)


def test_delong_needs_two_cases_of_each_class_and_numbers():
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9])
    missing = np.array([0.1, np.nan, 0.4, 0.9])
    for arguments in (
        (np.array([0, 0, 0, 1]), scores, scores),
        (labels, scores, missing),
        (labels, missing, scores),
    ):
        found = delong_test(*arguments)
        assert (found.test.name, found.test.n) == ("DeLong", 4)
        assert math.isnan(found.test.p)
        assert math.isnan(found.test.statistic)
        assert np.isnan(found.covariance).all()
        assert found.covariance.shape == (2, 2)
        assert all(math.isnan(area) for area in found.areas)
    same = delong_test(labels, scores, scores)
    assert (same.test.name, same.test.statistic, same.test.p, same.test.n) == ("DeLong", 0.0, 1.0, 4)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(0, 0), (1, 0), (3, 9), (12, 12), (13, 12), (20, 20), (40, 21)]
)
def test_mcnemar_is_statsmodels_on_both_sides_of_the_exact_test(only_a, only_b):
    a = np.array([True] * only_a + [False] * only_b + [True] * 5)
    b = np.array([False] * only_a + [True] * only_b + [True] * 5)
    found, exact = mcnemar(a, b), only_a + only_b < EXACT_UP_TO
    assert found.name == ("McNemar, exact" if exact else "McNemar, corrected")
    assert found.n == only_a + only_b
    if only_a + only_b == 0:
        assert (found.statistic, found.p) == (0.0, 1.0)
    elif only_a == only_b and not exact:
        assert (found.statistic, found.p) == (0.0, 1.0), (
            "the correction goes no further than to no difference"
        )
    else:
        expected = reference_mcnemar([[5, only_a], [only_b, 0]], exact=exact, correction=True)
        assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("count", [EXACT_UP_TO, EXACT_UP_TO + 1])
def test_the_signed_rank_test_says_whether_it_is_exact(count):
    differences = np.random.default_rng(1).normal(0.2, 1, count)
    found = wilcoxon_cases(differences)
    assert found.name == (
        "exact signed-rank, Pratt" if count <= EXACT_UP_TO else "Wilcoxon signed-rank, Pratt"
    )
    ranks = stats.rankdata(np.abs(differences))
    assert found.statistic == pytest.approx(ranks[differences > 0].sum())
    assert found.n == count


def test_zero_differences_take_a_rank_and_add_nothing():
    found = signed_rank_exact(np.array([0.0, 0.5, -0.25, 2.0]))
    assert (found.name, found.statistic, found.n) == ("exact signed-rank, Pratt", 3 + 4, 4)
    assert signed_rank_exact(np.zeros(0)).n == 0


def test_nadeau_bengio_names_itself_where_there_is_nothing_to_say():
    for values in (np.array([0.1]), np.full(4, 0.1)):
        found = nadeau_bengio(values, 0.3)
        assert (found.name, found.n) == ("Nadeau-Bengio t", len(values))
        assert math.isnan(found.statistic)
    differences = np.array([0.1, 0.3, 0.2, 0.6])
    t = differences.mean() / math.sqrt((1 / 4 + 0.3) * differences.var(ddof=1))
    found = nadeau_bengio(differences, 0.3)
    assert (found.statistic, found.p) == pytest.approx((t, 2 * stats.t.sf(t, 3)))


@pytest.mark.parametrize("threshold", [0.0, 0.5, 2.0])
def test_matthews_of_each_resample_is_scikit_learns(threshold):
    rng = np.random.default_rng(3)
    labels = np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    probability = (
        np.where(rng.random(6) >= 0.5, 0.9, 0.1) if threshold == 0.5 else np.full(6, 1.0 - threshold / 2)
    )
    predicted = (probability >= 0.5).astype(float)
    scores = {"label": labels[None], "probability": probability[None]}
    names = np.array([str(number) for number in range(6)])
    block = Block("here", "classification", True, pd.DataFrame(), names, names, np.arange(6), scores)
    weights = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 3, 0, 0], [0, 1, 2, 0, 3, 0], [1, 0, 0, 1, 0, 4]])
    found = replicates(block, "mcc", weights).resampled[:, 0]
    for resample, value in zip(weights, found, strict=True):
        present = set(labels[resample > 0])
        if len(present) < 2:
            assert math.isnan(value), "one class alone has no correlation"
        else:
            assert value == pytest.approx(sk.matthews_corrcoef(labels, predicted, sample_weight=resample))


def test_effective_patients_are_kishs_of_the_rarest_class():
    patients = np.array([0, 0, 0, 1, 2, 2, 3])
    assert effective_patients(patients) == pytest.approx(7**2 / (9 + 1 + 4 + 1))
    labels = np.array([0, 0, 0, 0, 1, 1, 1])
    assert effective_patients(patients, labels) == pytest.approx(min(4**2 / (9 + 1), 3**2 / (4 + 1)))
    assert effective_patients(patients, np.zeros(7, dtype=int)) == 0
    assert effective_patients(patients, labels + 1) == 0, "class 0 has none"


def test_wilson_stays_within_its_range_at_one_case():
    from statsmodels.stats.proportion import proportion_confint

    for successes, n in ((0, 1), (1, 1), (1, 2), (40, 40)):
        found = wilson(successes, n)
        expected = proportion_confint(successes, n, method="wilson")
        assert (found.low, found.high) == pytest.approx(expected)
        assert 0 <= found.low <= found.high <= 1
    nothing = wilson(0, 0)
    assert math.isnan(nothing.low)
    assert math.isnan(nothing.high)


@pytest.mark.parametrize("budgets", [1, 2, 3, 5])
@pytest.mark.parametrize("balance", [0.1, 0.5, 0.8, 1.0, 1.5])
def test_shares_of_the_variance_have_the_balance(budgets, balance):
    shares = np.array(_shares(budgets, balance))
    assert len(shares) == budgets
    assert shares.sum() == pytest.approx(1)
    assert (shares >= 0).all()
    # Kish's effective number over the number of budgets, no less than one budget and no more than all
    expected = min(max(balance, 1 / budgets), 1.0)
    assert 1 / (shares**2).sum() / budgets == pytest.approx(expected)


def test_unequal_budgets_and_few_patients_cost_power():
    noise = Noise(seed=0.02, patient=0.05)
    designs = [Design(subsets=1, seeds=3, patients=count, budgets=3) for count in (80, 10)]
    equal, few = (power(0.04, design, noise) for design in designs)
    uneven = power(0.04, designs[0], Noise(seed=0.02, patient=0.05, balance=0.4))
    assert few < equal
    assert uneven < equal
    single = Design(subsets=1, seeds=1, patients=80, budgets=3)
    assert power(0.04, single, noise) == 0, "single trainings at several budgets say nothing"
