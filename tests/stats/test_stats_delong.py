"""DeLong's test against its definition and a published example."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mmbench.stats.delong import delong_test

# 43 patients with ovarian cancer: albumin, total protein, K-G score, and whether surgery helped. Table and
# answers: DeLong et al. 1988 as worked in the SAS/STAT user's guide, PROC LOGISTIC, "Comparing Receiver
# Operating Characteristic Curves".
OVARIAN = np.array(
    np.matrix(
        "3.0 5.8 10 0; 3.2 6.3 5 1; 3.9 6.8 3 1; 2.8 4.8 6 0; 3.2 5.8 3 1; 0.9 4.0 5 0; "
        "2.5 5.7 8 0; 1.6 5.6 5 1; 3.8 5.7 5 1; 3.7 6.7 6 1; 3.2 5.4 4 1; 3.8 6.6 6 1; "
        "4.1 6.6 5 1; 3.6 5.7 5 1; 4.3 7.0 4 1; 3.6 6.7 4 0; 2.3 4.4 6 1; 4.2 7.6 4 0; "
        "4.0 6.6 6 0; 3.5 5.8 6 1; 3.8 6.8 7 1; 3.0 4.7 8 0; 4.5 7.4 5 1; 3.7 7.4 5 1; "
        "3.1 6.6 6 1; 4.1 8.2 6 1; 4.3 7.0 5 1; 4.3 6.5 4 1; 3.2 5.1 5 1; 2.6 4.7 6 1; "
        "3.3 6.8 6 0; 1.7 4.0 7 0; 3.7 6.1 5 1; 3.3 6.3 7 1; 4.2 7.7 6 1; 3.5 6.2 5 1; "
        "2.9 5.7 9 0; 2.1 4.8 7 1; 2.8 6.2 8 0; 4.0 7.0 7 1; 3.3 5.7 6 1; 3.7 6.9 5 1; "
        "3.6 6.6 5 1"
    )
)


def by_definition(labels, a, b):
    """Areas and their covariance from all pairs of cases, O(n^2)."""
    psi = [
        (s[labels == 1][:, None] > s[labels == 0]) + 0.5 * (s[labels == 1][:, None] == s[labels == 0])
        for s in (a, b)
    ]
    areas = [one.mean() for one in psi]
    m, n = psi[0].shape
    covariance = np.zeros((2, 2))
    for r in range(2):
        for s in range(2):
            by_positive = (psi[r].mean(1) - areas[r]) @ (psi[s].mean(1) - areas[s]) / (m - 1)
            by_negative = (psi[r].mean(0) - areas[r]) @ (psi[s].mean(0) - areas[s]) / (n - 1)
            covariance[r, s] = by_positive / m + by_negative / n
    return areas, covariance


@pytest.mark.parametrize("rounded", [False, True])
def test_areas_and_covariance_are_the_definitions(rng, rounded):
    labels = (rng.random(70) < 0.3).astype(float)
    a, b = labels + rng.normal(0, 1, 70), labels + rng.normal(0, 2, 70)
    if rounded:
        a, b = np.rint(2 * a), np.rint(2 * b)
    areas, covariance = by_definition(labels, a, b)
    found = delong_test(labels, a, b)
    assert found.areas == pytest.approx(areas)
    assert found.areas == pytest.approx([roc_auc_score(labels, a), roc_auc_score(labels, b)])
    assert found.covariance == pytest.approx(covariance)
    z = (areas[0] - areas[1]) / math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    assert found.test.statistic == pytest.approx(z)
    assert found.test.p == pytest.approx(2 * stats.norm.sf(abs(z)))


def test_the_published_example():
    albumin, protein, score, surgery = OVARIAN.T
    kg = 10 - score
    first, second = delong_test(surgery, albumin, kg), delong_test(surgery, protein, kg)
    assert first.areas == pytest.approx((0.7366, 0.7258), abs=5e-5)
    assert second.areas[0] == pytest.approx(0.6478, abs=5e-5)
    errors = [math.sqrt(value) for value in np.diag(first.covariance)]
    assert errors == pytest.approx([0.0927, 0.1028], abs=5e-5)
    assert math.sqrt(second.covariance[0, 0]) == pytest.approx(0.1000, abs=5e-5)
    assert first.test.p == pytest.approx(0.9102, abs=5e-5)
    assert second.test.p == pytest.approx(0.4561, abs=5e-5)


def test_corner_cases():
    labels = np.array([0.0, 0, 1, 1])
    same = delong_test(labels, np.arange(4.0), np.arange(4.0))
    assert same.test.p == 1.0
    opposite = delong_test(labels, np.arange(4.0), -np.arange(4.0))
    assert opposite.areas == (1.0, 0.0)
    # Four cases cannot say so much: there is nothing to tell the spread from.
    assert math.isnan(opposite.test.p)
    constant = delong_test(labels, np.full(4, 0.5), np.array([0.1, 0.2, 0.8, 0.9]))
    assert math.isnan(constant.test.p)
    assert math.isnan(delong_test(np.array([0.0, 1, 1]), np.arange(3.0), np.arange(3.0)).test.p)
