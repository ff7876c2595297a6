import bz2
import gzip
import io
import lzma
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


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_full_disk_is_no_damage_of_the_archive(tmp_path, fresh_cache, monkeypatch, name):
    import errno
    from pathlib import Path

    def full(self, *_):
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    make = make_zip if name == "a.zip" else lambda path, members: make_tar(path, list(members.items()))
    archive = make(tmp_path / name, {"set/one.txt": b"1"})
    usual = Path.open
    monkeypatch.setattr(
        Path, "open", lambda self, mode="r", *a: full(self) if "x" in mode else usual(self, mode, *a)
    )
    with pytest.raises(DataError, match=r"cannot be unpacked \(.*No space left on device"):
        unpack(archive, "toy")
    assert nothing_left(fresh_cache)


def test_joined_zips_are_refused(tmp_path, fresh_cache):
    one, other = (make_zip(tmp_path / f"{n}.zip", {f"set/{n}.txt": str(n) * 100}) for n in (1, 2))
    (tmp_path / "both.zip").write_bytes(one.read_bytes() + other.read_bytes())
    with pytest.raises(DataError, match="more than one archive is in it"):
        unpack(tmp_path / "both.zip", "toy")


MEMBERS = [(f"set/{number}.txt", str(number).encode() * 700) for number in range(6)]


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
@pytest.mark.parametrize("kept", ["half", "all members but no end"])
def test_a_tar_that_was_cut_short_is_refused(tmp_path, fresh_cache, name, kept):
    raw, places = tar_bytes(tmp_path)
    (tmp_path / name).write_bytes(packed(raw[: places[3] if kept == "half" else places[-1] + 1536], name))
    with pytest.raises(DataError, match=r"is damaged \(cut short: its end is missing\); get it again"):
        unpack(tmp_path / name, "toy")
    assert nothing_left(fresh_cache)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_tar_with_a_bad_header_in_the_middle_is_refused(tmp_path, fresh_cache, name):
    raw, places = tar_bytes(tmp_path)
    broken = bytearray(raw)
    broken[places[3] : places[3] + 100] = b"\xff" * 100
    (tmp_path / name).write_bytes(packed(bytes(broken), name))
    with pytest.raises(DataError, match=r"is damaged \(a header is not valid\)"):
        unpack(tmp_path / name, "toy")
    assert nothing_left(fresh_cache)


def test_joined_tars_are_refused(tmp_path, fresh_cache):
    raw, _ = tar_bytes(tmp_path)
    (tmp_path / "a.tar").write_bytes(raw + raw)
    with pytest.raises(DataError, match="more follows after its end"):
        unpack(tmp_path / "a.tar", "toy")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_the_checksum_of_a_compressed_tar_must_hold(tmp_path, fresh_cache, name):
    raw, _ = tar_bytes(tmp_path)
    content = bytearray(packed(raw, name))
    # gzip ends in CRC and length; bzip2's block CRC follows its magic; xz's index and footer come last
    place = {"a.tar.gz": -8, "a.tar.bz2": 10, "a.tar.xz": -12}[name]
    content[place] ^= 0xFF
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged \(.*\); get it again"):
        unpack(tmp_path / name, "toy")
    assert nothing_left(fresh_cache)


def test_a_compression_that_python_lacks_is_said(tmp_path, fresh_cache):
    archive = make_zip(tmp_path / "a.zip", {"set/one.txt": "1" * 100})
    content = bytearray(archive.read_bytes())
    central = content.index(b"PK\1\2")
    content[8:10] = content[central + 10 : central + 12] = (9).to_bytes(2, "little")  # Deflate64
    archive.write_bytes(content)
    with pytest.raises(DataError, match=r"a way that Python does not know .*; unpack it yourself"):
        unpack(archive, "toy")


def test_backslashes_of_old_windows_programs_separate_folders(tmp_path, fresh_cache):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in (("set\\deep\\", b""), ("set\\deep\\one.txt", b"1")):
            member = zipfile.ZipInfo("x")
            member.filename = name
            opened.writestr(member, content)
    assert (unpack(archive, "toy") / "set/deep/one.txt").read_bytes() == b"1"


def test_a_colon_is_named_as_what_it_is(tmp_path, fresh_cache):
    archive = make_zip(tmp_path / "a.zip", {"set/12:30.txt": "1"})
    with pytest.raises(DataError, match=r"'set/12:30.txt' is no file name on every system"):
        unpack(archive, "toy")


def tar_bytes(folder):
    """Return an uncompressed tar file and where each of its headers begins."""
    path = make_tar(folder / "whole", MEMBERS, "w")
    with tarfile.open(path) as opened:
        return path.read_bytes(), [member.offset for member in opened.getmembers()]


def packed(raw, name):
    compress = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    return compress.get(name.rpartition(".")[2], bytes)(raw)
