"""What a metric of all cases together gives each case: the jackknife's pseudo-values."""

import numpy as np
import pytest
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from mmbench.errors import PluginError
from mmbench.evaluation.plugins import class_values, pseudo_values
from mmbench.plugins.discovery import discover
from mmbench.protocol.schema import MetricPolicy
from mmbench.stats.delong import delong_test

RANDOM = np.random.default_rng(0)
LABELS = (RANDOM.random(150) < 0.4).astype(int)
SCORES = RANDOM.normal(LABELS, 1.0)


def area(kept):
    return roc_auc_score(LABELS[kept], SCORES[kept]) if 0 < LABELS[kept].mean() < 1 else np.nan


def test_those_of_a_mean_are_the_values_themselves():
    found = pseudo_values(lambda kept: SCORES[kept].mean(), len(SCORES))
    np.testing.assert_allclose(found, SCORES, atol=1e-12)


def test_their_mean_is_the_metric_and_their_variance_is_delongs_for_auroc():
    found = pseudo_values(area, len(LABELS))
    assert found.mean() == pytest.approx(area(np.arange(len(LABELS))), abs=1e-12)
    other = RANDOM.permutation(SCORES)
    expected = delong_test(LABELS, SCORES, other).covariance[0, 0]
    assert found.var(ddof=1) / len(found) == pytest.approx(expected, rel=0.01)


def test_resampled_means_spread_like_the_resampled_metric():
    """On weights of whole patients, two cases each."""
    cases = np.arange(150)

    def correlation(kept):
        return matthews_corrcoef(LABELS[kept], SCORES[kept] > 0.5)

    values = pseudo_values(correlation, 150)
    drawn = RANDOM.integers(75, size=(2000, 75))
    places = np.concatenate([2 * drawn, 2 * drawn + 1], axis=1)
    metric = np.array([correlation(cases[one]) for one in places])
    assert values[places].mean(axis=1).std() == pytest.approx(metric.std(), rel=0.05)


def test_a_case_without_which_there_is_no_metric_has_that_of_all():
    labels, scores = np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.7, 0.4])

    def alone(kept):
        return roc_auc_score(labels[kept], scores[kept]) if labels[kept].any() else np.nan

    found = pseudo_values(alone, 4)
    assert found[3] == pytest.approx(2 / 3)
    assert found.mean() == pytest.approx(2 / 3)
    assert np.isnan(pseudo_values(lambda kept: np.nan, 4)).all()


PLUGIN = """
from mmbench.methods import CLASSIFICATION
from mmbench.plugins import register_metric

@register_metric("own", task=CLASSIFICATION, heading="O", title="o", definition="d", per_case=False)
def own(probabilities, labels, policy):
    return {value}
"""


def test_it_must_return_one_number(tmp_path):
    (tmp_path / "own.py").write_text(PLUGIN.format(value="labels / 1"))
    discover([tmp_path / "own.py"])
    with pytest.raises(PluginError, match=r"metric 'own' returns an array of shape \(3,\), not one number"):
        class_values(np.full((3, 2), 0.5), np.array([0, 1, 1]), MetricPolicy())
    discover()


def test_a_metric_of_masks_is_of_each_case(tmp_path):
    (tmp_path / "masks.py").write_text(
        PLUGIN.format(value="1").replace("task=CLASSIFICATION", "task='segmentation'")
    )
    with pytest.raises(PluginError, match="a metric of masks has a value of each case"):
        discover([tmp_path / "masks.py"])
