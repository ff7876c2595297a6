"""What did nothing in a training is in its record and in the report's warnings."""

import pytest

from mmbench.analysis.analysis import analyse
from mmbench.analysis.results import read_results
from mmbench.store.store import ResultStore
from tests.execution.inline import PROTOCOL, carry_out

PLUGIN = '''
import torch
from torch import nn

from mmbench.baselines.unet import UNet
from mmbench.methods import register_method


@register_method("forgotten_teacher")
class ForgottenTeacher(UNet):
    """Keeps a teacher that nothing moves, and a second loss term that is switched off."""

    def build(self, problem):
        super().build(problem)
        self.teacher = nn.Conv2d(1, 1, 1)
        self.teacher.requires_grad_(False)

    def losses(self, batch):
        terms = super().losses(batch)
        return terms | {"consistency": 0.0 * sum(terms.values())}

    def log(self):
        return {"certain pixels": 0.0}


@register_method("learns_nothing")
class LearnsNothing(UNet):
    """Has an optimiser whose learning rate is 0."""

    def optimizer(self, weights):
        return torch.optim.SGD(weights, lr=0.0)
'''


@pytest.fixture
def told(tmp_path, cache):
    """Records by row, and the report's warnings, of a protocol with two methods that partly do nothing."""
    plugin, folder = tmp_path / "idle.py", tmp_path / "results"
    plugin.write_text(PLUGIN)
    text = PROTOCOL.replace("[unet, umtl]", "[unet, umtl, forgotten_teacher, learns_nothing]")
    carry_out(folder, text, plugins=(str(plugin),))
    results, store = read_results(folder), ResultStore(folder)
    records = {run.label: store.runs.read(run.id) for run in results.runs}
    return records, analyse(results).facts.warnings


def test_records_name_idle_terms_and_networks_and_the_report_tells(told):
    records, warnings = told
    found = {row: (record.idle_losses, record.unmoved) for row, record in records.items()}
    assert found == {
        "unet": ([], []),
        "umtl": ([], []),
        "majority": ([], []),
        "mean_mask": ([], []),
        "forgotten_teacher": (["consistency"], ["teacher"]),
        "learns_nothing": ([], ["network"]),
    }
    text = "\n".join(warnings)
    assert "forgotten_teacher: the loss term 'consistency' was 0 at every step in 1 of 1 runs." in text
    assert "forgotten_teacher: training changed no weight of its network 'teacher' in 1 of 1 runs" in text
    assert "learns_nothing: training changed no weight of its network 'network' in 1 of 1 runs" in text
    # The network and its losses are unet's: an idle term and an unused teacher change no prediction.
    assert "unet and forgotten_teacher predict exactly the same (segmentation) in 1 of 1" in text
    for wrong in ("unet and umtl", "majority", "learns_nothing predict"):
        assert wrong not in text
