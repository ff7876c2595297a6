"""What a protocol asks of its data, and the cause that is told where they do not have it."""

import pytest

from mmbench.errors import ProtocolError
from mmbench.planning.plan import make_plan
from mmbench.protocol.loading import parse_protocol
from tests.data.data_layouts import disc, picture, save

PROTOCOL = """
name: ours
sources: {{{task}: {{dataset: manifest, path: ours.csv{more}}}}}
{targets}
budgets: {{pairs: [{{{task}: full}}]}}
methods: [{method}]
trivial_baselines: [{trivial}]
image_size: 32
backbone: {{width: 0.25, depth: 2}}
training: {{steps: 2, batch_size: 2}}
"""


def plan(folder, task, columns, row, *, targets="", more="", count=20):
    (folder / "ours.csv").write_text(
        columns + "\n" + "".join(row.format(i=i, c=i % 2) + "\n" for i in range(count))
    )
    for number in range(count):
        save(folder / f"{number}.png", picture(number))
        save(folder / f"{number}_mask.png", disc(48, (24, 24), 9))
    method, trivial = {"classification": ("enc", "majority"), "segmentation": ("unet", "mean_mask")}[task]
    text = PROTOCOL.format(task=task, method=method, trivial=trivial, targets=targets, more=more)
    return make_plan(parse_protocol(text), data_root=folder)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("task", "columns", "row", "message"),
    [
        ("classification", "image,mask", "{i}.png,{i}_mask.png", "no case of manifest has a label"),
        ("classification", "image,label", "{i}.png,", "no case of manifest has a label"),
        ("segmentation", "image,label", "{i}.png,{c}", "no case of manifest has a mask"),
        (
            "classification",
            "image,label,split",
            "{i}.png,{c},train",
            r"the test part of manifest has no case with a label \(\d+ train, \d+ validation, 0 test\); give",
        ),
    ],
)
def test_nothing_to_test_on_is_told_with_its_cause(tmp_path, task, columns, row, message):
    with pytest.raises(ProtocolError, match=message):
        plan(tmp_path, task, columns, row)


def test_a_target_without_masks_is_told_so(tmp_path):
    (tmp_path / "bare.csv").write_text("image\n0.png\n1.png\n")
    targets = "targets: {segmentation: [{dataset: manifest, path: bare.csv, name: bare}]}"
    with pytest.raises(
        ProtocolError, match="no case of bare has a mask; give it some, or leave segmentation out"
    ):
        plan(tmp_path, "segmentation", "image,mask", "{i}.png,{i}_mask.png", targets=targets)


@pytest.mark.parametrize("shared", [False, True])
def test_patients_of_two_manifests_are_compared_when_they_are_said_to_be_the_same(tmp_path, shared):
    for number in range(20, 24):
        save(tmp_path / f"{number}.png", picture(number))
    (tmp_path / "later.csv").write_text(
        "image,label,patient_id\n" + "".join(f"{i}.png,{i % 2},p{i - 20}\n" for i in range(20, 24))
    )
    own = ", patients: here" if shared else ""
    targets = f"targets: {{classification: [{{dataset: manifest, path: later.csv, name: later{own}}}]}}"
    arguments = (tmp_path, "classification", "image,label,patient_id", "{i}.png,{c},p{i}")
    if shared:
        from mmbench.errors import LeakError

        with pytest.raises(LeakError, match="manifest:train and later:all share 4 patients|share . patient"):
            plan(*arguments, targets=targets, more=own)
    else:
        notes = plan(*arguments, targets=targets).notes
        assert (
            "4 patient ids of manifest occur in later, too (p0, p1, p2...), and count as different patients; "
            "if they are not, give both the same 'patients' name"
        ) in notes
