"""Weights that a backbone starts from: their file, their identity, and what they were trained on."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from mmbench.errors import LeakError, ProtocolError
from mmbench.planning.plan import make_plan
from mmbench.protocol.loading import load_protocol, parse_protocol
from mmbench.store.store import ResultStore
from tests.execution.inline import PROTOCOL, carry_out, counts

PAPER = "backbone: {name: paper_unet, width: 0.25, depth: 3}"


def text(**backbone):
    own = ", ".join(f"{key}: {value}" for key, value in {"name": "smp:unet/resnet18", **backbone}.items())
    return PROTOCOL.replace(PAPER, f"backbone: {{{own}}}").replace("[unet, umtl]", "[enc]")


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "weights" / "own.safetensors"
    path.parent.mkdir()
    save_file(timm.create_model("resnet18").state_dict(), path)
    return path


def test_a_file_is_found_beside_the_protocol_and_only_its_content_counts(tmp_path, cache, weights):
    file = tmp_path / "protocol.yaml"
    file.write_text(text(pretrained="weights/own.safetensors"))
    plan = make_plan(load_protocol(file))
    (run,) = (run for run in plan.runs if run.label == "enc")
    assert run.backbone.pretrained == str(weights)
    assert len(run.backbone.digest) == 64
    moved = weights.rename(tmp_path / "moved.safetensors")
    again = make_plan(parse_protocol(text(pretrained=moved)))
    assert [one.id for one in again.runs] == [one.id for one in plan.runs]
    save_file({**timm.create_model("resnet18").state_dict()}, moved)
    other = make_plan(parse_protocol(text(pretrained=moved)))
    assert not {one.id for one in other.runs if one.label == "enc"} & {run.id}


def test_a_training_starts_from_the_file(tmp_path, cache, weights):
    frozen = text(pretrained=weights).replace("[enc]", "[{method: foundation, name: probe}]")
    assert counts(carry_out(tmp_path / "results", frozen, only="method=foundation"))[0] == 1
    store = ResultStore(tmp_path / "results")
    from safetensors.torch import load_file

    (run,) = store.runs.ids()
    found = load_file(store.runs.folder(run) / "network.safetensors")
    name = next(key for key in found if key.endswith("encoder.model.layer4.1.conv2.weight"))
    assert torch.equal(found[name], load_file(weights)["layer4.1.conv2.weight"])


def test_what_the_weights_were_trained_on_is_not_tested_on(cache, weights):
    trained = {"pretrained": weights, "trained_on": "[phantom:county, imagenet]"}
    with pytest.raises(LeakError, match="a backbone was trained on phantom:county, and county:all is tested"):
        make_plan(parse_protocol(text(**trained)))
    known = make_plan(parse_protocol(text(**trained) + "acknowledged_leaks: [[backbone, county:all]]\n"))
    assert "smp:unet/resnet18 starts from weights trained on phantom:county, imagenet" in known.notes
    assert any(note.startswith("leak (acknowledged): backbone and county:all") for note in known.notes)
    plain = make_plan(parse_protocol(text()))
    assert not any("weights" in note for note in plain.notes)


ROWS = "[enc, {{method: foundation, name: own, backbone: {{name: smp:unet/resnet18, {}}}}}]"


def test_a_row_may_have_a_backbone_of_its_own(tmp_path, cache, weights):
    file = tmp_path / "protocol.yaml"
    file.write_text(PROTOCOL.replace("[unet, umtl]", ROWS.format("pretrained: weights/own.safetensors")))
    plan = make_plan(load_protocol(file))
    found = {run.label: run.backbone for run in plan.runs}
    assert (found["enc"].name, found["enc"].digest) == ("paper_unet", "")
    assert (found["own"].pretrained, len(found["own"].digest)) == (str(weights), 64)
    assert sum("own has a backbone of its own: smp:unet/resnet18" in note for note in plan.notes) == 1
    assert any(
        note.startswith("smp:unet/resnet18 starts from weights trained on nothing") for note in plan.notes
    )


def test_the_weights_of_one_row_are_looked_at_as_those_of_all(cache, weights):
    leaky = PROTOCOL.replace(
        "[unet, umtl]", ROWS.format(f"pretrained: {weights}, trained_on: [phantom:county]")
    )
    with pytest.raises(LeakError, match="a backbone was trained on phantom:county, and county:all is tested"):
        make_plan(parse_protocol(leaky))
    gone = PROTOCOL.replace("[unet, umtl]", ROWS.format("pretrained: gone.safetensors"))
    with pytest.raises(ProtocolError, match=r"gone.safetensors: no such file of weights") as caught:
        make_plan(parse_protocol(gone))
    assert caught.value.at == ("methods", 1, "backbone", "pretrained")


def test_images_must_fit_the_backbone_of_each_row():
    deep = PROTOCOL.replace("[unet, umtl]", "[enc, {method: umtl, backbone: {name: paper_unet, depth: 6}}]")
    with pytest.raises(ProtocolError, match="paper_unet of depth 6 needs images of at least 64 pixels"):
        parse_protocol(deep)
    short = PROTOCOL.replace("[unet, umtl]", "[enc, {method: umtl, backbone: smp:unet/resnet18}]")
    assert parse_protocol(short).methods[1].backbone.name == "smp:unet/resnet18"
    wrong = PROTOCOL.replace("[unet, umtl]", "[enc, {method: umtl, backbone: {nam: paper_unet}}]")
    with pytest.raises(ProtocolError, match="nam"):
        parse_protocol(wrong)
