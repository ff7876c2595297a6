"""What the sentences under a table say."""

from mmbench.analysis.matrix import matrix_of
from mmbench.protocol.schema import MetricPolicy, Selection
from mmbench.report.notes import spread_notes
from tests.analysis.analysed import TRIVIAL


def test_captions_say_what_the_numbers_are(results, protocol):
    captions = "\n".join(spread_notes(matrix_of(results, protocol, TRIVIAL)))
    for sentence in (
        "± is the standard deviation over trainings: 2 seeds x 1 labelled subset (not over cases)",
        "Cases: classification kermany 624, nih 4185; segmentation jsrt 123, montgomery 35.",
        "Warning: fewer than 50 cases, so wide uncertainty: montgomery (35, segmentation).",
        "Empty predicted masks, which bear on every distance, over all trainings: unet –/10 on montgomery 3 "
        "of 70.",
        "pneumonia from probability 0.5; mask pixels from probability 0.5",
        "distances in pixels of 256 x 256 images",
        "a distance when exactly one mask is empty is the image's diagonal",
        "Selection rule last: the weights after step 500 are evaluated.",
        "lower is better for HD",
    ):
        assert sentence in captions


def test_captions_follow_the_protocol(results, protocol):
    changed = protocol.model_copy(
        update={
            "seeds": 1,
            "selection": Selection(rule="oracle", every=50),
            "evaluation": MetricPolicy(spacing=0.5, empty_distance="nan"),
        }
    )
    captions = "\n".join(spread_notes(matrix_of(results[results["seed"] == 0], changed, TRIVIAL)))
    assert "One training per row (1 seed, 1 labelled subset): no spread can be shown." in captions
    assert (
        "best on the targets themselves, looked at every 50 steps; an upper bound, not a result" in captions
    )
    assert "distances at a spacing of 0.5 per pixel of 256 x 256 images" in captions
    assert "exactly one mask is empty is undefined" in captions


def test_captions_name_the_metrics_of_these_classes(results, protocol):
    three = protocol.model_copy(update={"classes": ("normal", "bacterial", "viral")})
    captions = "\n".join(spread_notes(matrix_of(results, three, TRIVIAL)))
    assert "AUROC macro area under the ROC curve" in captions
    assert "AUROC area" in "\n".join(spread_notes(matrix_of(results, protocol, TRIVIAL)))
