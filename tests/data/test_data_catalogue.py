import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mmbench.data import ingest
from mmbench.data.catalogue import dataset_names, describe, listing, load_dataset
from mmbench.data.imaging import Gray, to_square
from mmbench.data.importing import import_dataset
from mmbench.data.subsets import label_order
from mmbench.errors import DataError
from mmbench.protocol.schema import DatasetChoice, SplitSizes
from mmbench.protocol.vocabulary import Task
from tests.data.data_layouts import (
    disc,
    make_kermany,
    make_montgomery,
    make_nih,
    make_shenzhen,
    picture,
    save,
)

C, S = Task.CLASSIFICATION, Task.SEGMENTATION
ENTRY_FILES = ["images.npy", "masks.npy", "cases.parquet", "fingerprints.npz", "meta.json"]


def load(dataset, root=None, *, size=32, seed=0, **changes):
    return load_dataset(DatasetChoice(dataset=dataset, **changes), image_size=size, seed=seed, data_root=root)


@pytest.fixture
def root(tmp_path, fresh_cache):
    folder = tmp_path / "data"
    make_kermany(folder / "chest_xray")
    make_montgomery(folder / "Montgomery" / "MontgomerySet", count=12)
    make_shenzhen(folder / "shenzhen", count=10, masks=8)
    make_nih(folder / "NIH")
    return folder


def test_every_name_is_described():
    names = dataset_names()
    assert set(names) >= {
        "kermany",
        "jsrt",
        "montgomery",
        "chestxray14",
        "rsna",
        "shenzhen",
        "manifest",
        "phantom:adult_pa",
    }
    for name in names:
        info = describe(name)
        assert info.name == name
        assert all((info.title, info.tasks, info.layout, info.where, info.terms))
    with pytest.raises(DataError, match="unknown dataset 'shenzen'; did you mean 'shenzhen'"):
        describe("shenzen")
    with pytest.raises(DataError, match="phantom:adult_pa"):
        describe("phantom:adult_ap2")


@pytest.mark.parametrize(("alias", "name", "task"), [("chex", "kermany", C), ("mcu", "montgomery", S)])
def test_an_alias_is_exactly_the_dataset_that_it_stands_for(root, alias, name, task):
    old, new = load(alias, root), load(name, root)
    assert (old.name, old.domain) == (new.name, new.domain) == (name, name)
    assert (old.data_digest, old.split_digest) == (new.data_digest, new.split_digest)
    assert old.roster_digest == new.roster_digest
    assert list(old.cases["part"]) == list(new.cases["part"])
    one, other = (label_order(dataset, task, seed=0, subset=0) for dataset in (old, new))
    assert np.array_equal(one, other)
    assert describe(alias) is describe(name)
    assert DatasetChoice(dataset=alias) == DatasetChoice(dataset=name)


def test_a_dataset_is_imported_under_its_own_name(root):
    assert import_dataset("mcu", root / "Montgomery", image_sizes=[32]).name == "montgomery"
    assert load("montgomery").name == "montgomery"


def test_images_and_masks_are_those_of_the_files(root):
    dataset = load("montgomery", root)
    row = list(dataset.cases["case_id"]).index("MCUCXR_0003_1")
    np.testing.assert_array_equal(dataset.images[row], to_square(Gray(picture(103), 255), 32))
    union = (disc(48, (34, 24), 8) | disc(48, (14, 24), 8)) > 0
    area = union.reshape(16, 3, 16, 3).mean(axis=(1, 3))
    small = load("montgomery", root, size=16).masks[row]
    np.testing.assert_array_equal(small[0], area >= 0.5)
    assert dataset.masks.dtype == np.uint8
    assert set(np.unique(dataset.masks)) == {0, 1}
    assert dataset.domain == "montgomery"
    assert load("montgomery", root, name="county").domain == "county"


def test_the_table_keeps_its_contract(root):
    dataset = load("shenzhen", root)
    cases = dataset.cases
    assert list(cases.index) == list(range(10))
    assert {"case_id", "patient_id", "part", "label", "has_mask", "group"} <= set(cases.columns)
    assert str(cases["label"].dtype) == "Int8"
    assert cases["label"].isna().all()
    assert cases["has_mask"].sum() == 8
    assert len(dataset.rows(None, S)) == 8
    assert len(dataset.rows("all", C)) == 0
    assert not dataset.masks[~cases["has_mask"].to_numpy()].any()
    assert isinstance(dataset.images, np.memmap)
    assert not dataset.images.flags.writeable
    with pytest.raises(DataError, match="unknown part 'dev'"):
        dataset.rows("dev", S)


def test_small_official_validation_joins_training_and_copies_stay_together(root):
    folder = root / "chest_xray"
    original = folder / "train/NORMAL/IM-0115-0001.jpeg"
    for number in range(20):
        copy = folder / f"train/NORMAL/IM-{2000 + number}-0001.jpeg"
        copy.write_bytes(original.read_bytes())
    dataset = load("kermany", root)
    cases = dataset.cases
    assert (cases["part"] == "test").sum() == 3
    official = cases["case_id"].str.startswith("test/")
    assert ((cases["part"] == "test") == official).all()
    copies = cases[cases["case_id"].str.contains("IM-20|IM-0115")]
    assert copies["group"].nunique() == 1
    assert copies["part"].nunique() == 1
    assert "kermany: 1 groups of identical images (21 files)" in dataset.notes


def test_a_second_load_decodes_nothing_and_is_fast(root, monkeypatch):
    first = load("montgomery", root)
    monkeypatch.setattr(ingest, "decode_case", lambda *_: pytest.fail("decoded again"))
    started = time.perf_counter()
    second = load("montgomery", root)
    assert time.perf_counter() - started < 0.5
    assert second.data_digest == first.data_digest
    np.testing.assert_array_equal(second.images, first.images)


def test_digests_depend_on_content_and_not_on_place_or_size(root, tmp_path):
    here = load("montgomery", root)
    (root / "Montgomery").rename(tmp_path / "montgomery")
    for path in (tmp_path / "montgomery").rglob("*.png"):
        os.utime(path, (1, 1))
    there = load("montgomery", tmp_path)
    assert (there.data_digest, there.split_digest) == (here.data_digest, here.split_digest)
    larger = load("montgomery", tmp_path, size=48)
    assert (larger.data_digest, larger.split_digest) == (here.data_digest, here.split_digest)
    save(tmp_path / "montgomery/MontgomerySet/CXR_png/MCUCXR_0000_0.png", picture(999))
    changed = load("montgomery", tmp_path)
    assert changed.data_digest != here.data_digest
    assert changed.split_digest == here.split_digest


def test_parts_depend_on_the_protocol_seed_only(root):
    assert load("montgomery", root).split_digest == load("montgomery", root).split_digest
    assert len({load("montgomery", root, seed=seed).split_digest for seed in range(4)}) > 1


def test_split_sizes_and_subsets(root):
    parts = (
        load("montgomery", root, split=SplitSizes(train=6, validation=2, test=4)).cases["part"].value_counts()
    )
    assert parts.to_dict() == {"train": 6, "test": 4, "validation": 2}
    subset = load("montgomery", root, cases=6)
    assert len(subset.images) == len(subset.masks) == len(subset.cases) == 6
    assert subset.cases["finding"].value_counts().to_dict() == {"normal": 3, "tuberculosis": 3}
    whole = load("montgomery", root)
    assert subset.data_digest != whole.data_digest
    rows = [list(whole.cases["case_id"]).index(name) for name in subset.cases["case_id"]]
    np.testing.assert_array_equal(subset.images, whole.images[rows])
    np.testing.assert_array_equal(subset.prints.hashes, whole.prints.hashes[rows])
    assert not subset.images.flags.writeable
    with pytest.raises(DataError, match="cases: 99 is more than the 12 cases it has"):
        load("montgomery", root, cases=99)
    with pytest.raises(DataError, match="does not sum to its 6 cases"):
        load("montgomery", root, cases=6, split=SplitSizes(train=6, validation=2, test=4))


def test_one_per_patient(root):
    cases = load("chestxray14", root, one_per_patient=True).cases
    assert len(cases) == 4
    assert cases["patient_id"].is_unique
    chosen = {
        load("chestxray14", root, one_per_patient=True, seed=seed).cases.set_index("patient_id")["case_id"][
            "3"
        ]
        for seed in range(12)
    }
    assert chosen == {"00000003_000", "00000003_001"}


def test_a_missing_dataset_says_where_to_get_it(root, tmp_path):
    with pytest.raises(
        DataError, match=r"jsrt: is not under .*db\.jsrt\.or\.jp.*'mmbench data import jsrt PATH'"
    ) as e:
        load("jsrt", root)
    assert "\n" not in str(e.value)
    with pytest.raises(DataError, match="is not imported and no --data-root is given"):
        load("jsrt")
    with pytest.raises(DataError, match="is not a folder"):
        load("jsrt", tmp_path / "nowhere")


def test_the_data_root_may_be_the_dataset_itself(root):
    assert len(load("kermany", root / "chest_xray").cases) == 12
    assert len(load("chestxray14", root / "NIH").cases) == 5


def test_a_bad_file_is_an_error_with_its_name_and_the_count(root):
    for number in (3, 5):
        (root / f"shenzhen/CXR_png/CHNCXR_000{number}_1.png").write_bytes(b"broken")
    with pytest.raises(
        DataError, match=r"CHNCXR_0003_1\.png: .*2 cases are bad of 10 in shenzhen.*--skip-bad"
    ):
        load("shenzhen", root)


def test_a_mask_of_another_shape_is_an_error(root):
    save(root / "shenzhen/mask/CHNCXR_0000_0_mask.png", disc(48, (20, 20), 9)[:30])
    with pytest.raises(
        DataError, match=r"CHNCXR_0000_0_mask\.png: the mask is 48 x 30 but its image is 48 x 48"
    ):
        load("shenzhen", root)


def test_a_larger_mask_is_resized_on_its_own(root):
    before = load("shenzhen", root)
    save(
        root / "shenzhen/mask/CHNCXR_0000_0_mask.png",
        np.kron(disc(48, (24, 24), 10), np.ones((2, 2), np.uint8)),
    )
    after = load("shenzhen", root)
    np.testing.assert_array_equal(after.masks[0], before.masks[0])


def test_keys_that_do_not_apply_are_refused(root):
    with pytest.raises(DataError, match="'dials' are for the phantom only"):
        load("montgomery", root, dials={"noise": 0.1})
    with pytest.raises(DataError, match="'path' is for manifests only"):
        load("montgomery", root, path="cases.csv")
    with pytest.raises(DataError, match="must name the CSV file by 'path'"):
        load("manifest", root)


def test_a_manifest_is_a_dataset(root):
    for seed in range(6):
        save(root / f"own/{seed}.png", picture(400 + seed))
    lines = ["image,label,split,domain"]
    lines += [f"{seed}.png,{seed % 2},{'train' if seed < 4 else 'test'},north" for seed in range(6)]
    (root / "own/cases.csv").write_text("\n".join(lines))
    dataset = load("manifest", root, path="own/cases.csv", name="north")
    assert dataset.domain == "north"
    assert dataset.cases["part"].value_counts().to_dict()["test"] == 2
    assert dataset.namespace.startswith("manifest:")
    np.testing.assert_array_equal(dataset.cases["label"].astype(int), [0, 1] * 3)


@pytest.mark.parametrize(
    "name", ["images.npy", "masks.npy", "cases.parquet", "fingerprints.npz", "meta.json"]
)
@pytest.mark.parametrize("keep", [0, 100, None])
def test_a_damaged_cache_entry_is_made_again(root, fresh_cache, name, keep):
    digest = load("montgomery", root).data_digest
    (file,) = fresh_cache.glob(f"datasets/montgomery-*/{name}")
    if keep is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:keep])
    dataset = load("montgomery", root)
    assert dataset.data_digest == digest
    assert dataset.images.any()


def test_a_relative_data_root_is_the_same_place(root, monkeypatch):
    import_dataset("montgomery", root, image_sizes=(32,))
    monkeypatch.chdir(root)
    assert load("montgomery", Path(".")).data_digest == load("montgomery").data_digest


def test_processes_that_load_at_once_agree(root):
    code = (
        "import sys; from pathlib import Path; from mmbench.data.catalogue import load_dataset; "
        "from mmbench.protocol.schema import DatasetChoice; "
        "print(load_dataset(DatasetChoice(dataset='montgomery'), image_size=32, seed=0, "
        "data_root=Path(sys.argv[1])).data_digest)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(root)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    found = {process.communicate(timeout=60)[0].strip() for process in running}
    assert found == {load("montgomery", root).data_digest}


def test_the_catalogue_needs_no_torch():
    code = "import sys, mmbench.data.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_phantom_offers_what_its_domain_offers(cache):
    children = load("phantom:paediatric_ap", cases=60, name="children")
    assert children.masks is None
    assert len(children.rows(None, C)) == 60
    assert children.domain == "children"
    adults = load("phantom:adult_pa", cases=40)
    assert len(adults.rows(None, S)) == 40
    assert len(adults.rows(None, C)) == 0
    assert adults.images.shape == (40, 32, 32)
    for dataset in (children, adults):
        groups = dataset.cases.groupby("patient_id")["part"].nunique()
        assert (groups == 1).all()


def test_phantom_dials_and_sizes_make_other_data(cache):
    base = load("phantom:adult_pa", cases=20)
    noisy = load("phantom:adult_pa", cases=20, dials={"noise": 0.3})
    assert noisy.data_digest != base.data_digest
    assert noisy.split_digest == base.split_digest
    assert load("phantom:adult_pa", cases=20, dials={"population": 1}).namespace != base.namespace
    with pytest.raises(DataError, match="unknown dial 'nois'"):
        load("phantom:adult_pa", dials={"nois": 1})


def test_a_sweep_of_the_source_domain_is_clean_on_its_test_part(cache):
    from mmbench.data.leaks import check_leaks, protocol_parts
    from mmbench.errors import LeakError

    base = load("phantom:paediatric_ap", cases=120)
    noisy = load("phantom:paediatric_ap", cases=120, dials={"noise": 0.05}, name="noisy")
    assert check_leaks(protocol_parts({C: base}, {C: [(noisy, "test")]})).leaks == []
    with pytest.raises(LeakError, match="paediatric_ap:train and noisy:all share"):
        check_leaks(protocol_parts({C: base}, {C: [(noisy, "all")]}))


def test_the_listing_decodes_nothing(root, monkeypatch):
    monkeypatch.setattr(ingest, "decode_case", lambda *_: pytest.fail("decoded"))
    found = {status.info.name: status for status in listing(root)}
    assert found["kermany"].available
    assert not found["kermany"].imported
    assert found["kermany"].counts["train pneumonia"] == 4
    assert not found["jsrt"].available
    assert found["phantom:county"].available
    assert found["kermany"].to_json()["location"].endswith("chest_xray")


def test_a_number_of_cases_of_each_class_is_kept(root):
    whole = load("chestxray14", root)
    normal = int((whole.cases["label"] == 0).sum())
    assert normal > 1
    counts = {"normal": normal - 1, "pneumonia": 1}
    some = load("chestxray14", root, class_counts=counts)
    assert some.cases["label"].value_counts().to_dict() == {0: normal - 1, 1: 1}
    assert set(some.cases["case_id"]) < set(whole.cases["case_id"])
    again = load("chestxray14", root, class_counts=counts)
    assert list(again.cases["case_id"]) == list(some.cases["case_id"])
    with pytest.raises(DataError, match="class_counts: 99 pneumonia is more than the"):
        load("chestxray14", root, class_counts={"normal": 1, "pneumonia": 99})
