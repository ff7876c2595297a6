"""What of a pretrained encoder learns, and what does not."""

import sys
from typing import Any

import pytest
import torch
from mmbench.baselines.foundation import Foundation
from mmbench.baselines.umtl import UMTL
from torch import nn

from mmbench.errors import PluginError
from mmbench.methods import CLASSIFICATION, SEGMENTATION, Problem, blocks
from mmbench.protocol.schema import Backbone
from mmbench.testing import built, example_batch
from mmbench.testing.examples import built_on
from mmbench.testing.trials import trial

IMAGES = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))


def encoder_changes(adapt):
    found = trial(Foundation, {"adapt": adapt})
    method: Any = found.method
    now = method.network.body.encoder.state_dict()
    before = found.before["network"]
    return {name for name, value in now.items() if not torch.equal(value, before[f"body.encoder.{name}"])}


def test_a_probed_encoder_does_not_move_and_drops_nothing_out():
    assert encoder_changes("probe") == set()
    method: Any = built(Foundation, {})
    assert not any(layer.training for layer in method.network.body.encoder.modules())
    assert method.network.body.decoder.training
    learning = {name for name, weight in method.network.named_parameters() if weight.requires_grad}
    assert learning
    assert not any(name.startswith("body.encoder") for name in learning)


def test_a_whole_one_is_umtl():
    batch = example_batch(UMTL.streams)
    terms = []
    for cls, values in ((Foundation, {"adapt": "full"}), (UMTL, {})):
        method = built(cls, values)
        torch.manual_seed(0)
        terms.append({name: term.item() for name, term in method.losses(batch).items()})
    assert terms[0] == terms[1]


SMP = Backbone(name="smp:fpn/mobilenetv3_small_100")


def on_smp(adapt):
    return built_on(Foundation, {"adapt": adapt, "rank": 3}, Problem(frozenset(Foundation.tasks), SMP, 32))


def test_low_rank_additions_start_at_nothing_and_alone_learn():
    pytest.importorskip("peft")
    plain, adapted = on_smp("full"), on_smp("lora")
    # The additions give layers other names, and so other random weights; a file gives them the same.
    known = adapted.network.state_dict()
    same = {name: known[name] for name in known if "lora_" in name}
    weights = plain.network.state_dict()
    same |= {name: weights[name.replace(".base_layer", "")] for name in known if "lora_" not in name}
    adapted.network.load_state_dict(same)
    for method in (plain, adapted):
        method.network.eval()
    with torch.no_grad():
        for task, part in ((CLASSIFICATION, "class_logits"), (SEGMENTATION, "mask_logits")):
            one, other = (getattr(method.predict(IMAGES, task), part) for method in (plain, adapted))
            torch.testing.assert_close(one, other)
    encoder = adapted.network.body.encoder
    learning = {name for name, weight in encoder.named_parameters() if weight.requires_grad}
    assert learning
    assert all("lora_" in name for name in learning)
    adapted.network.train()
    sum(adapted.losses(example_batch(Foundation.streams)).values()).backward()
    moved = [name for name, weight in encoder.named_parameters() if weight.grad is not None]
    assert set(moved) <= learning
    assert len(moved) > 10


def test_low_rank_additions_have_the_rank_that_is_asked_for():
    pytest.importorskip("peft")
    layer = nn.Sequential(nn.Linear(7, 5))
    blocks.lora(layer, 2)
    sizes = {name: tuple(weight.shape) for name, weight in layer.named_parameters() if weight.requires_grad}
    assert sorted(sizes.values()) == [(2, 7), (5, 2)]


def test_an_addition_is_the_product_of_its_two_factors():
    pytest.importorskip("peft")
    layer = nn.Sequential(nn.Linear(7, 5))
    plain = nn.Linear(7, 5)
    plain.load_state_dict(layer[0].state_dict())
    blocks.lora(layer, 2)
    down, up = (weight for weight in layer.parameters() if weight.requires_grad)
    with torch.no_grad():
        up.normal_()
        given = torch.randn(3, 7)
        torch.testing.assert_close(layer(given), plain(given) + given @ down.T @ up.T)


def test_what_has_no_layer_to_add_to_is_refused(monkeypatch):
    pytest.importorskip("peft")
    with pytest.raises(PluginError, match="finds no linear or convolutional layer"):
        blocks.lora(nn.Sequential(nn.ReLU()), 2)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(PluginError, match=r"pip install 'mmbench\[lora\]'"):
        blocks.lora(nn.Sequential(nn.Linear(2, 2)), 2)


def test_the_papers_network_takes_no_additions():
    with pytest.raises(PluginError, match="paper_unet takes no low-rank additions"):
        built(Foundation, {"adapt": "lora"})
