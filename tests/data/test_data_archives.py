import io
import stat
import tarfile
import zipfile

import pytest

from mmbench.data.archives import Limits, unpack
from mmbench.errors import DataError


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def make_tar(path, members, mode="w:gz"):
    if not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python cannot unpack tar files safely, so mmbench refuses them")
    with tarfile.open(path, mode) as archive:
        for item in members:
            info, content = item if isinstance(item, tuple) else (item, b"")
            if isinstance(info, str):
                info = tarfile.TarInfo(info)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def nothing_left(cache):
    folder = cache / "unpacked"
    return not folder.exists() or not any(folder.iterdir())


def test_a_zip_is_unpacked_once(tmp_path, fresh_cache):
    archive = make_zip(tmp_path / "a.zip", {"set/one.txt": "1", "set/deep/two.txt": "2", "set/empty/": ""})
    folder = unpack(archive, "toy")
    assert folder.is_relative_to(fresh_cache)
    assert (folder / "set/deep/two.txt").read_text() == "2"
    (folder / "mark").write_text("kept")
    assert (unpack(archive, "toy") / "mark").exists()


@pytest.mark.parametrize(
    ("name", "mode"), [("a.tar", "w"), ("a.tar.gz", "w:gz"), ("a.tgz", "w:gz"), ("a.tar.xz", "w:xz")]
)
def test_tar_files_are_unpacked(tmp_path, fresh_cache, name, mode):
    archive = make_tar(tmp_path / name, [("set/one.txt", b"1")], mode)
    assert (unpack(archive, "toy") / "set/one.txt").read_bytes() == b"1"


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:/evil.txt"]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_nothing_is_written_outside(tmp_path, fresh_cache, name, kind):
    if kind == "zip":
        archive = make_zip(tmp_path / "a.zip", {"good.txt": "1", name: "evil"})
    else:
        archive = make_tar(tmp_path / "a.tar", [("good.txt", b"1"), (name, b"evil")], "w")
    with pytest.raises(DataError, match="would be written outside"):
        unpack(archive, "toy")
    assert nothing_left(fresh_cache)
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_tar_links_and_devices_are_refused(tmp_path, fresh_cache, kind):
    info = tarfile.TarInfo("link")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match="'link' is a link or device"):
        unpack(make_tar(tmp_path / "a.tar", [info], "w"), "toy")
    assert nothing_left(fresh_cache)


def test_zip_links_are_refused(tmp_path, fresh_cache):
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="'link' is a link or device"):
        unpack(tmp_path / "a.zip", "toy")


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(total_bytes=1000), "unpacks to more than"),
        (Limits(members=2), "holds more than 2 files"),
        (Limits(ratio=10, ratio_from=1000), "more than 10 times its size"),
    ],
)
def test_bombs_are_refused(tmp_path, fresh_cache, kind, limits, reason):
    members = {f"{number}.bin": b"\0" * 100_000 for number in range(3)}
    if kind == "zip":
        archive = make_zip(tmp_path / "a.zip", members)
    else:
        archive = make_tar(tmp_path / "a.tar.gz", list(members.items()))
    with pytest.raises(DataError, match=reason):
        unpack(archive, "toy", limits)
    assert nothing_left(fresh_cache)


def test_the_same_name_twice_is_refused(tmp_path, fresh_cache):
    archive = make_tar(tmp_path / "a.tar", [("one.txt", b"1"), ("one.txt", b"2")], "w")
    with pytest.raises(DataError, match=r"'one\.txt' is there twice"):
        unpack(archive, "toy")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
@pytest.mark.parametrize("keep", [0, 40, 0.6])
def test_damaged_archives_are_named(tmp_path, fresh_cache, name, keep):
    if name.endswith("zip"):
        archive = make_zip(tmp_path / name, {f"{n}.bin": bytes(range(256)) * 40 for n in range(5)})
    else:
        archive = make_tar(tmp_path / name, [(f"{n}.bin", bytes(range(256)) * 40) for n in range(5)])
    content = archive.read_bytes()
    archive.write_bytes(content[: int(keep if keep == 0 or keep > 1 else keep * len(content))])
    with pytest.raises(DataError, match=name) as error:
        unpack(archive, "toy")
    assert "\n" not in str(error.value)
    assert nothing_left(fresh_cache)
