import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label

from mmbench.data.phantom import DOMAINS, Dials, generate, population, resolve_dials
from mmbench.data.phantom import generation as generation_module
from mmbench.data.phantom.fields import area_weights, grow, shrink, spline_noise
from mmbench.errors import DataError
from mmbench.protocol.schema import SplitSizes
from mmbench.protocol.vocabulary import Task

SIZE = 64
PAIRED = {
    "ap_share", "positioning", "rotation", "magnification", "collimation", "contrast", "brightness", "gamma",
    "unsharp", "processing_spread", "noise", "scatter", "blur", "devices", "side_markers", "marker_rate",
    "marker_shortcut",
}  # fmt: skip
GEOMETRY = {"collimation", "ap_share", "positioning", "rotation", "magnification"}
CHANGES = {
    "population": 1, "age": 12.0, "variety": 0.5, "repeats": 0.9, "prevalence": 0.9, "severity": 0.95,
    "severity_spread": 0.5, "interstitial": 0.95, "mimics": 0.9, "label_noise": 0.45, "ap_share": 0.9,
    "positioning": 3.0, "rotation": 15.0, "magnification": 0.75, "collimation": 1.0, "contrast": 2.0,
    "brightness": 0.3, "gamma": 2.0, "unsharp": 2.0, "processing_spread": 3.0, "noise": 0.2, "scatter": 0.8,
    "blur": 0.03, "devices": 1.0, "side_markers": 0.02, "marker_rate": 0.95, "marker_shortcut": 1.0,
}  # fmt: skip


def phantom(domain="adult_pa", cases=40, size=SIZE, **dials):
    return generate(domain, dials, cases=cases, image_size=size)


def fine_detail(images):
    """Return the mean variance of what a small blur takes away."""
    pictures = images.astype(np.float64)
    return float((pictures - gaussian_filter(pictures, 1.0, axes=(1, 2))).var())


def same(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)


@pytest.mark.parametrize("domain", DOMAINS)
def test_twice_the_same_bytes(domain):
    first, second = phantom(domain, 12), phantom(domain, 12)
    assert first.images.tobytes() == second.images.tobytes()
    assert same(first, second)


@pytest.mark.parametrize("size", [64, 100])
def test_a_case_depends_on_neither_the_number_of_cases_nor_the_batch(monkeypatch, size):
    many = phantom("hospital", 37, size)
    few = phantom("hospital", 9, size)
    assert many.images[:9].tobytes() == few.images.tobytes()
    assert many.masks[:9].tobytes() == few.masks.tobytes()
    assert many.patient_ids[:9] == few.patient_ids
    assert many.labels[:9].tolist() == few.labels.tolist()
    for pixels in (1, 5 * size * size):
        # private: batches of few cases at once
        monkeypatch.setattr(generation_module, "_PIXELS_AT_ONCE", pixels)
        assert same(many, phantom("hospital", 37, size))


def test_shapes_types_and_ids():
    data = phantom("paediatric_ap", 60)
    assert data.images.shape == data.masks.shape == (60, SIZE, SIZE)
    assert data.images.dtype == data.masks.dtype == np.uint8
    assert data.labels.dtype == data.true_labels.dtype == np.int8
    assert set(np.unique(data.masks)) == {0, 1}
    assert data.case_ids[17] == "paediatric_ap-00017"
    assert len(set(data.case_ids)) == 60
    assert ((data.severity > 0) == (data.true_labels == 1)).all()
    assert not data.interstitial[data.true_labels == 0].any()


def test_domains_play_the_publication_and_have_sizes_that_add_up():
    assert sum(settings.cases for settings in DOMAINS.values()) == 4000
    for settings in DOMAINS.values():
        assert isinstance(settings.parts, SplitSizes)
        parts = settings.parts
        assert parts.train + parts.validation + parts.test == settings.cases
    offered = {name: settings.tasks for name, settings in DOMAINS.items()}
    assert offered["paediatric_ap"] == offered["hospital"] == (Task.CLASSIFICATION,)
    assert offered["adult_pa"] == offered["county"] == (Task.SEGMENTATION,)


@pytest.mark.parametrize("domain", DOMAINS)
def test_lungs_are_two_and_of_plausible_size(domain):
    data = phantom(domain, 60)
    area = data.masks.mean(axis=(1, 2))
    assert 0.17 < area.mean() < 0.36
    assert area.min() > 0.08
    assert area.max() < 0.48
    assert area.std() > 0.02
    two = 0
    for mask in data.masks:
        parts, count = label(mask)
        sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
        assert sizes[:2].sum() > 0.97 * mask.sum()
        two += count >= 2 and sizes[1] > 0.25 * sizes[0]
    assert two >= 57


def test_the_heart_makes_the_left_lung_smaller():
    masks = phantom("adult_pa", 80, rotation=0.0, positioning=0.0, variety=1.0).masks.astype(int)
    right, left = masks[:, :, : SIZE // 2].sum(axis=(1, 2)), masks[:, :, SIZE // 2 :].sum(axis=(1, 2))
    assert np.median(left / right) < 0.95
    assert (left > 0.35 * right).all()


def test_healthy_lungs_are_darker_than_the_middle():
    data = phantom("adult_pa", 30, prevalence=0.0)
    for image, mask in zip(data.images.astype(float), data.masks.astype(bool), strict=True):
        middle = image[SIZE // 3 : SIZE * 4 // 5, SIZE // 2 - 2 : SIZE // 2 + 3]
        assert image[mask].mean() < middle.mean() - 25


def test_resolutions_show_the_same_patients():
    small, large = phantom(cases=10), phantom(cases=10, size=128)
    assert small.true_labels.tolist() == large.true_labels.tolist()
    shrunk = large.masks.reshape(10, 64, 2, 64, 2).mean(axis=(2, 4)) > 0.5
    overlap = 2 * (shrunk & (small.masks > 0)).sum() / (shrunk.sum() + small.masks.sum())
    assert overlap > 0.98
    averaged = large.images.reshape(10, 64, 2, 64, 2).mean(axis=(2, 4))
    for one, other in zip(small.images, averaged, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95


def test_every_dial_is_tested_and_changes_something():
    assert set(CHANGES) == set(Dials.model_fields)
    base = phantom("hospital", 24)
    for name, value in CHANGES.items():
        changed = phantom("hospital", 24, **{name: value})
        assert not same(base, changed), name
        if name in {"label_noise"}:
            assert np.array_equal(base.images, changed.images)


def test_sweeping_an_imaging_dial_keeps_patients_labels_and_masks():
    base = phantom("hospital", 24)
    for name in sorted(PAIRED):
        changed = phantom("hospital", 24, **{name: CHANGES[name]})
        assert not np.array_equal(base.images, changed.images), name
        assert changed.patient_ids == base.patient_ids
        assert np.array_equal(changed.labels, base.labels)
        assert np.array_equal(changed.severity, base.severity)
        if name not in GEOMETRY:
            assert np.array_equal(changed.masks, base.masks), name


def test_opacities_change_no_mask():
    healthy, sick = phantom(prevalence=0.0), phantom(prevalence=1.0, severity=0.9)
    assert np.array_equal(healthy.masks, sick.masks)
    inside = healthy.masks.astype(bool)
    assert sick.images[inside].mean() > healthy.images[inside].mean() + 8


def test_severity_is_a_dose():
    healthy = phantom(cases=30, prevalence=0.0, mimics=0.0).images.astype(float)
    change = [
        np.abs(phantom(cases=30, prevalence=1.0, severity=dose, mimics=0.0).images - healthy).mean()
        for dose in (0.2, 0.5, 0.8)
    ]
    assert change == sorted(change)
    assert change[2] > 2 * change[0]


def test_noise_scatter_blur_and_unsharp_mask_act_as_documented():
    quiet = {"noise": 0.0, "side_markers": 0.0, "marker_rate": 0.0, "processing_spread": 0.0}
    plain = fine_detail(phantom(**quiet).images)
    assert fine_detail(phantom(**{**quiet, "noise": 0.05}).images) > 1.5 * plain
    assert fine_detail(phantom(**quiet, blur=0.03).images) < 0.7 * plain
    assert fine_detail(phantom(**quiet, unsharp=1.5).images) > 1.3 * plain
    strong = phantom(**quiet, scatter=0.8)
    weak = phantom(**quiet, scatter=0.0)
    assert not np.array_equal(strong.images, weak.images)


def test_display_dials_act_as_documented():
    quiet = {"side_markers": 0.0, "marker_rate": 0.0, "processing_spread": 0.0}
    base = phantom(**quiet).images
    steep, flat = phantom(**quiet, contrast=1.6).images, phantom(**quiet, contrast=0.6).images
    assert flat.std() < base.std() < steep.std()
    assert phantom(**quiet, brightness=0.2).images.mean() > base.mean() + 5
    assert phantom(**quiet, gamma=2.0).images.mean() < base.mean() - 5


def test_collimation_blackens_and_magnification_enlarges():
    quiet = {"side_markers": 0.0, "marker_rate": 0.0}
    dark = [(phantom(**quiet, collimation=reach).images == 0).mean() for reach in (0.0, 0.5, 1.0)]
    assert dark == sorted(dark)
    assert dark[2] > dark[0] + 0.05
    areas = [phantom(magnification=size).masks.mean() for size in (0.7, 1.0, 1.2)]
    assert areas[0] == pytest.approx(areas[1] * 0.49, rel=0.15)
    assert areas == sorted(areas)


def test_prevalence_and_interstitial_share():
    for share in (0.2, 0.7):
        data = generate("paediatric_ap", {"prevalence": share, "repeats": 0.0}, cases=1500, image_size=16)
        assert data.true_labels.mean() == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 1500))
    sick = generate("hospital", {"prevalence": 1.0, "interstitial": 0.3}, cases=800, image_size=16)
    assert sick.interstitial.mean() == pytest.approx(0.3, abs=0.07)
    fewer, more = phantom(cases=60, prevalence=0.3), phantom(cases=60, prevalence=0.6)
    assert (more.true_labels >= fewer.true_labels).all()


def test_label_noise_flips_its_share_in_both_classes():
    data = generate("hospital", {"label_noise": 0.25, "prevalence": 0.5}, cases=1500, image_size=16)
    wrong = data.labels != data.true_labels
    for truth in (0, 1):
        assert wrong[data.true_labels == truth].mean() == pytest.approx(0.25, abs=0.07)
    clean = generate("hospital", {"label_noise": 0.0}, cases=200, image_size=16)
    assert np.array_equal(clean.labels, clean.true_labels)


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_shortcut_correlates_with_the_label_as_strongly_as_dialled(strength):
    dials = {"marker_shortcut": strength, "marker_rate": 0.5, "prevalence": 0.5, "repeats": 0.0}
    data = generate("paediatric_ap", dials, cases=1500, image_size=16)
    correlation = np.corrcoef(data.ward_markers, data.true_labels)[0, 1]
    assert correlation == pytest.approx(strength, abs=0.1)


def test_markers_are_bright_letters_where_they_are_said_to_be():
    with_marker = phantom("adult_pa", 30, side_markers=0.0, marker_rate=1.0)
    without = phantom("adult_pa", 30, side_markers=0.0, marker_rate=0.0)
    assert with_marker.ward_markers.all()
    assert not without.ward_markers.any()
    changed = with_marker.images != without.images
    rows, columns = np.nonzero(changed.any(axis=0))
    assert rows.max() < SIZE // 6
    assert columns.min() > SIZE // 2
    assert (with_marker.images[changed] > without.images[changed]).mean() > 0.95


def test_patients_with_several_images_keep_anatomy_and_label():
    data = generate("paediatric_ap", {"repeats": 0.6, "rotation": 0.0, "positioning": 0.0}, cases=60,
                    image_size=SIZE)  # fmt: skip
    ids = np.array(data.patient_ids)
    names, counts = np.unique(ids, return_counts=True)
    assert {1, 2, 3} == set(counts)

    def dice(i, j):
        one, other = data.masks[i] > 0, data.masks[j] > 0
        return 2 * (one & other).sum() / (one.sum() + other.sum())

    own, foreign = [], []
    for name in names[counts > 1]:
        rows = np.flatnonzero(ids == name)
        assert len(set(data.true_labels[rows].tolist())) == 1
        assert not np.array_equal(data.images[rows[0]], data.images[rows[1]])
        own.append(dice(rows[0], rows[1]))
        foreign.append(dice(rows[0], np.flatnonzero(ids != name)[0]))
    assert min(own) > 0.85
    assert np.mean(own) > 0.93
    assert np.mean(own) > np.mean(foreign) + 0.05


def test_populations_and_domains_have_other_patients():
    first, second = phantom(cases=20), phantom(cases=20, population=1)
    assert not np.array_equal(first.masks, second.masks)
    adult = resolve_dials("adult_pa", DOMAINS["adult_pa"].dials, {}).model_dump()
    elsewhere = generate("county", adult, cases=20, image_size=SIZE)
    assert not np.array_equal(first.masks, elsewhere.masks)


def test_no_variety_leaves_one_anatomy():
    dials = {"variety": 0.0, "positioning": 0.0, "rotation": 0.0}
    still = phantom("adult_pa", 20, **dials).masks.astype(float)
    usual = phantom("adult_pa", 20, positioning=0.0, rotation=0.0).masks.astype(float)
    assert still.std(axis=0).mean() < 0.4 * usual.std(axis=0).mean()


def test_children_have_relatively_larger_hearts():
    def lungs_per_box(age):
        masks = phantom("adult_pa", 30, age=age, variety=0.2, rotation=0.0).masks > 0
        share = []
        for mask in masks:
            rows, columns = np.nonzero(mask)
            share.append(mask.sum() / ((np.ptp(rows) + 1) * (np.ptp(columns) + 1)))
        return np.mean(share)

    assert lungs_per_box(1.0) < lungs_per_box(30.0) - 0.02


@pytest.mark.parametrize(
    ("domain", "dials", "cases", "size", "words"),
    [
        ("adult", {}, 4, 64, ["unknown phantom domain 'adult'", "did you mean 'adult_pa'"]),
        ("adult_pa", {"nois": 0.1}, 4, 64, ["unknown dial 'nois'", "did you mean 'noise'"]),
        ("adult_pa", {"noise": 7}, 4, 64, ["dial 'noise'", "less than or equal to 0.5", "not 7"]),
        ("adult_pa", {"noise": "loud"}, 4, 64, ["dial 'noise' must be a number", "'loud'"]),
        ("adult_pa", {"noise": True}, 4, 64, ["dial 'noise' must be a number", "True"]),
        ("adult_pa", {"noise": float("nan")}, 4, 64, ["dial 'noise'", "not nan"]),
        ("adult_pa", {"population": 0.5}, 4, 64, ["dial 'population'", "integer", "not 0.5"]),
        ("adult_pa", {}, 0, 64, ["cases must lie between 1"]),
        ("adult_pa", {}, 4, 8, ["image_size must lie between 16"]),
    ],
)
def test_mistakes_are_named_in_one_line(domain, dials, cases, size, words):
    with pytest.raises(DataError) as caught:
        generate(domain, dials, cases=cases, image_size=size)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_progress_ends_at_the_total():
    seen = []
    generate(
        "county", {}, cases=40, image_size=64, on_progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (40, 40)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_default_number_of_cases():
    assert len(generate("county", {}, cases=None, image_size=16).labels) == DOMAINS["county"].cases


def test_a_longer_roster_begins_with_a_shorter_one():
    dials = DOMAINS["paediatric_ap"].dials
    short, long = (population.draw_roster("paediatric_ap", dials, cases) for cases in (50, 333))
    assert np.array_equal(long.patient[:50], short.patient)
    assert np.array_equal(long.image[:50], short.image)


def test_rasters_shrink_by_area_and_grow_by_splines():
    weights = area_weights(10, 4)
    assert weights.sum(axis=1) == pytest.approx(np.ones(4))
    assert weights[0] == pytest.approx(np.array([1, 1, 0.5] + [0] * 7) / 2.5)
    field = np.random.default_rng(0).random((3, 12, 12)).astype(np.float32)
    assert shrink(field, 4) == pytest.approx(field.reshape(3, 4, 3, 4, 3).mean(axis=(2, 4)), abs=1e-6)

    line = np.broadcast_to(np.arange(9, dtype=np.float32)[:, None], (1, 9, 9))
    assert grow(line, 12, 1.0)[0, :, 5] == pytest.approx((np.arange(12) + 0.5) / 12 * 6 + 1, abs=1e-5)
    grids = np.random.default_rng(0).standard_normal((60, 20, 20)).astype(np.float32)
    assert spline_noise(grids, 80).std() == pytest.approx(1.0, abs=0.1)


def test_the_number_of_threads_changes_no_byte():
    code = (
        "import hashlib; from mmbench.data.phantom import generate; "
        "data = generate('hospital', {}, cases=3, image_size=256); "
        "print(hashlib.sha256(data.images.tobytes() + data.masks.tobytes()).hexdigest())"
    )
    digests = set()
    for threads in ("1", "2"):
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, env={**os.environ, **limits}, capture_output=True, text=True, check=True
        )
        digests.add(done.stdout.strip())
    assert len(digests) == 1
