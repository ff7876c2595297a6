import shutil
import zipfile

import numpy as np
import pytest

from mmbench.data import ingest
from mmbench.data.catalogue import listing, load_dataset
from mmbench.data.importing import import_dataset
from mmbench.errors import DataError
from mmbench.protocol.schema import DatasetChoice
from tests.data.data_layouts import make_kermany, make_montgomery, make_shenzhen


def load(name, size=32):
    return load_dataset(DatasetChoice(dataset=name), image_size=size, seed=0, data_root=None)


@pytest.fixture(autouse=True)
def _empty_cache(fresh_cache):
    pass


def test_an_import_counts_compares_and_is_remembered(tmp_path):
    make_kermany(tmp_path / "down/chest_xray")
    report = import_dataset("kermany", tmp_path, image_sizes=(16, 32))
    assert report.root == tmp_path / "down/chest_xray"
    assert report.counts["cases"] == 12
    assert "cases: 12 instead of 5856" in report.differences
    assert "train normal: 3 instead of 1341" in report.differences
    dataset = load("kermany")
    assert dataset.data_digest == report.data_digest
    status = next(status for status in listing() if status.info.name == "kermany")
    assert (status.imported, status.data_digest, status.counts) == (True, report.data_digest, report.counts)
    assert ("cases", 12, 5856) in report.compared_counts
    assert report.to_json()["image_sizes"] == [16, 32]


def test_a_complete_import_reports_no_difference(tmp_path, monkeypatch):
    from mmbench.data.readers import READERS

    counts = {"cases": 4, "normal": 2, "tuberculosis": 2, "masks": 4}
    monkeypatch.setitem(READERS["montgomery"].info.published_counts, "cases", 4)
    for word, number in counts.items():
        monkeypatch.setitem(READERS["montgomery"].info.published_counts, word, number)
    assert (
        import_dataset("montgomery", make_montgomery(tmp_path / "montgomery"), image_sizes=(16,)).differences
        == []
    )


def test_imported_data_survive_the_loss_of_the_files(tmp_path):
    root = make_montgomery(tmp_path / "montgomery")
    import_dataset("montgomery", root, image_sizes=(16,))
    before = load("montgomery", 16)
    shutil.rmtree(root)
    after = load("montgomery", 16)
    assert (after.data_digest, after.split_digest) == (before.data_digest, before.split_digest)
    with pytest.raises(DataError, match=r"montgomery: was imported from .*, which is gone"):
        load("montgomery", 32)


def test_an_archive_is_unpacked_into_the_cache(tmp_path, fresh_cache):
    root = make_shenzhen(tmp_path / "ChinaSet_AllFiles")
    archive = tmp_path / "ChinaSet.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for path in sorted(tmp_path.rglob("*.png")):
            target.write(path, path.relative_to(tmp_path))
    direct = import_dataset("shenzhen", root, image_sizes=(16,))
    packed = import_dataset("shenzhen", archive, image_sizes=(16,))
    assert packed.data_digest == direct.data_digest
    assert packed.root.is_relative_to(fresh_cache)
    shutil.rmtree(root)
    archive.unlink()
    assert load("shenzhen", 64).data_digest == direct.data_digest


def test_bad_files_are_an_error_unless_skipped_and_then_listed(tmp_path):
    root = make_shenzhen(tmp_path / "set", count=6, masks=6)
    (root / "CXR_png/CHNCXR_0002_0.png").write_bytes(b"")
    (root / "mask/CHNCXR_0004_0_mask.png").write_bytes(b"junk")
    with pytest.raises(
        DataError, match=r"CHNCXR_0002_0\.png: the file is empty - 2 cases are bad of 6 in shenzhen"
    ):
        import_dataset("shenzhen", root, image_sizes=(16,))
    report = import_dataset("shenzhen", root, image_sizes=(16,), skip_bad=True)
    assert [name for name, _ in report.skipped] == ["CXR_png/CHNCXR_0002_0.png", "CXR_png/CHNCXR_0004_0.png"]
    assert "CHNCXR_0004_0_mask.png: is not a readable" in report.skipped[1][1]
    assert report.counts["cases"] == 4
    assert any("2 of 6 cases are left out" in note for note in report.notes)
    dataset = load("shenzhen", 16)
    assert len(dataset.cases) == len(dataset.images) == len(dataset.masks) == 4
    assert not dataset.cases["case_id"].isin(["CHNCXR_0002_0", "CHNCXR_0004_0"]).any()
    good = import_dataset("shenzhen", make_shenzhen(tmp_path / "good", 6, 6), image_sizes=(16,))
    whole = load("shenzhen", 16)
    assert whole.data_digest == good.data_digest
    kept = whole.cases["case_id"].isin(dataset.cases["case_id"]).to_numpy()
    np.testing.assert_array_equal(whole.images[kept], dataset.images)


def test_skipped_files_are_not_accepted_silently_elsewhere(tmp_path):
    root = make_shenzhen(tmp_path / "shenzhen", count=6, masks=6)
    (root / "CXR_png/CHNCXR_0002_0.png").write_bytes(b"")
    import_dataset("shenzhen", root, image_sizes=(16,), skip_bad=True)
    with pytest.raises(DataError, match="1 case is bad of 6"):
        import_dataset("shenzhen", root, image_sizes=(16,))


def test_all_files_bad_is_an_error_in_any_case(tmp_path):
    root = make_shenzhen(tmp_path / "set", count=2, masks=2)
    for path in (root / "CXR_png").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="2 cases are bad of 2"):
        import_dataset("shenzhen", root, image_sizes=(16,), skip_bad=True)


def test_progress_is_told_and_a_failed_import_leaves_nothing(tmp_path, fresh_cache, monkeypatch):
    root = make_montgomery(tmp_path / "montgomery")
    seen = []
    import_dataset(
        "montgomery", root, image_sizes=(16,), progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    before = sorted(path.name for path in (fresh_cache / "datasets").iterdir())

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ingest, "decode_case", stop)
    with pytest.raises(KeyboardInterrupt):
        import_dataset("montgomery", root, image_sizes=(32,))
    assert sorted(path.name for path in (fresh_cache / "datasets").iterdir()) == before


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("phantom:adult_pa", "there is nothing to import"),
        ("manifest", "needs no import"),
        ("jsrt", "holds no jsrt dataset; expected JPC"),
        ("kermanyy", "unknown dataset 'kermanyy'"),
    ],
)
def test_what_cannot_be_imported_says_why(tmp_path, name, reason):
    with pytest.raises(DataError, match=reason):
        import_dataset(name, tmp_path)


def test_paths_and_sizes_are_checked(tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        import_dataset("montgomery", tmp_path / "none")
    (tmp_path / "a.rar").write_bytes(b"x")
    with pytest.raises(DataError, match="is neither a folder nor one of"):
        import_dataset("montgomery", tmp_path / "a.rar")
    with pytest.raises(DataError, match="image sizes must lie between 16 and 2048"):
        import_dataset("montgomery", make_montgomery(tmp_path / "montgomery"), image_sizes=(8,))
