"""The models of the publications and the trivial baselines: what each consumes, learns and predicts."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from mmbench.methods import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    SEGMENTATION,
    UNLABELED_CLASSIFICATION,
    UNLABELED_SEGMENTATION,
    LabeledData,
    Problem,
    StreamBatch,
)
from mmbench.plugins.discovery import discover
from mmbench.protocol.schema import Backbone

REGISTRY = discover()
BOTH = {CLASSIFICATION, SEGMENTATION}
MODELS = {
    # name: tasks, streams, loss terms, parameters at full width
    "unet": ({SEGMENTATION}, {LABELED_SEGMENTATION}, {"dice"}, 1_962_337),
    "enc": ({CLASSIFICATION}, {LABELED_CLASSIFICATION}, {"cross_entropy"}, 1_178_994),
    "encssl": (
        {CLASSIFICATION},
        {LABELED_CLASSIFICATION, UNLABELED_CLASSIFICATION},
        {"cross_entropy", "pseudo_label"},
        1_178_994,
    ),
    "umtl": (BOTH, {LABELED_CLASSIFICATION, LABELED_SEGMENTATION}, {"cross_entropy", "dice"}, 1_962_851),
    "umtls": (BOTH, {LABELED_CLASSIFICATION, LABELED_SEGMENTATION}, {"cross_entropy", "dice"}, 1_965_155),
    "umtl_ssl": (
        BOTH,
        {LABELED_CLASSIFICATION, LABELED_SEGMENTATION, UNLABELED_CLASSIFICATION},
        {"cross_entropy", "pseudo_label", "dice"},
        1_962_851,
    ),
    "umtl_ssl_s": (
        BOTH,
        {LABELED_CLASSIFICATION, LABELED_SEGMENTATION, UNLABELED_CLASSIFICATION},
        {"cross_entropy", "pseudo_label", "dice"},
        1_965_155,
    ),
    "multimix": (
        BOTH,
        {LABELED_CLASSIFICATION, LABELED_SEGMENTATION, UNLABELED_CLASSIFICATION, UNLABELED_SEGMENTATION},
        {"cross_entropy", "pseudo_label", "dice", "segmentation_kl"},
        1_965_155,
    ),
}


def make(name, width=0.25, **hyperparameters):
    cls = REGISTRY.get(name).cls
    method = cls(cls.Hyperparameters(**hyperparameters))
    torch.manual_seed(0)
    method.build(Problem(frozenset(cls.tasks), Backbone(width=width, dropout=0.0), 64))
    return method


@pytest.fixture
def batch():
    random = torch.Generator().manual_seed(1)
    images = {s: torch.randn(4, 1, 64, 64, generator=random) for s in MODELS["multimix"][1]}
    return {
        LABELED_CLASSIFICATION: StreamBatch(
            images[LABELED_CLASSIFICATION], labels=torch.tensor([0, 1, 1, 0])
        ),
        UNLABELED_CLASSIFICATION: StreamBatch(
            images[UNLABELED_CLASSIFICATION], strong=(torch.randn(4, 1, 64, 64, generator=random),)
        ),
        LABELED_SEGMENTATION: StreamBatch(
            images[LABELED_SEGMENTATION],
            masks=(torch.rand(4, 1, 64, 64, generator=random) > 0.5).float(),
        ),
        UNLABELED_SEGMENTATION: StreamBatch(images[UNLABELED_SEGMENTATION]),
    }


@pytest.mark.parametrize("name", MODELS)
def test_declarations_terms_and_size(name, batch):
    tasks, streams, names, parameters = MODELS[name]
    method = make(name)
    assert method.tasks == tasks
    assert method.streams == streams
    assert set(method.losses({stream: batch[stream] for stream in streams})) == names
    assert sum(p.numel() for p in make(name, width=1.0).network.parameters()) == parameters


@pytest.mark.parametrize("name", MODELS)
def test_every_weight_learns_and_prediction_changes_no_state(name, batch):
    keeps_all = {"confidence": 0.0} if "pseudo_label" in MODELS[name][2] else {}
    method = make(name, **keeps_all)
    sum(method.losses(batch).values()).backward()
    silent = [n for n, p in method.network.named_parameters() if p.grad is None]
    assert silent == []
    method.network.zero_grad(set_to_none=True)
    method.network.eval()
    before = {key: value.clone() for key, value in method.network.state_dict().items()}
    images = batch[LABELED_SEGMENTATION].images
    parts = {CLASSIFICATION: "class_logits", SEGMENTATION: "mask_logits"}
    for task in method.tasks:
        with torch.no_grad():
            first, second = method.predict(images, task), method.predict(images, task)
        assert [part for part in parts.values() if getattr(first, part) is not None] == [parts[task]]
        assert torch.equal(getattr(first, parts[task]), getattr(second, parts[task]))
    assert all(torch.equal(before[key], value) for key, value in method.network.state_dict().items())


def test_multimix_terms_equal_their_definitions_computed_one_image_at_a_time(batch):
    method = make("multimix", confidence=0.5)
    net = method.network
    found = method.losses(batch)

    def alone(function, images):
        return torch.cat([function(image[None]) for image in images])

    labeled, unlabeled = batch[LABELED_CLASSIFICATION], batch[UNLABELED_CLASSIFICATION]
    masks = alone(net.segment, batch[LABELED_SEGMENTATION].images)
    others = alone(net.segment, batch[UNLABELED_SEGMENTATION].images)
    weak = alone(net.classify, unlabeled.images).softmax(1)
    strong = alone(net.classify, unlabeled.strong[0]).log_softmax(1)
    kept = (weak.max(1).values >= 0.5).float()
    truth = batch[LABELED_SEGMENTATION].masks
    p, q = masks.double().sigmoid(), others.double().sigmoid()
    overlap = 2 * (p * truth).sum((1, 2, 3)) + 1
    expected = {
        "cross_entropy": -alone(net.classify, labeled.images).log_softmax(1)[range(4), labeled.labels].mean(),
        "pseudo_label": 0.25 * (-strong[range(4), weak.argmax(1)] * kept).mean(),
        "dice": 5 * (1 - overlap / (p.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + 1)).mean(),
        "segmentation_kl": 0.01 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean(),
    }
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-4), name


def test_multitask_losses_are_the_sums_of_their_parts(batch):
    for name, parts in {"umtl": ("enc", "unet"), "umtl_ssl": ("encssl", "unet")}.items():
        whole = make(name)
        for part in parts:
            single = make(part)
            single.network = whole.network
            for term, value in single.losses(batch).items():
                torch.testing.assert_close(whole.losses(batch)[term], value)


def test_released_multimix_is_umtl_ssl_s(batch):
    multimix, other = make("multimix", segmentation_kl="none"), make("umtl_ssl_s")
    other.network = multimix.network
    found = multimix.losses(batch)
    assert found.pop("segmentation_kl").item() == 0
    for term, value in other.losses(batch).items():
        torch.testing.assert_close(found[term], value)


def test_multimix_takes_the_shared_terms_from_umtl_ssl_s_to_the_bit(batch):
    """Classification passes alone through the network; masks are decoded with the unlabelled batch's."""
    multimix, other = make("multimix", confidence=0.0), make("umtl_ssl_s", confidence=0.0)
    assert isinstance(multimix, type(other))
    found, expected = multimix.losses(batch), other.losses(batch)
    for term in ("cross_entropy", "pseudo_label"):
        assert torch.equal(found[term], expected[term])
    masks, _ = other.segment(batch[LABELED_SEGMENTATION].images, batch[UNLABELED_SEGMENTATION].images)
    assert torch.equal(found["dice"], other.weighted_dice(masks, batch[LABELED_SEGMENTATION].masks))


def test_multimix_reads_like_its_paper():
    lines = Path(inspect.getfile(REGISTRY.get("multimix").cls)).read_text().splitlines()
    assert len(lines) <= 45


def test_methods_of_a_seed_start_from_the_same_encoder():
    first, second = make("enc").network.state_dict(), make("multimix").network.state_dict()
    shared = [key for key in first if "encoder" in key]
    assert shared
    assert all(torch.equal(first[key], second[key]) for key in shared)


@pytest.mark.parametrize("bridge", ["none", "image", "saliency", "both", "shuffled"])
def test_bridge_variants_predict_masks(bridge, batch):
    method = make("multimix", bridge=bridge)
    channels = {"none": 0, "image": 1, "saliency": 1, "both": 2, "shuffled": 2}[bridge]
    assert method.network.body.decoder[0][0].in_channels == 64 + 32 + channels
    found = method.predict(batch[LABELED_SEGMENTATION].images, SEGMENTATION)
    assert found.mask_logits.shape == (4, 1, 64, 64)


LABELS = LabeledData(labels=torch.tensor([1, 1, 1, 0]))


def trivial(name, labeled=LABELS, seed=0):
    cls = REGISTRY.get(name).cls
    method = cls()
    method.build(Problem(frozenset(cls.tasks), Backbone(), 64, seed=seed))
    method.start(labeled)
    assert method.modules() == {}
    return method


def probability(method, images):
    return method.predict(images, CLASSIFICATION).class_logits.softmax(1)[:, 1]


def test_constant_trivial_classifiers():
    images = torch.randn(3, 1, 8, 8)
    assert probability(trivial("majority"), images).tolist() == pytest.approx([0.75] * 3)
    assert probability(trivial("positive"), images).tolist() == pytest.approx([1] * 3, abs=1e-5)


THREE: dict[str, Any] = {"classes": ("a", "b", "c"), "structures": ("d", "e")}


def test_trivial_classifiers_of_three_classes():
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    images = torch.randn(3000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    made = {}
    for name in ("majority", "prevalence"):
        cls = REGISTRY.get(name).cls
        made[name] = method = cls()
        method.build(Problem(frozenset(cls.tasks), Backbone(), 64, **THREE))
        method.start(LabeledData(labels=labels))
    logits = made["majority"].predict(images[:1], CLASSIFICATION).class_logits
    torch.testing.assert_close(logits.softmax(1), torch.tensor([[0.3, 0.2, 0.5]]))
    drawn = made["prevalence"].predict(images, CLASSIFICATION).class_logits.softmax(1)
    assert drawn.max(1).values.min() > 0.99
    assert drawn.mean(0).tolist() == pytest.approx([0.3, 0.2, 0.5], abs=0.03)
    positive = REGISTRY.get("positive").cls
    assert "none is the positive one" in positive.skip(Problem(frozenset(), Backbone(), 64, **THREE))
    assert positive.skip(Problem(frozenset(), Backbone(), 64)) is None


def test_prevalence_draws_one_coin_per_image_at_the_source_prevalence():
    images = torch.randn(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    method = trivial("prevalence")
    found = (probability(method, images) > 0.5).float()
    assert found.mean().item() == pytest.approx(0.75, abs=0.04)
    assert torch.equal(found[500:600], (probability(method, images[500:600]) > 0.5).float())
    assert not torch.equal(found, (probability(trivial("prevalence", seed=1), images) > 0.5).float())


def test_mean_mask_is_the_mean_of_the_labelled_masks():
    masks = torch.tensor([[[1, 1], [0, 0]], [[1, 0], [0, 0]], [[1, 0], [1, 0]]], dtype=torch.uint8)
    method = trivial("mean_mask", LabeledData(masks=masks[:, None]))
    found = method.predict(torch.zeros(2, 1, 2, 2), SEGMENTATION).mask_logits.sigmoid()
    expected = torch.tensor([[1, 1 / 3], [1 / 3, 0]])
    torch.testing.assert_close(found, expected.expand(2, 1, 2, 2), atol=1e-5, rtol=0)
