"""Metrics, datasets and backbones of plugins: declared, installed, and gone again."""

import sys

import numpy as np
import pytest

from mmbench.data.readers import READERS
from mmbench.errors import PluginError, ProtocolError
from mmbench.evaluation.scores import score_classification, score_segmentation
from mmbench.networks.build import BUILDERS
from mmbench.planning.plan import make_plan
from mmbench.planning.work import Request, notes_on, take_stock
from mmbench.plugins.discovery import discover
from mmbench.protocol import metrics
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.schema import MetricPolicy
from mmbench.protocol.vocabulary import Task
from mmbench.store.frames import load_scores
from mmbench.store.store import ResultStore
from tests.execution.inline import PROTOCOL, carry_out, counts

METRICS = """
import numpy as np
from mmbench.methods import CLASSIFICATION, SEGMENTATION
from mmbench.plugins import register_metric

@register_metric("area", task=SEGMENTATION, heading="A", title="area", definition="{definition}")
def area(prediction, truth, policy):
    return {value}

@register_metric("sure", task=CLASSIFICATION, heading="S", title="sureness", definition="largest probability")
def sure(probabilities, labels, policy):
    return probabilities.max(1)
"""


@pytest.fixture(autouse=True)
def _as_before():
    yield
    discover()


def file(folder, text, name="own.py"):
    path = folder / name
    path.write_text(text)
    return path


def own_metrics(folder, value="prediction.mean()", definition="share of pixels", name="own.py"):
    return file(folder, METRICS.format(value=value, definition=definition), name)


def test_a_discovery_takes_the_place_of_the_one_before(tmp_path):
    versions = [metrics.metrics_version(Task.SEGMENTATION)]
    for name, text in (("one.py", "share of pixels"), ("two.py", "part of the image")):
        discover([own_metrics(tmp_path, definition=text, name=name)])
        assert metrics.METRICS["area"].definition == text
        assert metrics.METRICS["area"].per_case
        versions.append(metrics.metrics_version(Task.SEGMENTATION))
    discover()
    assert "area" not in metrics.METRICS
    versions.append(metrics.metrics_version(Task.SEGMENTATION))
    assert versions[0] == versions[3]
    assert len(set(versions)) == 3


def test_a_metrics_source_is_part_of_the_scores_identity(tmp_path):
    found = []
    for number, value in enumerate(("prediction.mean()", "truth.mean()")):
        discover([own_metrics(tmp_path, value, name=f"own{number}.py")])
        found.append(metrics.metrics_version(Task.SEGMENTATION))
    assert found[0] != found[1]


def test_values_are_those_of_the_function_and_their_mean_leaves_undefined_ones_out(tmp_path):
    import pandas as pd

    discover([own_metrics(tmp_path, "float('nan') if truth.all() else prediction.mean()")])
    cases = pd.DataFrame({"case_id": list("abc"), "patient_id": list("abc"), "label": [0, 1, 1]})
    masks = np.zeros((3, 1, 4, 4), bool)
    masks[0, 0, :2] = masks[1, 0, :1] = True
    truth = np.zeros_like(masks)
    truth[2] = True
    found = score_segmentation(cases, masks, truth, MetricPolicy())
    assert found.cases["area"].tolist()[:2] == [0.5, 0.25]
    assert np.isnan(found.cases["area"][2])
    assert found.metrics["area"] == pytest.approx(0.375)
    probabilities = np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]])
    found = score_classification(cases, probabilities, MetricPolicy())
    assert found.cases["sure"].tolist() == pytest.approx([0.8, 0.6, 0.5])
    assert found.metrics["sure"] == pytest.approx(1.9 / 3)
    probabilities = np.array([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.3, 0.3, 0.4]])
    found = score_classification(cases, probabilities, MetricPolicy(), ("a", "b", "c"))
    assert found.metrics["sure"] == pytest.approx(1.8 / 3)


def test_each_structure_has_its_own_value(tmp_path):
    import pandas as pd

    discover([own_metrics(tmp_path)])
    masks = np.zeros((1, 2, 4, 4), bool)
    masks[0, 0, :2] = True
    cases = pd.DataFrame({"case_id": ["a"], "patient_id": ["a"]})
    found = score_segmentation(cases, masks, masks, MetricPolicy(), structures=("lungs", "heart")).metrics
    assert (found["area:lungs"], found["area:heart"], found["area"]) == (0.5, 0.0, 0.25)


def test_a_new_metric_trains_and_predicts_nothing(tmp_path, cache):
    results = tmp_path / "results"
    carry_out(results)
    plugin = own_metrics(tmp_path)
    found = counts(carry_out(results, plugins=[plugin]))
    assert found == (0, 0, 8)
    assert counts(carry_out(results, plugins=[plugin])) == (0, 0, 0)
    scores = load_scores(results)
    assert scores["area"].notna().any()
    assert counts(carry_out(results)) == (0, 0, 0), "what was there is still there"


@pytest.mark.parametrize(
    ("value", "message"),
    [("1 / 0", "metric 'area' raises ZeroDivisionError"), ("prediction", "metric 'area' raises TypeError")],
)
def test_a_metric_that_fails_is_named(tmp_path, value, message):
    import pandas as pd

    discover([own_metrics(tmp_path, value)])
    masks = np.zeros((1, 1, 4, 4), bool)
    with pytest.raises(PluginError, match=message):
        score_segmentation(
            pd.DataFrame({"case_id": ["a"], "patient_id": ["a"]}), masks, masks, MetricPolicy()
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (METRICS.format(value="1", definition="").replace('"area"', '"dice"'), "metric 'dice' is built in"),
        (
            METRICS.format(value="1", definition="").replace('"area"', '"My Metric"'),
            "cannot be a metric's name",
        ),
        (
            "from mmbench.plugins import register_dataset\nregister_dataset(3)",
            "decorate a class derived from",
        ),
    ],
)
def test_what_cannot_be_declared_is_refused(tmp_path, text, message):
    with pytest.raises(PluginError, match=message):
        discover([file(tmp_path, text)])


def test_two_plugins_of_one_name_are_refused(tmp_path):
    paths = [own_metrics(tmp_path, name=name) for name in ("one.py", "two.py")]
    with pytest.raises(PluginError, match=r"two.py: metric 'area' is already defined in .*one.py"):
        discover(paths)


BACKBONE = """
from mmbench.plugins import register_backbone

@register_backbone("mine")
def mine(backbone, classify, segment, num_classes, num_structures, bridge_channels, image_size):
    from mmbench.networks.unet import PaperUNet
    from mmbench.protocol.schema import Backbone
    own = Backbone(width=0.25, depth=3)
    return PaperUNet(own, classify, segment, num_classes, num_structures, bridge_channels)
"""
ITS_RUN = PROTOCOL.replace("backbone: {name: paper_unet, width: 0.25, depth: 3}", "backbone: mine")


def test_a_backbone_of_a_plugin_is_trained_and_its_source_recorded(tmp_path, cache):
    plugin = file(tmp_path, BACKBONE)
    first = make_plan(parse_protocol(ITS_RUN), plugins=[plugin])
    assert counts(carry_out(tmp_path / "results", ITS_RUN, plugins=[plugin]))[0] == 4
    plugin.write_text(BACKBONE.replace("depth=3", "depth=4"))
    second = make_plan(parse_protocol(ITS_RUN), plugins=[plugin])
    assert first.methods["umtl"].source_digest != second.methods["umtl"].source_digest
    store = ResultStore(tmp_path / "results")
    notes = notes_on(second, store, take_stock(second, store, Request()))
    assert any("umtl: 1 finished run made with another version of the method's source" in n for n in notes)


def test_an_unknown_backbone_is_told_with_what_there_is(tmp_path, cache):
    with pytest.raises(ProtocolError, match="unknown backbone 'mine'.*your own needs --plugin FILE"):
        make_plan(parse_protocol(ITS_RUN))


def test_nothing_of_a_plugin_stays(tmp_path):
    discover([file(tmp_path, BACKBONE)])
    assert "mine" in BUILDERS
    discover()
    assert not BUILDERS
    assert "acme" not in READERS
    assert "mmbench.networks.build" in sys.modules
