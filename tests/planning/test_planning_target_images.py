"""Methods that learn from unlabelled images of the targets: what they see, and what readers are told."""

import numpy as np
import pytest

from mmbench.analysis.matrix import stored_matrix
from mmbench.analysis.results import read_results
from mmbench.data import loaded
from mmbench.errors import LeakError
from mmbench.execution import training
from mmbench.planning.outline import outline
from mmbench.planning.plan import make_plan
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.vocabulary import Stream, Task
from mmbench.report.notes import spread_notes
from mmbench.training import streams
from tests.execution.inline import carry_out, counts

TEXT = """
name: seen
sources:
  classification: {dataset: phantom:paediatric_ap, cases: 60}
  segmentation: {dataset: phantom:adult_pa, cases: 60}
targets:
  classification: {dataset: phantom:hospital, cases: 30, part: test}
  segmentation:
    - {dataset: phantom:county, cases: 30, part: test}
    - {dataset: phantom:county, cases: 20, dials: {population: 7}, name: dark}
budgets: {pairs: [{classification: 10, segmentation: 4}]}
methods: [umtl, minent]
trivial_baselines: [majority]
backbone: {name: paper_unet, width: 0.25, depth: 3}
image_size: 32
training: {steps: 4, batch_size: 4}
"""


def test_only_the_training_parts_of_targets_tested_in_part_are_seen(cache):
    plan = make_plan(parse_protocol(TEXT))
    seen = {run.label: run.target_images for run in plan.runs if run.label != "majority"}
    assert seen["umtl"] == {}
    assert {task: [one.domain for one in domains] for task, domains in seen["minent"].items()} == {
        Task.CLASSIFICATION: ["hospital"],
        Task.SEGMENTATION: ["county"],
    }
    pairs = {frozenset(overlap.parts) for overlap in plan.leaks.overlaps}
    assert frozenset(("county:train", "county:test")) in pairs
    assert frozenset(("county:train", "adult_pa:test")) in pairs
    assert not any("dark:train" in pair for pair in pairs)
    # Nobody sees them: nobody needs to look for leaks there.
    without = make_plan(parse_protocol(TEXT.replace("[umtl, minent]", "[umtl]")))
    assert not any("county:train" in overlap.parts for overlap in without.leaks.overlaps)
    assert [run.id for run in without.runs if run.label == "umtl"] == [
        run.id for run in plan.runs if run.label == "umtl"
    ]


def test_the_stream_has_the_targets_training_images_and_no_label(tmp_path, cache, monkeypatch):
    made = []

    class Watched(streams.StreamLoader):
        def __init__(self, *arguments, **others):
            super().__init__(*arguments, **others)
            made.append(self)

    monkeypatch.setattr(training, "StreamLoader", Watched)
    assert counts(carry_out(tmp_path / "results", TEXT, only="method=minent"))[0] == 1
    plan = make_plan(parse_protocol(TEXT))
    for stream in (Stream.UNLABELED_TARGET_CLASSIFICATION, Stream.UNLABELED_TARGET_SEGMENTATION):
        choice = plan.protocol.targets.of(stream.task)[0]
        target = loaded.cached_dataset(choice, plan.protocol, stream.task, None)
        expected = target.images[target.part_rows("train")]
        tested = {image.tobytes() for image in target.images[target.rows("test", stream.task)]}
        pool = made[0].pools()[stream]
        found = np.concatenate([batch.images.numpy() for batch in pool.batches()])[:, 0]
        pixels = ((found + 1) * 127.5).round().astype(np.uint8)
        assert np.array_equal(pixels, expected)
        assert not tested & {image.tobytes() for image in pixels}
        batch = made[0].batch(1)[stream]
        assert not hasattr(batch, "labels")
        assert not hasattr(batch, "masks")


def test_a_method_without_target_images_is_skipped_with_the_reason(cache):
    text = TEXT.replace(", part: test", "")
    plan = make_plan(parse_protocol(text))
    assert {run.label for run in plan.runs} == {"umtl", "majority"}
    assert any(
        "minent is skipped: it learns from unlabelled images of the targets" in note for note in plan.notes
    )
    assert outline(parse_protocol(text))["rows"] == {"umtl": 1, "majority": 1}
    assert outline(parse_protocol(TEXT))["rows"] == {"umtl": 1, "minent": 1, "majority": 1}


def test_a_target_image_that_is_tested_elsewhere_is_a_leak(cache):
    # The whole of the same domain is tested under another name.
    text = TEXT.replace("cases: 20, dials: {population: 7}, name: dark", "cases: 30, name: whole")
    make_plan(parse_protocol(text.replace("[umtl, minent]", "[umtl]")))
    with pytest.raises(LeakError, match="county:train and whole:all"):
        make_plan(parse_protocol(text))


def test_rows_that_saw_target_images_are_marked(tmp_path, cache):
    carry_out(tmp_path / "results", TEXT)
    matrix = stored_matrix(read_results(tmp_path / "results"))
    assert matrix.transductive == {
        "minent": "is trained with those of the training parts of hospital, county"
    }
    assert any(
        "‡ saw images of tested domains, without labels: minent is trained with those of" in note
        for note in spread_notes(matrix)
    )


BOTH = '''
from mmbench.baselines.minent import MinEnt
from mmbench.methods import Adaptation, register_method


@register_method("both")
class Both(MinEnt):
    """MinEnt that moves its biases to the images that it predicts, too."""

    adaptation = Adaptation(batch_size=4)

    def adapt(self, images, task):
        """Add the images' mean to the last bias."""
        list(self.network.parameters())[-1].data += images.mean()
'''


def test_a_row_that_adapts_and_sees_target_images_is_marked_for_both(tmp_path, cache):
    (tmp_path / "both.py").write_text(BOTH)
    text = TEXT.replace("[umtl, minent]", "[umtl, both]")
    carry_out(tmp_path / "results", text, plugins=[tmp_path / "both.py"])
    found = stored_matrix(read_results(tmp_path / "results")).transductive
    assert found == {
        "both": "adapts to the images that it predicts and is trained with those of the training parts of "
        "hospital, county"
    }
