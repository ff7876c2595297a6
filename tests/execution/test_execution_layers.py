"""Runs, predictions and scores: each change of a protocol makes what depends on it, and nothing else."""

import numpy as np
import pandas as pd
import pytest

from mmbench.analysis.matrix import stored_matrix
from mmbench.analysis.results import read_results
from mmbench.protocol import metrics
from mmbench.report.markdown import markdown_table
from mmbench.report.table import spread_table
from mmbench.store.frames import load_predictions, load_runs, load_scores
from mmbench.store.store import ResultStore
from tests.execution.inline import PROTOCOL, carry_out, counts

# unet and mean_mask: two domains each; umtl: three (one of classification); majority: one.
EVERYTHING = (4, 8, 8)


@pytest.fixture
def results(tmp_path, cache):
    """A finished protocol."""
    folder = tmp_path / "results"
    assert counts(carry_out(folder)) == EVERYTHING
    return folder


def changed(old, new):
    assert old in PROTOCOL
    return PROTOCOL.replace(old, new)


def test_nothing_to_do_does_nothing(results):
    assert counts(carry_out(results)) == (0, 0, 0)


TARGETS = "  segmentation: {dataset: phantom:county, cases: 20}\n"


def test_a_new_target_domain_is_predicted_and_scored_only(results):
    text = changed(TARGETS, TARGETS + "  classification: {dataset: phantom:hospital, cases: 20}\n")
    assert counts(carry_out(results, text)) == (0, 2, 2)


@pytest.mark.parametrize(
    ("policy", "expected"),
    {
        "class_threshold: 0.3": (0, 0, 2),
        "empty_distance: nan": (0, 0, 6),
        "spacing: 0.5": (0, 0, 6),
        "nsd_tolerance: 1.0": (0, 0, 6),
        # Only masks at 0.5 are stored.
        "mask_threshold: 0.3": (0, 6, 6),
    }.items(),
)
def test_another_metric_policy_trains_nothing(results, policy, expected):
    text = PROTOCOL + f"evaluation: {{{policy}}}\n"
    assert counts(carry_out(results, text)) == expected
    assert counts(carry_out(results, text)) == (0, 0, 0)
    assert counts(carry_out(results)) == (0, 0, 0), "what was there is still there"


def test_stored_probabilities_suffice_for_any_threshold(tmp_path, cache):
    keep, folder = "keep: {probabilities: 16}\n", tmp_path / "kept"
    assert counts(carry_out(folder, PROTOCOL + keep)) == EVERYTHING
    other = PROTOCOL + "evaluation: {mask_threshold: 0.3}\n"
    assert counts(carry_out(folder, other + keep)) == (0, 0, 6)
    assert counts(carry_out(tmp_path / "anew", other)) == EVERYTHING
    one, two = (load_scores(path).drop(columns="run") for path in (folder, tmp_path / "anew"))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_eight_bits_suffice_for_their_own_levels_only(tmp_path, cache):
    keep, folder = "keep: {probabilities: 8}\n", tmp_path / "kept"
    carry_out(folder, PROTOCOL + keep)
    assert counts(carry_out(folder, PROTOCOL + keep + "evaluation: {mask_threshold: 0.25}\n")) == (0, 0, 6)
    assert counts(carry_out(folder, PROTOCOL + keep + "evaluation: {mask_threshold: 0.3}\n")) == (0, 6, 6)


def test_a_new_metric_scores_only(results, monkeypatch):
    first = metrics.METRICS["dice"]
    added = type(first)(**{**vars(first), "name": "new", "definition": "another"})
    monkeypatch.setitem(metrics.METRICS, "new", added)
    assert counts(carry_out(results)) == (0, 0, 6)


def test_a_corrected_metric_scores_only(results, monkeypatch):
    first = metrics.METRICS["auroc"]
    monkeypatch.setitem(metrics.METRICS, "auroc", type(first)(**{**vars(first), "version": 2}))
    assert counts(carry_out(results)) == (0, 0, 2)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[unet, umtl]", "[{method: unet, name: my U-Net}, umtl]"),
        ("cases: 20}", "cases: 20, name: elsewhere}"),
        ("phantom:adult_pa, cases: 60}", "phantom:adult_pa, cases: 60, name: here}"),
        ("name: tiny", "name: tiny\ndescription: another title"),
        ("name: tiny", "name: tiny\nreference: umtl"),
        ("name: tiny", "name: tiny\nstatistics: {equivalence: 0.02, resamples: 200}"),
    ],
)
def test_names_and_statistics_make_nothing_but_the_report(results, old, new):
    assert counts(carry_out(results, changed(old, new))) == (0, 0, 0)


def test_a_renamed_row_and_domain_are_renamed_in_the_frames(results):
    text = changed("[unet, umtl]", "[{method: unet, name: my U-Net}, umtl]")
    carry_out(results, text.replace("cases: 20}", "cases: 20, name: elsewhere}"))
    frame = load_scores(results)
    assert set(frame["row"]) == {"my U-Net", "umtl", "majority", "mean_mask"}
    assert set(frame["domain"]) == {"paediatric_ap", "adult_pa", "elsewhere"}


def test_more_seeds_make_the_new_runs_only(results):
    # A seed brings its own labelled subset, so the trivial baselines are made for it, too.
    assert counts(carry_out(results, PROTOCOL + "seeds: 2\n")) == (4, 8, 8)


@pytest.mark.parametrize(
    ("layer", "expected"), [("run", (1, 2, 2)), ("predictions", (0, 2, 2)), ("scores", (0, 0, 2))]
)
def test_force_repeats_a_layer_and_what_is_made_from_it(results, layer, expected):
    before = load_scores(results)
    assert counts(carry_out(results, only="method=unet", force=layer)) == expected
    pd.testing.assert_frame_equal(load_scores(results), before, check_exact=True)


def test_predictions_from_stored_weights_are_those_of_the_training_process(results, tmp_path):
    store = ResultStore(results)
    before = {id: store.predictions.content(id)["contents"] for id in store.predictions.ids()}
    carry_out(results, force="predictions")
    store = ResultStore(results)
    assert {id: store.predictions.content(id)["contents"] for id in store.predictions.ids()} == before


WITHOUT = PROTOCOL + "keep: {weights: false}\n"


def test_without_weights_a_new_target_names_the_runs_that_are_trained_again(tmp_path, cache):
    folder = tmp_path / "results"
    assert counts(carry_out(folder, WITHOUT)) == EVERYTHING
    assert not list(folder.glob("runs/*/*.safetensors"))
    assert not load_runs(folder)["weights"].any()
    assert counts(carry_out(folder, WITHOUT + "evaluation: {spacing: 2.0}\n")) == (0, 0, 6)
    text = WITHOUT.replace(TARGETS, TARGETS + "  classification: {dataset: phantom:hospital, cases: 20}\n")
    assert counts(carry_out(folder, text)) == (2, 2, 2), "umtl and majority, for the new domain only"
    notes = ResultStore(folder).load_plan().report["notes"]
    (note,) = [note for note in notes if "must be trained again" in note]
    assert "2 runs" in note
    assert "umtl cla=10 seg=4 subset=0 seed=0" in note


def test_weights_asked_for_later_are_told_and_not_made(results, tmp_path):
    folder = tmp_path / "other"
    carry_out(folder, WITHOUT)
    assert counts(carry_out(folder)) == (0, 0, 0)
    assert "4 finished runs without weights" in " ".join(ResultStore(folder).load_plan().report["notes"])


def test_a_selection_rule_does_not_depend_on_the_metric_policy(tmp_path, cache):
    text = PROTOCOL + "selection: {rule: source_val, every: 2}\n"
    carry_out(tmp_path / "r", text)
    assert carry_out(tmp_path / "r", text + "evaluation: {mask_threshold: 0.7}\n").trained == 0


def test_an_oracle_depends_on_the_targets(tmp_path, cache):
    text = PROTOCOL + "selection: {rule: oracle, every: 2}\n"
    carry_out(tmp_path / "r", text)
    again = carry_out(tmp_path / "r", text.replace("cases: 20", "cases: 24"))
    assert again.trained == 2, "unet and umtl, but no trivial baseline"


def test_changing_the_training_makes_new_runs(results):
    assert counts(carry_out(results, changed("steps: 4", "steps: 5"))) == EVERYTHING


def test_everything_can_be_computed_from_the_predictions(results):
    """Dice and accuracy of one's own, against the recorded ones."""
    scores = load_scores(results)
    masks = load_predictions(results, task="segmentation")
    both = [(case.mask & case.truth).sum() for case in masks.itertuples()]
    sizes = [case.mask.sum() + case.truth.sum() for case in masks.itertuples()]
    recorded = scores[scores["task"] == "segmentation"]["dice"].to_numpy()
    np.testing.assert_allclose(2 * np.array(both) / np.array(sizes), recorded, rtol=1e-15)
    classes = load_predictions(results, task="classification")
    assert classes["pneumonia"].dtype == np.float32
    np.testing.assert_allclose(classes["normal"] + classes["pneumonia"], 1, atol=1e-6)
    correct = (classes["pneumonia"] >= 0.5) == classes["label"]
    assert (correct.to_numpy() == scores[scores["task"] == "classification"]["correct"].to_numpy()).all()


ADAPTED = PROTOCOL.replace("methods: [unet, umtl]", "methods: [umtl, tent]").replace(
    "backbone: {name: paper_unet, width: 0.25, depth: 3}", "backbone: smp:fpn/mobilenetv3_small_100"
)


def test_a_method_that_only_predicts_differently_takes_the_weights_over(tmp_path, cache):
    # umtl and two trivial baselines are trained, and each of the four predicts its domains.
    assert counts(carry_out(tmp_path / "both", ADAPTED)) == (3, 9, 9)
    store = ResultStore(tmp_path / "both")
    runs = {run.run.label: run for run in map(store.runs.read, store.runs.ids())}
    umtl, tent = runs["umtl"], runs["tent"]
    assert tent.taken_from == umtl.id
    assert tent.product == umtl.product
    assert tent.seconds == umtl.seconds
    dice = dice_of(tmp_path / "both")
    assert (dice["umtl"] != dice["tent"]).any()
    assert counts(carry_out(tmp_path / "both", ADAPTED)) == (0, 0, 0)
    # Trained by itself it has the same weights and predictions.
    carry_out(tmp_path / "alone", ADAPTED, only="method=tent")
    (alone,) = (run for run in load_records(tmp_path / "alone") if run.run.label == "tent")
    assert alone.taken_from is None
    assert alone.product == tent.product
    assert (dice_of(tmp_path / "alone")["tent"] == dice["tent"]).all()


def dice_of(folder):
    scores = load_scores(folder)
    return scores[scores["task"] == "segmentation"].set_index(["row", "domain"])["dice"]


def load_records(folder):
    store = ResultStore(folder)
    return [store.runs.read(id) for id in store.runs.ids()]


def test_weights_that_are_not_kept_or_damaged_are_not_taken_over(tmp_path, cache):
    folder = tmp_path / "results"
    carry_out(folder, ADAPTED, only="method=umtl")
    (umtl,) = (run for run in load_records(folder) if run.run.label == "umtl")
    file = next(path for path in (folder / "runs" / umtl.id).iterdir() if "safetensors" in path.name)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    carry_out(folder, ADAPTED, only="method=tent")
    (tent,) = (run for run in load_records(folder) if run.run.label == "tent")
    assert tent.taken_from is None
    assert tent.product == umtl.product


def test_rows_that_saw_the_images_they_are_tested_on_are_marked(tmp_path, cache):
    folder = tmp_path / "results"
    carry_out(folder, ADAPTED)
    lines = markdown_table(spread_table(stored_matrix(read_results(folder)))).splitlines()
    names = [line.split("|")[1].strip() for line in lines if line.startswith("| ")]
    assert [name for name in names if name in ("umtl", "tent", "umtl‡", "tent‡")] == ["umtl", "tent‡"]
    assert (
        "‡ saw images of tested domains, without labels: tent adapts to the images that it predicts."
        in "\n".join(lines)
    )
