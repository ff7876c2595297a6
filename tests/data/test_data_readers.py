import numpy as np
import pytest
from PIL import Image

from mmbench.data.readers import READERS
from mmbench.data.readers.contract import case_counts
from mmbench.data.readers.jsrt import decode_raw
from mmbench.data.readers.manifest import Manifest
from mmbench.data.readers.rsna import decode_dicom
from mmbench.errors import DataError
from tests.data.data_layouts import (
    NIH_HEADER,
    disc,
    make_kermany,
    make_montgomery,
    make_nih,
    make_shenzhen,
    picture,
    raw_levels,
    save,
    write_raw,
)


def by_id(listing):
    return {case.case_id: case for case in listing.cases}


def scan(name, root):
    return READERS[name].scan(root)


# --- kermany ------------------------------------------------------------------------------------------------


def test_kermany_labels_parts_and_patients(tmp_path):
    cases = by_id(scan("kermany", make_kermany(tmp_path)))
    assert len(cases) == 12
    one = cases["train/person1_bacteria_2"]
    assert (one.patient_id, one.part, one.label, one.finding) == ("train/person1", "train", 1, "bacteria")
    assert cases["train/person1_bacteria_1"].patient_id == one.patient_id
    assert cases["test/person1_virus_6"].patient_id == "test/person1"
    assert cases["train/NORMAL2-IM-0012-0001-0002"].patient_id == "train/NORMAL2-IM-0012"
    assert cases["train/person3_virus_4_1"].patient_id == "train/person3"
    official = cases["validation/person1946_bacteria_4874"]
    assert (official.part, official.patient_id) == ("validation", "train/person1946")


def test_kermany_reports_shared_numbering(tmp_path):
    listing = scan("kermany", make_kermany(tmp_path))
    assert listing.notes[0].startswith(
        "kermany: 1 of 2 personN ids of the test part also occur in the training"
    )
    counts = case_counts(listing.cases)
    assert counts["cases"] == 12
    assert (counts["train pneumonia"], counts["validation normal"], counts["test pneumonia"]) == (4, 1, 2)


def test_kermany_reads_the_later_names_with_real_patient_numbers(tmp_path):
    save(tmp_path / "train/PNEUMONIA/BACTERIA-7422-0001.jpeg", picture(1))
    save(tmp_path / "test/NORMAL/NORMAL-7422-0002.jpeg", picture(2))
    cases = by_id(scan("kermany", tmp_path))
    assert cases["train/BACTERIA-7422-0001"].patient_id == cases["test/NORMAL-7422-0002"].patient_id


def test_kermany_refuses_foreign_names_and_ignores_hidden_files(tmp_path):
    make_kermany(tmp_path)
    (tmp_path / "train/NORMAL/._IM-0115-0001.jpeg").write_bytes(b"x")
    (tmp_path / "train/NORMAL/.DS_Store").write_bytes(b"x")
    assert len(scan("kermany", tmp_path).cases) == 12
    save(tmp_path / "train/NORMAL/holiday.jpeg", picture(9))
    with pytest.raises(DataError, match=r"holiday\.jpeg: is not named like the official files"):
        scan("kermany", tmp_path)


# --- montgomery, shenzhen -----------------------------------------------------------------------------------


def test_montgomery_joins_both_lungs(tmp_path):
    cases = by_id(scan("montgomery", make_montgomery(tmp_path)))
    case = cases["MCUCXR_0001_1"]
    assert (case.patient_id, case.finding, case.label) == ("0001", "tuberculosis", None)
    assert [path.parent.name for path in case.masks["lungs"]] == ["leftMask", "rightMask"]
    (tmp_path / "ManualMask/rightMask/MCUCXR_0001_1.png").unlink()
    with pytest.raises(DataError, match=r"leftMask/MCUCXR_0001_1\.png: the other lung's mask is missing"):
        scan("montgomery", tmp_path)


@pytest.mark.parametrize("place", ["mask", "mask/mask", "../mask"])
def test_shenzhen_masks_may_lie_beside_or_above(tmp_path, place):
    root = make_shenzhen(tmp_path / "ChinaSet_AllFiles")
    masks = root / place
    if place != "mask":
        (root / "mask").rename(tmp_path / "moved")
        masks.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "moved").rename(masks.resolve())
    listing = scan("shenzhen", root)
    assert case_counts(listing.cases) == {"cases": 4, "masks": 3, "normal": 2, "tuberculosis": 2}
    assert listing.notes == ["shenzhen: 1 of 4 images have no mask"]


# --- chestxray14 --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv"])
@pytest.mark.parametrize("folders", [("images",), ("images_001/images", "images_002/images")])
@pytest.mark.parametrize("bom", [False, True])
def test_chestxray14_keeps_pneumonia_and_no_finding(tmp_path, table, folders, bom):
    listing = scan("chestxray14", make_nih(tmp_path, table=table, folders=folders, bom=bom))
    found = {case.case_id: (case.label, case.patient_id) for case in listing.cases}
    assert found == {
        "00000002_000": (0, "2"),
        "00000003_000": (1, "3"),
        "00000003_001": (0, "3"),
        "00000004_000": (1, "4"),
        "00000005_000": (0, "5"),
    }
    assert listing.notes == ["chestxray14: 1 images with other findings are left out"]


def test_chestxray14_reads_columns_by_name(tmp_path):
    make_nih(tmp_path)
    table = tmp_path / "Data_Entry_2017.csv"
    lines = table.read_text().splitlines()
    turned = ["Patient ID,Finding Labels,Image Index"]
    for line in lines[1:]:
        fields = line.split(",")
        turned.append(f"{fields[3]},{fields[1]},{fields[0]}")
    table.write_text("\n".join(turned))
    assert len(scan("chestxray14", tmp_path).cases) == 5
    table.write_text(NIH_HEADER.replace("Patient ID", "Person") + "\n")
    with pytest.raises(DataError, match="has no column 'Patient ID'"):
        scan("chestxray14", tmp_path)


def test_chestxray14_official_parts_are_used_when_both_lists_are_there(tmp_path):
    make_nih(tmp_path)
    (tmp_path / "test_list.txt").write_text("00000002_000.png\n00000003_000.png\n00000003_001.png\n")
    assert {case.part for case in scan("chestxray14", tmp_path).cases} == {""}
    (tmp_path / "train_val_list.txt").write_text("00000004_000.png\n00000005_000.png")
    parts = {case.case_id: case.part for case in scan("chestxray14", tmp_path).cases}
    assert parts["00000003_001"] == "test"
    assert parts["00000004_000"] == "train"
    (tmp_path / "train_val_list.txt").write_text("00000004_000.png")
    with pytest.raises(DataError, match="is in neither"):
        scan("chestxray14", tmp_path)


def test_chestxray14_rows_without_a_file_are_noted(tmp_path):
    make_nih(tmp_path)
    (tmp_path / "images/00000004_000.png").unlink()
    assert (
        "chestxray14: 1 rows of Data_Entry_2017.csv have no image file here"
        in scan("chestxray14", tmp_path).notes
    )


# --- jsrt ---------------------------------------------------------------------------------------------------


def make_jsrt(root, masks="scr"):
    write_raw(root / "images/JPCLN001.IMG", raw_levels(1))
    write_raw(root / "images/JPCNN002.IMG", raw_levels(2))
    for fold, stem in ((1, "JPCLN001"), (2, "JPCNN002")):
        for side, centre in (("left lung", (90, 64)), ("right lung", (38, 64)), ("heart", (64, 80))):
            path = root / masks.format(fold=fold) / side / f"{stem}.gif"
            save(path, disc(128, centre, 20))
    return root


@pytest.mark.parametrize("masks", ["scr", "SCR/fold{fold}/masks", "fold{fold}/masks", "images/masks"])
def test_jsrt_masks_are_found_in_every_published_place(tmp_path, masks):
    make_jsrt(tmp_path, masks)
    root = READERS["jsrt"].find(tmp_path, 3)
    assert root == tmp_path / "images"
    cases = by_id(scan("jsrt", root))
    assert {name: [path.parent.name for path in case.masks["lungs"]] for name, case in cases.items()} == {
        "JPCLN001": ["left lung", "right lung"],
        "JPCNN002": ["left lung", "right lung"],
    }
    assert cases["JPCLN001"].finding == "nodule"
    assert cases["JPCNN002"].patient_id == "NN002"


def test_jsrt_raw_values_are_big_endian_and_inverted(tmp_path):
    levels = raw_levels(5)
    gray = decode_raw(write_raw(tmp_path / "JPCLN001.IMG", levels))
    assert gray.white == 4095
    np.testing.assert_array_equal(gray.levels, 4095 - levels)
    assert write_raw(tmp_path / "b.IMG", levels).read_bytes()[:2] == int(levels[0, 0]).to_bytes(2, "big")


def test_jsrt_raw_files_of_another_size_or_depth_are_errors(tmp_path):
    path = write_raw(tmp_path / "JPCLN001.IMG", raw_levels(5))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(
        DataError, match=r"JPCLN001\.IMG: has 8388606 bytes instead of a JSRT image's 8388608"
    ):
        decode_raw(path)
    write_raw(path, raw_levels(5) * 16)
    with pytest.raises(DataError, match="values above 4095"):
        decode_raw(path)


def test_jsrt_png_of_the_same_names(tmp_path):
    save(tmp_path / "JPCLN001.png", picture(1))
    with pytest.raises(DataError, match="none of the 1 images of jsrt has a mask; expected SCR's folders"):
        scan("jsrt", tmp_path)
    for side in ("left lung", "right lung"):
        save(tmp_path / "masks" / side / "JPCLN001.gif", disc(128, (60, 60), 20))
    save(tmp_path / "JPCLN002.png", picture(2))
    assert scan("jsrt", tmp_path).notes == ["jsrt: 1 of 2 images have no mask"]
    write_raw(tmp_path / "JPCLN001.IMG", raw_levels(1))
    with pytest.raises(DataError, match="'JPCLN001' is there twice"):
        scan("jsrt", tmp_path)


# --- rsna ---------------------------------------------------------------------------------------------------


def write_dicom(path, levels, *, photometric="MONOCHROME2", bits=8):
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    image = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    image.Rows, image.Columns = levels.shape
    image.SamplesPerPixel, image.PixelRepresentation = 1, 0
    image.BitsAllocated, image.BitsStored, image.HighBit = levels.itemsize * 8, bits, bits - 1
    image.PhotometricInterpretation = photometric
    image.PixelData = levels.tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save_as(path, enforce_file_format=True)
    return path


def test_dicom_depths_and_inversion(tmp_path):
    levels = picture(1)
    np.testing.assert_array_equal(decode_dicom(write_dicom(tmp_path / "a.dcm", levels)).levels, levels)
    inverted = decode_dicom(write_dicom(tmp_path / "b.dcm", levels, photometric="MONOCHROME1"))
    np.testing.assert_array_equal(inverted.levels, 255 - levels)
    deep = levels.astype(np.uint16) * 16
    gray = decode_dicom(write_dicom(tmp_path / "c.dcm", deep, photometric="MONOCHROME1", bits=12)).settled()
    assert gray.white == 4095
    np.testing.assert_array_equal(gray.levels, 4095 - deep)


def test_damaged_dicom_is_named(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", picture(1))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"a\.dcm: cannot be decoded"):
        decode_dicom(path)
    path.write_bytes(b"nothing" * 50)
    with pytest.raises(DataError, match=r"a\.dcm: cannot be decoded"):
        decode_dicom(path)


def test_rsna_labels_are_one_per_patient(tmp_path):
    for stem in ("aaa", "bbb", "ccc"):
        (tmp_path / "stage_2_train_images").mkdir(exist_ok=True)
        (tmp_path / f"stage_2_train_images/{stem}.dcm").write_bytes(b"x")
    table = tmp_path / "stage_2_train_labels.csv"
    table.write_text("patientId,x,y,width,height,Target\naaa,1,2,3,4,1\naaa,5,6,7,8,1\nbbb,,,,,0\n")
    listing = scan("rsna", tmp_path)
    assert {case.case_id: case.label for case in listing.cases} == {"aaa": 1, "bbb": 0}
    assert "rsna: 1 images without a row in stage_2_train_labels.csv are left out" in listing.notes
    table.write_text("patientId,Target\naaa,1\naaa,0\n")
    with pytest.raises(DataError, match="line 3: patient aaa has rows with Target 0 and 1"):
        scan("rsna", tmp_path)


# --- manifest -----------------------------------------------------------------------------------------------


def make_manifest(folder, text):
    for seed in range(3):
        save(folder / f"images/{seed}.png", picture(seed))
    save(folder / "masks/0.png", disc(48, (24, 24), 10))
    table = folder / "cases.csv"
    table.write_text(text)
    return table


def test_manifest_columns_are_all_optional_but_the_image(tmp_path):
    table = make_manifest(tmp_path, "image\nimages/0.png\nimages/1.png\n")
    cases = Manifest().scan(table).cases
    assert [(case.case_id, case.label, case.masks, case.part) for case in cases] == [
        ("images/0.png", None, {}, ""),
        ("images/1.png", None, {}, ""),
    ]
    assert cases[0].patient_id != cases[1].patient_id


def test_manifest_with_every_column(tmp_path):
    table = make_manifest(
        tmp_path,
        "image,label,mask,patient_id,split,domain\n"
        "images/0.png,pneumonia,masks/0.png,a,train,north\n"
        "images/1.png,0,,a,val,north\n"
        "images/2.png,1,,b,test,south\n",
    )
    north = Manifest().scan_domain(table, "north").cases
    assert [(c.label, c.patient_id, c.part, len(c.masks)) for c in north] == [
        (1, "a", "train", 1),
        (0, "a", "validation", 0),
    ]
    with pytest.raises(DataError, match="holds the domains north, south; say which by 'name'"):
        Manifest().scan_domain(table, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("image,labell\n", "unknown column 'labell'; did you mean 'label'"),
        ("label\n1\n", "has no column 'image'"),
        (
            "image,label\nimages/0.png,sick\n",
            "line 2: label must be 0, 1, normal, pneumonia or empty, not 'sick'",
        ),
        ("image,split\nimages/0.png,dev\n", "line 2: split must be"),
        ("image\nimages/9.png\n", "line 2: there is no file"),
        ("image,label\nimages/0.png\n", "line 2: has 1 field instead of 2"),
        ("image\nimages/0.png\nimages/0.png\n", "is there twice"),
    ],
)
def test_manifest_faults_are_named_by_line(tmp_path, text, reason):
    with pytest.raises(DataError, match=reason):
        Manifest().scan(make_manifest(tmp_path, text))


def test_no_reader_takes_another_layout_for_its_own(tmp_path):
    roots = {
        "kermany": make_kermany(tmp_path / "a"),
        "montgomery": make_montgomery(tmp_path / "b"),
        "shenzhen": make_shenzhen(tmp_path / "c"),
        "chestxray14": make_nih(tmp_path / "d"),
        "jsrt": make_jsrt(tmp_path / "e") / "images",
    }
    for name, root in roots.items():
        assert [reader.name for reader in READERS.values() if reader.matches(root)] == [name]


def test_gif_masks_with_a_palette(tmp_path):
    from mmbench.data.imaging import read_mask

    shape = disc(64, (32, 32), 20)
    image = Image.fromarray((shape > 0).astype(np.uint8), "P")
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.gif"), shape > 0)
