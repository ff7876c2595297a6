"""Data sets as people re-upload them: other cases, other folders, files missing, files twice."""

import os
import sys

import pytest

from mmbench.data.catalogue import listing, load_dataset
from mmbench.data.importing import import_dataset
from mmbench.data.readers import READERS
from mmbench.errors import DataError, UserError
from mmbench.protocol.schema import DatasetChoice
from tests.data.data_layouts import (
    NIH_HEADER,
    disc,
    make_kermany,
    make_montgomery,
    make_nih,
    make_shenzhen,
    picture,
    save,
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMBENCH_CACHE", str(tmp_path / "cache"))


def read(name, root):
    return READERS[name].listing(root)


# --- what was not read --------------------------------------------------------------------------------------


def test_whole_copies_leave_nothing_unread(tmp_path):
    makers = {"kermany": make_kermany, "montgomery": make_montgomery, "shenzhen": make_shenzhen}
    for name, make in (makers | {"chestxray14": make_nih}).items():
        assert not any("not read" in note for note in read(name, make(tmp_path / name)).notes)


@pytest.mark.parametrize("part", ["Test", "TEST", "testing"])
def test_part_folders_are_found_by_their_usual_names(tmp_path, part):
    make_kermany(tmp_path)
    (tmp_path / "test").rename(tmp_path / part)
    assert len(read("kermany", tmp_path).cases) == 12


def test_capitals_throughout_are_found(tmp_path):
    make_kermany(tmp_path / "set")
    for folder in sorted((tmp_path / "set").iterdir()):
        for inner in sorted(folder.iterdir()):
            inner.rename(folder / inner.name.title())
        folder.rename(folder.with_name(folder.name.title()))
    root = READERS["kermany"].find(tmp_path, 2)
    assert root == tmp_path / "set"
    assert len(read("kermany", root).cases) == 12


def test_what_lies_outside_of_the_layout_is_told(tmp_path):
    make_kermany(tmp_path)
    for number in range(3):
        save(tmp_path / "extra" / f"person{number}_virus_1.jpeg", picture(number))
    save(tmp_path / "chest_xray/train/NORMAL/IM-0001-0001.jpeg", picture(9))
    assert read("kermany", tmp_path).notes[-1] == (
        "kermany: not read, being outside of the layout: 4 files (3 in extra/, 1 in chest_xray/train/NORMAL/)"
    )
    report = import_dataset("kermany", tmp_path, image_sizes=(16,))
    assert any(": 4 files (" in note for note in report.notes)
    (tmp_path / "extra/person0_virus_1.jpeg").unlink()  # told as it is now, though nothing is decoded anew
    notes = load_dataset(DatasetChoice(dataset="kermany"), image_size=16, seed=0, data_root=tmp_path).notes
    assert any(": 3 files (" in note for note in notes)


# --- kermany ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "stem"),
    [("NORMAL", "person1_virus_6"), ("PNEUMONIA", "IM-0001-0001"), ("NORMAL", "VIRUS-1-0001")],
)
def test_a_file_whose_name_contradicts_its_folder_is_refused(tmp_path, folder, stem):
    save(tmp_path / "train" / folder / f"{stem}.jpeg", picture(1))
    with pytest.raises(DataError, match=rf"{stem}\.jpeg: is named as \w+, but lies in {folder}/"):
        read("kermany", tmp_path)


@pytest.mark.parametrize("other", ["CNV", "BACTERIA"])
def test_other_classes_in_the_same_layout_are_refused(tmp_path, other):
    make_kermany(tmp_path / "chest_xray")
    save(tmp_path / f"OCT/train/{other}/{other}-1-1.jpeg", picture(1))
    save(tmp_path / "OCT/train/NORMAL/NORMAL-9000-1.jpeg", picture(2))
    assert READERS["kermany"].find(tmp_path, 2) == tmp_path / "chest_xray", "eyes are no chests"
    save(tmp_path / f"chest_xray/test/{other}/{other}-1-1.jpeg", picture(1))
    with pytest.raises(DataError, match=rf"test/{other}: is no class of kermany"):
        read("kermany", tmp_path / "chest_xray")


def test_of_several_copies_one_must_be_named(tmp_path):
    for name in ("chest_xray", "backup_of_chest_xray"):
        make_kermany(tmp_path / name)
    with pytest.raises(DataError, match=r"holds 2 copies of kermany \(.*backup.*; name the right one"):
        import_dataset("kermany", tmp_path)


# --- chestxray14 --------------------------------------------------------------------------------------------


def test_one_of_the_two_lists_alone_is_told(tmp_path):
    make_nih(tmp_path)
    (tmp_path / "test_list.txt").write_text("00000002_000.png\n")
    assert (
        "chestxray14: train_val_list.txt is missing, so test_list.txt is not used and parts are drawn"
        in read("chestxray14", tmp_path).notes
    )


def test_a_name_in_both_lists_is_refused(tmp_path):
    make_nih(tmp_path)
    for name in ("test_list.txt", "train_val_list.txt"):
        (tmp_path / name).write_text("00000002_000.png\n")
    with pytest.raises(DataError, match="00000002_000.png is also in train_val_list.txt"):
        read("chestxray14", tmp_path)


@pytest.mark.parametrize("name", ["train_val_list.txt", "Data_Entry_2017.csv"])
def test_lists_and_tables_in_utf16_are_one_line(tmp_path, name):
    make_nih(tmp_path)
    for other in ("test_list.txt", "train_val_list.txt"):
        (tmp_path / other).write_text(
            "00000004_000.png\n" if other.startswith("test") else "00000005_000.png\n"
        )
    (tmp_path / name).write_bytes("00000002_000.png\n".encode("utf-16"))
    with pytest.raises(DataError, match=rf"{name}: is not UTF-8 text"):
        read("chestxray14", tmp_path)


def test_a_comma_too_many_does_not_move_columns(tmp_path):
    make_nih(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("00000004_000.png,Pneumonia", "00000004_000.png,,Pneumonia"))
    with pytest.raises(DataError, match="line 6: has 12 fields instead of 11"):
        read("chestxray14", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Edema|Pneumonia", "Edema;Pneumonia", "line 4: 'edema;pneumonia' is no finding of ChestX-ray14"),
        ("Edema|Pneumonia", "No Finding|Pneumonia", "line 4: No Finding stands beside a finding"),
        (
            "Pneumonia,0,4,",
            "Pneumonia,0,5,",
            "line 6: 00000004_000.png is not of patient 5; check the columns",
        ),
        ("Pneumonia,0,4,", "Pneumonia,0,,", "line 6: Patient ID is empty"),
    ],
)
def test_rows_that_cannot_be_right_are_refused(tmp_path, old, new, message):
    make_nih(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    assert old in table.read_text()
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read("chestxray14", tmp_path)


def test_an_empty_list_is_refused_and_a_second_table_is_told(tmp_path):
    make_nih(tmp_path)
    make_nih(tmp_path, table="Data_Entry_2017_v2020.csv")
    notes = read("chestxray14", tmp_path).notes
    assert "chestxray14: Data_Entry_2017_v2020.csv is used, and Data_Entry_2017.csv is not" in notes
    for name in ("test_list.txt", "train_val_list.txt"):
        (tmp_path / name).write_text("\n")
    with pytest.raises(DataError, match=r"train_val_list\.txt: names no image"):
        read("chestxray14", tmp_path)


def test_a_row_twice_is_named_by_its_lines_and_not_by_its_file(tmp_path):
    make_nih(tmp_path)
    with (tmp_path / "Data_Entry_2017.csv").open("a") as stream:
        stream.write("00000002_000.png,Cardiomegaly,0,2,60,M,PA,2682,2749,0.143,0.143\n")
    with pytest.raises(DataError, match=r"line 8: '00000002_000\.png' stands twice, first at .* line 3"):
        read("chestxray14", tmp_path)


def test_an_image_in_two_folders_is_refused(tmp_path):
    make_nih(tmp_path, folders=("images_001/images", "images_002/images"))
    save(tmp_path / "images_001/images/00000002_000.png", picture(1))
    with pytest.raises(DataError, match=r"the same image is also at .*images_001"):
        read("chestxray14", tmp_path)


def test_findings_and_file_names_are_read_in_any_case(tmp_path):
    make_nih(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("No Finding", "no finding").replace("Pneumonia", "PNEUMONIA"))
    table.rename(tmp_path / "data_entry_2017.csv")
    assert len(read("chestxray14", tmp_path).cases) == 5
    assert NIH_HEADER.startswith("Image Index")


# --- rsna ---------------------------------------------------------------------------------------------------


def make_rsna(root, text):
    from tests.data.test_data_readers import write_dicom

    for number in range(3):
        write_dicom(root / f"stage_2_train_images/p{number}.dcm", picture(number))
    (root / "stage_2_train_labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def test_spaces_around_ids_are_no_part_of_them(tmp_path):
    make_rsna(tmp_path, "patientId, x ,Target\n p0 ,1, 1\np1,2,0 \n'p2',3,0\n".replace("'", ""))
    found = {case.case_id: case.label for case in read("rsna", tmp_path).cases}
    assert found == {"p0": 1, "p1": 0, "p2": 0}


def test_a_table_in_utf16_is_one_line(tmp_path):
    make_rsna(tmp_path, "patientId,Target\np0,1\n".encode("utf-16"))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read("rsna", tmp_path)


def test_a_missing_package_is_no_fault_of_the_files(tmp_path, monkeypatch):
    import sys

    make_rsna(tmp_path, "patientId,Target\np0,1\np1,0\n")
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError) as caught:
        import_dataset("rsna", tmp_path, image_sizes=(16,), skip_bad=True)
    assert str(caught.value) == "reading DICOM needs pydicom; run pip install 'mmbench[rsna]'"


# --- montgomery, shenzhen -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [("left", "right"), ("LeftMask", "RIGHTMASK"), ("left_mask", "right_mask")])
@pytest.mark.parametrize("suffix", [".png", "_mask.png", "_MASK.PNG"])
def test_montgomery_masks_are_found_in_copies(tmp_path, sides, suffix):
    make_montgomery(tmp_path)
    for old, new in zip(("leftMask", "rightMask"), sides, strict=True):
        folder = (tmp_path / "ManualMask" / old).rename(tmp_path / "ManualMask" / f"{new}.moved")
        folder = folder.rename(tmp_path / "ManualMask" / new)
        for path in sorted(folder.iterdir()):
            path.rename(folder / (path.stem + suffix))
    cases = read("montgomery", tmp_path).cases
    assert [len(case.masks["lungs"]) for case in cases] == [2] * 4


def test_the_copy_that_merges_both_sets_is_both(tmp_path):
    make_montgomery(tmp_path, 2)
    make_shenzhen(tmp_path, 2, 2)
    import shutil

    shutil.rmtree(tmp_path / "ManualMask")
    (tmp_path / "mask").rename(tmp_path / "masks")
    for number in range(2):
        save(tmp_path / f"masks/MCUCXR_{number:04d}_{number}.png", disc(48, (24, 24), 9))
    for name in ("montgomery", "shenzhen"):
        cases = read(name, tmp_path).cases
        assert [len(case.masks["lungs"]) for case in cases] == [1, 1]


@pytest.mark.parametrize(("name", "make"), [("montgomery", make_montgomery), ("shenzhen", make_shenzhen)])
def test_a_set_of_masks_without_any_is_refused(tmp_path, name, make):
    make(tmp_path)
    (tmp_path / ("ManualMask" if name == "montgomery" else "mask")).rename(tmp_path / "annotations")
    with pytest.raises(DataError, match=rf"none of the 4 images of {name} has a mask; expected "):
        read(name, tmp_path)


# --- every set ----------------------------------------------------------------------------------------------


def test_one_set_that_cannot_be_read_leaves_the_list(tmp_path):
    make_montgomery(tmp_path / "montgomery")
    (tmp_path / "montgomery/ManualMask/leftMask/MCUCXR_0001_1.png").unlink()
    make_kermany(tmp_path / "kermany")
    found = {status.info.name: status for status in listing(tmp_path)}
    assert found["kermany"].available
    assert not found["montgomery"].available
    assert "the other lung's mask is missing" in found["montgomery"].fault


def test_too_many_folders_are_named_as_the_cause(tmp_path):
    for number in range(450):
        (tmp_path / f"folder{number}").mkdir()
    make_kermany(tmp_path / "zzz/chest_xray")
    with pytest.raises(DataError, match="more than 400 folders were searched for kermany; name"):
        import_dataset("kermany", tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_folders_that_cannot_be_read_are_passed_over(tmp_path):
    make_kermany(tmp_path / "disk/sub/chest_xray")
    (tmp_path / "disk/lost+found").mkdir(mode=0)
    assert READERS["kermany"].find(tmp_path / "disk", 3) == tmp_path / "disk/sub/chest_xray"


def test_missing_files_are_skipped_when_asked_and_counted_when_not(tmp_path):
    make_kermany(tmp_path)
    for number in (1, 2):  # as git-annex leaves files that were not fetched
        (tmp_path / f"train/NORMAL/IM-900{number}-0001.jpeg").symlink_to("/nonexistent")
    with pytest.raises(DataError, match=r"IM-9001-0001\.jpeg: cannot be read.* - 2 cases are bad of 14"):
        import_dataset("kermany", tmp_path, image_sizes=(16,))
    report = import_dataset("kermany", tmp_path, image_sizes=(16,), skip_bad=True)
    assert (report.counts["cases"], len(report.skipped)) == (12, 2)


def test_one_picture_under_two_labels_is_told(tmp_path):
    make_kermany(tmp_path)
    shared = (tmp_path / "train/NORMAL/IM-0115-0001.jpeg").read_bytes()
    (tmp_path / "train/PNEUMONIA/person77_virus_1.jpeg").write_bytes(shared)
    notes = import_dataset("kermany", tmp_path, image_sizes=(16,)).notes
    assert "kermany: 1 groups of identical images (2 files)" in notes
    assert any("1 of them carry different labels (train/IM-0115-0001" in note for note in notes)


# --- manifests ----------------------------------------------------------------------------------------------


def manifest(tmp_path, text):
    for number in range(2):
        save(tmp_path / f"{number}.png", picture(number))
    (tmp_path / "ours.csv").write_text(text)
    return READERS["manifest"].scan(tmp_path / "ours.csv")


@pytest.mark.parametrize("other", ["./0.png", "x/../0.png", ".//0.png"])
def test_one_file_under_two_paths_is_one_case_twice(tmp_path, other):
    (tmp_path / "x").mkdir()
    with pytest.raises(DataError, match=r"case '0\.png' is there twice, both times as .*; list it once"):
        manifest(tmp_path, f"image,label\n0.png,1\n{other},0\n")


def test_two_columns_of_lungs_are_refused(tmp_path):
    with pytest.raises(DataError, match="'mask' and 'mask_lungs' are both of the lungs; remove one"):
        manifest(tmp_path, "image,mask,mask_lungs\n0.png,1.png,1.png\n")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("nan", "nan"), "line 2: 'nan' is no patient_id; leave it empty where it is unknown"),
        (("p1", "?"), r"line 3: '\?' is no patient_id"),
        (("1", "001"), "the patient ids '1' and '001' differ in their spelling alone"),
        (("1", "1.0"), "the patient ids '1' and '1.0' differ in their spelling alone"),
        (("P1", "p1"), "the patient ids 'P1' and 'p1' differ in their spelling alone"),
    ],
)
def test_patient_ids_that_are_none_or_spelled_in_two_ways_are_refused(tmp_path, ids, message):
    with pytest.raises(DataError, match=message):
        manifest(tmp_path, f"image,patient_id\n0.png,{ids[0]}\n1.png,{ids[1]}\n")


def test_a_mask_of_several_images_is_told(tmp_path):
    save(tmp_path / "m.png", disc(48, (24, 24), 9))
    found = manifest(tmp_path, "image,mask\n0.png,m.png\n1.png,m.png\n")
    assert found.notes == ["manifest: 1 mask files are each of several images (2), as m.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names themselves")
def test_a_folder_below_whose_name_is_not_utf8_is_refused_before_decoding(tmp_path):
    make_kermany(tmp_path / os.fsdecode(b"r\xf6nt"))
    with pytest.raises(UserError, match="its name is not UTF-8"):
        import_dataset("kermany", tmp_path)


def test_other_files_with_the_same_names_sizes_and_times_are_read_anew(tmp_path):
    choice = DatasetChoice(dataset="manifest", path="ours.csv")
    digests = []
    for number in range(2):
        folder = tmp_path / str(number)
        for case in range(3):
            save(folder / f"{case}.bmp", picture(10 * number + case))
        (folder / "ours.csv").write_text("image,label\n0.bmp,0\n1.bmp,1\n2.bmp,0\n")
        for path in folder.iterdir():
            os.utime(path, (0, 0))  # as reproducible archives are unpacked
        digests.append(load_dataset(choice, image_size=16, seed=0, data_root=folder).data_digest)
    assert digests[0] != digests[1]
