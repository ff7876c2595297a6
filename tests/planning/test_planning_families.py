"""Families of methods: which one a method is of, and a protocol that names whole ones."""

from typing import Any

import pytest

from mmbench.errors import PluginError, ProtocolError
from mmbench.methods import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    SEGMENTATION,
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
    UNLABELED_TARGET_SEGMENTATION,
    Adaptation,
    Method,
)
from mmbench.planning.methods import with_families
from mmbench.planning.outline import outline
from mmbench.plugins.discovery import discover
from mmbench.protocol.families import FAMILIES, family_of, seen_by
from mmbench.protocol.loading import parse_protocol

TEXT = """
name: families
sources: {{classification: phantom:paediatric_ap, segmentation: phantom:adult_pa}}
budgets: {{pairs: [{{classification: 10, segmentation: 4}}]}}
methods: {methods}
"""
LABELED = {LABELED_CLASSIFICATION, LABELED_SEGMENTATION}


def expanded(methods, more=""):
    return with_families(parse_protocol(TEXT.format(methods=methods) + more), discover())


@pytest.mark.parametrize(
    ("declared", "family"),
    [
        ({"streams": LABELED}, "supervised"),
        ({"streams": LABELED | {UNLABELED_CLASSIFICATION}}, "semi-supervised-classification"),
        ({"streams": LABELED | {UNLABELED_SEGMENTATION}}, "semi-supervised-segmentation"),
        ({"streams": LABELED | {UNLABELED_SEGMENTATION, UNLABELED_CLASSIFICATION}}, "semi-supervised"),
        ({"streams": LABELED | {UNLABELED_TARGET_SEGMENTATION}}, "domain-adaptation"),
        ({"streams": LABELED, "adaptation": Adaptation()}, "test-time-adaptation"),
        ({"streams": set(), "trivial": True}, "trivial"),
        ({"streams": LABELED, "family": "my-own"}, "my-own"),
    ],
)
def test_a_family_follows_from_what_a_method_sees_unless_it_names_one(declared, family):
    cls: Any = type("Made", (Method,), {"tasks": {CLASSIFICATION, SEGMENTATION}, **declared})
    assert family_of(cls) == family


def test_every_built_in_method_is_of_a_family_that_is_explained():
    families = discover().families()
    assert families.keys() == FAMILIES.keys()
    assert sum(map(len, families.values())) >= 30


def test_a_familys_methods_come_in_its_place_and_once():
    found = expanded("[unet, family:semi-supervised-segmentation, {method: cps, name: mine}, multimix]")
    assert [entry.label for entry in found.methods] == ["unet", "bcp", "unimatch", "mine", "multimix"]


def test_a_family_has_the_backbone_of_its_entry():
    found = expanded("[umtl, {method: family:test-time-adaptation, backbone: smp:unet/resnet18}]")
    assert {str(entry.backbone and entry.backbone.name) for entry in found.methods[1:]} == {
        "smp:unet/resnet18"
    }


def test_the_reference_may_be_of_a_family():
    found = expanded("[family:multitask]", "reference: pcgrad\n")
    assert found.reference_label == "pcgrad"
    assert expanded("[family:multitask]").reference_label == "famo"


@pytest.mark.parametrize(
    ("methods", "more", "message"),
    [
        (
            "[family:multitusk]",
            "",
            r"methods.0: no method is of the family 'multitusk'; did you mean 'multitask'",
        ),
        ("[unet, {method: family:multitask, name: all}]", "", r"methods.1: a family takes neither a name"),
        ("[{method: family:multitask, hyperparameters: {dice_weight: 1}}]", "", "takes neither a name"),
        (
            "[family:multitask]",
            "reference: pcgard\n",
            "reference: 'pcgard' is not among.*did you mean 'pcgrad'",
        ),
        ("[{method: unet, name: famo}, family:multitask]", "", "two rows are called 'famo'"),
        ("[family:multitask, unnet]", "", r"methods.1: unknown method 'unnet'"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(methods, more, message):
    with pytest.raises(ProtocolError, match=message):
        expanded(methods, more)


def test_an_outline_counts_the_runs_of_a_family():
    found = outline(parse_protocol(TEXT.format(methods="[family:multitask]")))
    assert {row: runs for row, runs in found["rows"].items() if runs and row in ("famo", "mtpsl")} == {
        "famo": 1,
        "mtpsl": 1,
    }


def test_a_familys_name_is_lower_case_words(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from mmbench.baselines.umtl import UMTL\n"
        "from mmbench.methods import register_method\n"
        "@register_method('mine')\n"
        "class Mine(UMTL):\n"
        "    '''Mine.'''\n"
        "    family = 'My Own'\n"
    )
    with pytest.raises(PluginError, match="family must be lower-case words joined by hyphens, not 'My Own'"):
        discover([tmp_path / "mine.py"])


@pytest.mark.parametrize(
    ("streams", "how", "words"),
    [
        (LABELED, {}, ["labels (classification and segmentation)"]),
        (
            LABELED | {UNLABELED_SEGMENTATION, UNLABELED_TARGET_SEGMENTATION},
            {"pretrained": True, "adapts": True},
            [
                "pretrained weights",
                "labels (classification and segmentation)",
                "unlabelled images (segmentation)",
                "target images (segmentation)",
                "the tested images",
            ],
        ),
        (set(), {"trivial": True}, ["labels"]),
    ],
)
def test_what_a_row_sees_in_words(streams, how, words):
    assert seen_by(streams, **how) == words
