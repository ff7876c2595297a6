"""Methods of one seed and one pair of budgets start from common weights."""

import torch

from mmbench.plugins.discovery import discover
from mmbench.protocol.vocabulary import Task
from mmbench.training.build import build_method
from tests.store.made_records import make_run

PAIR = {Task.CLASSIFICATION: 40, Task.SEGMENTATION: 5}
ALL = ("enc", "encssl", "unet", "umtl", "umtls", "umtl_ssl", "umtl_ssl_s", "multimix")


def weights(name, pair=PAIR, seed=0):
    registered = discover().get(name)
    budgets = {task: budget for task, budget in pair.items() if task in registered.cls.tasks}
    run = make_run(budgets=budgets, seed=seed).model_copy(
        update={"paired_budgets": pair, "hyperparameters": {}}
    )
    method = build_method(registered.cls, run, torch.device("cpu"))
    modules = method.modules().items()
    return {f"{key}.{name}": value for key, net in modules for name, value in net.state_dict().items()}


def test_all_eight_models_share_the_weights_of_layers_that_they_share():
    found = {name: weights(name) for name in ALL}
    whole = found["multimix"]
    for name, own in found.items():
        assert own.keys() <= whole.keys()
        for layer, values in own.items():
            # The bridge widens one convolution; its bias is scaled by the width.
            if not layer.startswith("network.body.decoder.0.0."):
                assert torch.equal(values, whole[layer]), (name, layer)


def test_other_budgets_and_other_seeds_are_independent():
    one = weights("unet")["network.body.encoder.0.0.weight"]
    assert not torch.equal(one, weights("unet", seed=1)["network.body.encoder.0.0.weight"])
    other = {**PAIR, Task.CLASSIFICATION: "full"}
    assert not torch.equal(one, weights("unet", other)["network.body.encoder.0.0.weight"])
