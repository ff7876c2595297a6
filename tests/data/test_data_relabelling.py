"""Classes named after findings, several structures of a mask, and what is refused of both."""

import numpy as np
import pytest

from mmbench.data.catalogue import load_dataset
from mmbench.data.phantom import generate
from mmbench.errors import DataError
from mmbench.protocol.schema import DatasetChoice
from mmbench.protocol.vocabulary import Task
from tests.data.data_layouts import disc, make_kermany, make_montgomery, make_shenzhen, picture, save

KINDS = ("normal", "bacterial", "viral")
BOTH = {"bacteria": "bacterial", "virus": "viral"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))


def load(root, name, classes=None, structures=None, **choice):
    given = {"classes": classes, "structures": structures}
    return load_dataset(
        DatasetChoice(dataset=name, **choice),
        image_size=32,
        seed=0,
        data_root=root,
        **{key: value for key, value in given.items() if value},
    )


def labels(dataset):
    return {
        case: None if label < 0 else dataset.classes[label]
        for case, label in zip(dataset.cases["case_id"], dataset.cases["label"].fillna(-1), strict=True)
    }


def test_kermany_tells_bacteria_from_viruses_by_its_file_names(tmp_path):
    make_kermany(tmp_path)
    usual, three = load(tmp_path, "kermany"), load(tmp_path, "kermany", KINDS, label_map=BOTH)
    found = labels(three)
    assert found["train/person1_bacteria_1"] == "bacterial"
    assert found["test/person1_virus_6"] == "viral"
    assert found["test/IM-0001-0001"] == "normal"
    assert {case: "normal" if name == "normal" else "pneumonia" for case, name in found.items()} == labels(
        usual
    )
    assert three.data_digest != usual.data_digest
    assert load(tmp_path, "kermany", ("normal", "bacteria", "virus")).data_digest != three.data_digest
    assert three.cases["label"].value_counts().to_dict() == {0: 5, 1: 4, 2: 3}


def test_a_finding_may_count_as_nothing(tmp_path):
    make_kermany(tmp_path)
    without = load(tmp_path, "kermany", label_map={"virus": None})
    assert labels(without)["test/person1_virus_6"] is None
    assert labels(without)["test/person9_bacteria_7"] == "pneumonia"
    assert len(without.rows(None, Task.CLASSIFICATION)) == 9


def test_tuberculosis_can_be_a_class(tmp_path):
    make_montgomery(tmp_path)
    found = load(tmp_path, "montgomery", ("normal", "tuberculosis"))
    assert labels(found)["MCUCXR_0001_1"] == "tuberculosis"
    assert labels(found)["MCUCXR_0002_0"] == "normal"


@pytest.mark.parametrize(
    ("classes", "label_map", "message"),
    [
        (
            KINDS,
            {},
            r"kermany: 4 cases are 'bacteria', none of the classes normal, bacterial, viral; say which",
        ),
        (
            KINDS,
            {**BOTH, "fungus": "viral"},
            "label_map names 'fungus'; its findings are bacteria, normal, virus",
        ),
        (KINDS, {**BOTH, "virus": "virall"}, "label_map: no class 'virall'; did you mean 'viral'"),
    ],
)
def test_what_fits_no_class_is_told(tmp_path, classes, label_map, message):
    make_kermany(tmp_path)
    with pytest.raises(DataError, match=message):
        load(tmp_path, "kermany", classes, label_map=label_map)


def make_table(folder, header, *lines):
    for number in range(4):
        save(folder / f"{number}.png", picture(number))
    table = folder / "cases.csv"
    table.write_text("\n".join([header, *lines]))
    return {"path": str(table)}


def test_a_manifest_has_any_classes(tmp_path):
    table = make_table(tmp_path, "image,label", "0.png,COVID", "1.png,none", "2.png,", "3.png,COVID")
    found = load(tmp_path, "manifest", ("none", "COVID"), **table)
    assert labels(found) == {"0.png": "COVID", "1.png": "none", "2.png": None, "3.png": "COVID"}
    with pytest.raises(
        DataError, match=r"cases\.csv line 2: label must be none, Covid or empty, not 'covid'"
    ):
        load(tmp_path, "manifest", ("none", "Covid"), **table)
    with pytest.raises(DataError, match="label must be 0, 1, normal, pneumonia or empty, not 'covid'"):
        load(tmp_path, "manifest", **table)


def test_a_manifests_numbers_are_mapped(tmp_path):
    table = make_table(tmp_path, "image,label", "0.png,0", "1.png,1", "2.png,2", "3.png,2")
    numbers = DatasetChoice.model_validate({"dataset": "manifest", "label_map": {0: "a", 1: "b", 2: "c"}})
    found = load(tmp_path, "manifest", ("a", "b", "c"), label_map=numbers.label_map, **table)
    assert list(labels(found).values()) == ["a", "b", "c", "c"]


LUNGS, HEART = disc(48, (16, 24), 9), disc(48, (30, 30), 6)


def small(mask):
    """The mask at 32 pixels: what covers half of a pixel's area."""
    fine = np.kron(mask > 0, np.ones((2, 2))).reshape(32, 3, 32, 3).mean(axis=(1, 3))
    return fine >= 0.5


def test_a_manifest_has_a_column_for_each_structure(tmp_path):
    for name, mask in (("lungs", LUNGS), ("heart", HEART)):
        save(tmp_path / f"{name}.png", mask)
    table = make_table(
        tmp_path, "image,mask_lungs,mask_heart", "0.png,lungs.png,heart.png", "1.png,lungs.png,", "2.png,,"
    )
    both = load(tmp_path, "manifest", structures=("lungs", "heart"), **table)
    assert both.masks.shape == (3, 2, 32, 32)
    assert both.cases["has_mask"].tolist() == [True, False, False]
    np.testing.assert_array_equal(both.masks[0], [small(LUNGS), small(HEART)])
    assert any("1 of 3 images have masks of some structures but not of all" in note for note in both.notes)
    lungs = load(tmp_path, "manifest", **table)
    assert lungs.cases["has_mask"].tolist() == [True, True, False]
    heart = load(tmp_path, "manifest", structures=("heart",), **table)
    np.testing.assert_array_equal(heart.masks[0], [small(HEART)])
    with pytest.raises(DataError, match="manifest: has no masks of 'spine', only of heart, lungs"):
        load(tmp_path, "manifest", structures=("spine",), **table)


def test_one_file_holds_several_structures(tmp_path):
    values = np.zeros((48, 48), np.uint8)
    values[LUNGS > 0], values[HEART > 0] = 3, 7
    values[0, 0] = 9
    save(tmp_path / "map.png", values)
    table = make_table(tmp_path, "image,mask", "0.png,map.png", "1.png,")
    found = load(
        tmp_path,
        "manifest",
        structures=("lungs", "heart"),
        mask_values={"lungs": (3, 9), "heart": 7},
        **table,
    )
    np.testing.assert_array_equal(found.masks[0, 1], small(HEART))
    np.testing.assert_array_equal(
        found.masks[0, 0], small((values == 3) * 255) | (small((values == 9) * 255))
    )
    assert found.cases["has_mask"].tolist() == [True, False]
    with pytest.raises(
        DataError, match="mask_values names lungs, but the protocol's structures are lungs, heart"
    ):
        load(tmp_path, "manifest", structures=("lungs", "heart"), mask_values={"lungs": 3}, **table)
    save(tmp_path / "map.png", np.zeros((48, 48, 3), np.uint8))
    with pytest.raises(DataError, match=r"map\.png: a label map has one value for each pixel, not colours"):
        load(tmp_path, "manifest", mask_values={"lungs": 1}, **table)


def test_values_of_several_files_are_refused(tmp_path):
    save(tmp_path / "map.png", LUNGS)
    table = make_table(tmp_path, "image,mask,mask_heart", "0.png,map.png,map.png")
    with pytest.raises(
        DataError, match=r"mask_values is for masks of one kind .*, but 0\.png has those of heart, lungs"
    ):
        load(tmp_path, "manifest", mask_values={"lungs": 255}, **table)


def test_jsrt_has_lungs_heart_and_clavicles(tmp_path):
    parts = {"left lung": LUNGS, "right lung": disc(48, (34, 24), 8), "heart": HEART}
    for number in (1, 2):
        save(tmp_path / "jsrt" / "images" / f"JPCNN00{number}.png", picture(number))
        for name, mask in parts.items():
            save(tmp_path / "jsrt" / "images" / "masks" / name / f"JPCNN00{number}.gif", mask)
    for name, radius in (("left clavicle", 3), ("right clavicle", 4)):
        place = (14 if "left" in name else 34, 6)
        save(tmp_path / "jsrt" / "images" / "masks" / name / "JPCNN001.gif", disc(48, place, radius))
    found = load(tmp_path, "jsrt", structures=("lungs", "heart", "clavicles"))
    assert found.cases["has_mask"].tolist() == [True, False]
    np.testing.assert_array_equal(found.masks[0, 0], small(np.maximum(LUNGS, parts["right lung"])))
    np.testing.assert_array_equal(found.masks[0, 1], small(HEART))
    np.testing.assert_array_equal(found.masks[0, 2], small(disc(48, (14, 6), 3) | disc(48, (34, 6), 4)))
    assert load(tmp_path, "jsrt").cases["has_mask"].tolist() == [True, True]


def test_mask_values_say_which_levels_of_any_set_are_the_lungs(tmp_path):
    make_shenzhen(tmp_path / "shenzhen")
    labelled = np.zeros((48, 48), dtype=np.uint8)
    labelled[8:40, 4:20], labelled[8:40, 28:44] = 1, 2
    for path in (tmp_path / "shenzhen/mask").iterdir():
        save(path, labelled)
    with pytest.raises(DataError, match=r"_mask\.png: holds 3 gray levels \(0, 1, 2\).*mask_values"):
        load(tmp_path, "shenzhen")
    found = load(tmp_path, "shenzhen", mask_values={"lungs": [1, 2]})
    np.testing.assert_array_equal(found.masks[0, 0], small(labelled > 0))
    right = load(tmp_path, "shenzhen", mask_values={"lungs": 1})
    np.testing.assert_array_equal(right.masks[0, 0], small(labelled == 1))
    assert "shenzhen: 3 of 4 images have mask values that mask_values does not name (2)" in right.notes
    with pytest.raises(DataError, match=r"none of the 3 masks has the mask_values"):
        load(tmp_path, "shenzhen", mask_values={"lungs": 7})


def test_the_phantom_names_its_kinds_and_outlines_the_heart():
    made = generate("paediatric_ap", {}, cases=60, image_size=32)
    assert set(made.findings) == {"normal", "lobar", "interstitial"}
    assert [name != "normal" for name in made.findings] == (made.labels == 1).tolist()
    sick = made.true_labels == 1
    kinds = np.array(made.findings)
    given = sick & (made.labels == 1)
    assert (kinds[given] == np.where(made.interstitial[given], "interstitial", "lobar")).all()

    three = load(None, "phantom:paediatric_ap", ("normal", "lobar", "interstitial"), cases=60)
    assert list(labels(three).values()) == made.findings
    usual = load(None, "phantom:paediatric_ap", cases=60)
    assert usual.cases["label"].tolist() == made.labels.tolist()
    assert set(usual.cases["finding"]) == {"normal", "pneumonia"}

    body = generate("adult_pa", {}, cases=20, image_size=64)
    assert not (body.masks & body.hearts).any()
    share = body.hearts.mean(axis=(1, 2))
    assert 0.04 < share.min() < share.max() < 0.3
    # The heart lies on the patient's left, the right of the image, and below the middle of the lungs.
    rows, columns = (np.array([np.nonzero(heart)[axis].mean() for heart in body.hearts]) for axis in (0, 1))
    assert columns.mean() > 32
    assert rows.mean() > np.array([np.nonzero(lungs)[0].mean() for lungs in body.masks]).mean()
    both = load(None, "phantom:adult_pa", structures=("heart", "lungs"), cases=20)
    assert both.structures == ("heart", "lungs")
    assert both.masks.shape == (20, 2, 32, 32)
    np.testing.assert_array_equal(both.masks[:, 1], load(None, "phantom:adult_pa", cases=20).masks[:, 0])
    with pytest.raises(DataError, match="phantom:adult_pa: has no masks of 'spine', only of lungs, heart"):
        load(None, "phantom:adult_pa", structures=("spine",), cases=20)


def test_counts_of_classes_name_the_protocols(tmp_path):
    make_kermany(tmp_path)
    counts = {"normal": 3, "bacterial": 2, "viral": 1}
    found = load(tmp_path, "kermany", KINDS, label_map=BOTH, class_counts=counts)
    assert found.cases["label"].value_counts().to_dict() == {0: 3, 1: 2, 2: 1}
    with pytest.raises(
        DataError, match="class_counts must give a number for each of normal, bacterial, viral"
    ):
        load(tmp_path, "kermany", KINDS, label_map=BOTH, class_counts={"normal": 3, "pneumonia": 2})
