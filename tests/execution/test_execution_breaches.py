"""A row that broke the contract is refused in a run, and the others are not."""

import pytest

from mmbench.store.frames import load_scores
from tests.execution.inline import PROTOCOL, carry_out

PLUGIN = """
import torch
from mmbench.methods import Prediction, Problem, register_method
from mmbench.baselines.enc import Enc

@register_method("broken")
class Broken(Enc):
    \"\"\"Breaks the contract.\"\"\"

    {body}
"""
BROKEN = {
    "compares": (
        "def predict(self, images, task):\n        return super().predict(images - images.mean(0), task)",
        "predicts image 0 differently alone than among others",
    ),
    "learns": (
        "def predict(self, images, task):\n        self.network.body.class_head.bias.data += 1e-6\n"
        "        return super().predict(images, task)",
        "changed its weights or buffers in predict",
    ),
}
TWO_CLASSES = """def build(self, problem):
        super().build(Problem(problem.tasks, problem.backbone, problem.image_size))

    def losses(self, batch):
        return {"sum": self.network.classify(next(iter(batch.values())).images).sum()}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))


def run(tmp_path, body, text):
    plugin = tmp_path / "broken.py"
    plugin.write_text(PLUGIN.replace("{body}", body))
    return carry_out(tmp_path / "results", text.replace("[unet, umtl]", "[enc, broken]"), plugins=[plugin])


@pytest.mark.parametrize("fault", sorted(BROKEN))
def test_a_row_that_breaks_the_contract_is_refused(tmp_path, fault):
    body, message = BROKEN[fault]
    summary = run(tmp_path, body, PROTOCOL)
    (error,) = summary.failed.values()
    assert f"method 'broken' {message}" in str(error)
    assert summary.exit_code == 1
    assert set(load_scores(tmp_path / "results")["row"]) == {"enc", "majority", "mean_mask"}


def test_a_method_of_two_classes_is_refused_where_there_are_three(tmp_path):
    three = PROTOCOL + "classes: [normal, lobar, interstitial]\n"
    summary = run(tmp_path, TWO_CLASSES, three)
    (error,) = summary.failed.values()
    assert "predicts 2 for classification, but the protocol asks for normal, lobar, interstitial" in str(
        error
    )
    frame = load_scores(tmp_path / "results")
    assert set(frame["row"]) == {"enc", "majority", "mean_mask"}
    own = frame[frame["row"] == "enc"]
    assert (
        own[[f"probability:{name}" for name in ("normal", "lobar", "interstitial")]]
        .sum(axis=1)
        .between(0.999, 1.001)
        .all()
    )
