"""Bad input of every kind: one line that names file and key, exit code 2, nothing written, no traceback."""
# ruff: noqa: E501  # a table reads best unwrapped

import io
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mmbench.cli.main import app

GOOD = """\
name: bad
sources: {classification: {dataset: phantom:paediatric_ap, cases: 40}}
targets: {classification: [{dataset: phantom:hospital, cases: 20}]}
budgets: {pairs: [{classification: 10}]}
methods: [enc]
image_size: 32
training: {steps: 2, batch_size: 2}
"""
BOMB = "\n".join(
    ['a: &a ["x", "x", "x", "x", "x", "x", "x", "x", "x"]']
    + [f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
)


def put(old, new):
    assert old in GOOD
    return GOOD.replace(old, new)


# What is written into bad.yaml, and what the line must say beside the file's name.
PROTOCOLS: dict[str, tuple[str | bytes, str]] = {
    "empty file": ("", "empty"),
    "only a comment": ("# nothing\n", "empty"),
    "not YAML": ("name: [unclosed\n", "not valid YAML"),
    "tabs": ("name: bad\nsources:\n\tclassification: kermany\n", "tab"),
    "a list": ("- name: bad\n", "mapping"),
    "a number": ("42\n", "mapping"),
    "binary": (bytes(range(256)), ""),
    "NUL bytes": (GOOD.encode().replace(b"enc", b"e\0c"), ""),
    "UTF-16": (GOOD.encode("utf-16"), ""),
    "Latin-1": ("description: caf\xe9\n".encode("latin-1") + GOOD.encode(), ""),
    "two documents": (GOOD + "---\n" + GOOD, ""),
    "duplicate key": (GOOD + "name: again\n", "given twice"),
    "duplicate nested key": (put("steps: 2", "steps: 2, steps: 3"), "training.steps"),
    "anchor bomb": (BOMB, ""),
    "an alias to itself": ("name: &a [*a]\n", ""),
    "python object": (put("name: bad", "name: !!python/object/apply:os.system ['true']"), ""),
    "unknown tag": (put("name: bad", "name: !secret x"), ""),
    "deep nesting": (GOOD + "statistics: " + "[" * 500 + "]" * 500 + "\n", ""),
    "10 MB": (GOOD + "# " + "x" * 10 * 2**20, "too large"),
    "unknown key": (GOOD + "colour: blue\n", "colour: unknown key"),
    "misspelt key": (GOOD.replace("methods:", "metods:"), "did you mean 'methods'?"),
    "misspelt nested key": (put("steps: 2", "step: 2"), "training.step"),
    "missing key": (GOOD.replace("name: bad\n", ""), "name: the key is missing"),
    "no methods": (put("[enc]", "[]"), "methods"),
    "no sources": (put("sources: {classification: {dataset: phantom:paediatric_ap, cases: 40}}", "sources: {}"), "sources"),
    "no budgets": (put("[{classification: 10}]", "[]"), "budgets.pairs"),
    "text for a number": (put("steps: 2", "steps: many"), "training.steps"),
    "list for a number": (put("steps: 2", "steps: [2]"), "training.steps"),
    "number for a mapping": (put("training: {steps: 2, batch_size: 2}", "training: 5"), "training"),
    "mapping for a list": (put("[enc]", "{enc: 1}"), "methods"),
    "NaN": (put("batch_size: 2", "optimizer: {learning_rate: .nan}"), "learning_rate: .nan is not a finite number"),
    "infinity": (put("batch_size: 2", "optimizer: {learning_rate: .inf}"), "learning_rate: .inf is not a finite"),
    "zero steps": (put("steps: 2", "steps: 0"), "training.steps: 0"),
    "negative batch": (put("batch_size: 2", "batch_size: -2"), "training.batch_size: -2"),
    "huge steps": (put("steps: 2", "steps: 1e18"), "training.steps"),
    "a fraction of a seed": (GOOD + "seeds: 1.5\n", "seeds: 1.5"),
    "no seeds": (GOOD + "seeds: 0\n", "seeds: 0"),
    "negative subsets": (GOOD + "subsets: -1\n", "subsets: -1"),
    "negative seed": (GOOD + "seed: -1\n", "seed: -1"),
    "tiny images": (put("image_size: 32", "image_size: 4"), "image_size: 4"),
    "huge images": (put("image_size: 32", "image_size: 99999"), "image_size: 99999"),
    "negative budget": (put("{classification: 10}", "{classification: -1}"), "budgets.pairs.0.classification"),
    "zero budget": (put("{classification: 10}", "{classification: 0}"), "budgets.pairs.0.classification"),
    "budget of another task": (put("{classification: 10}", "{segmentation: 10}"), "budgets"),
    "budget beyond the data": (put("{classification: 10}", "{classification: 9999}"), "larger than"),
    "unknown method": (put("[enc]", "[encc]"), "did you mean 'enc'?"),
    "unknown dataset": (put("phantom:hospital", "phantom:hospitl"), "did you mean"),
    "unknown real dataset": (put("{dataset: phantom:hospital, cases: 20}", "kermany"), "targets.classification"),
    "unknown hyper-parameter": (put("[enc]", "[{method: multimix, hyperparameters: {tempo: 1}}]"), "tempo"),
    "unknown trivial baseline": (GOOD + "trivial_baselines: [minority]\n", "trivial_baselines"),
    "unknown reference": (GOOD + "reference: nobody\n", "reference"),
    "unknown metric": (GOOD + "statistics: {metrics: [dicee]}\n", "statistics.metrics.0"),
    "unknown optimiser": (put("batch_size: 2", "optimizer: adan"), "did you mean 'adam'?"),
    "unknown rule": (GOOD + "selection: best\n", "selection: 'best'"),
    "unknown backbone": (GOOD + "backbone: {name: smp:unet/nonsuch}\n", "backbone"),
    "a name with a slash": (put("name: bad", "name: ../evil"), "name: '../evil'"),
    "two methods of one name": (put("[enc]", "[enc, enc]"), "methods"),
    "a task without a source": (put("[enc]", "[unet]"), "no method can be trained: unet is left out"),
    "target is a source": (put("phantom:hospital, cases: 20", "phantom:paediatric_ap, cases: 40"), "targets.classification"),
    "masks of a domain that has none": (put("classification: [{dataset: phantom:hospital, cases: 20}]", "segmentation: [{dataset: phantom:hospital, cases: 20}]"), "targets"),
    "no cases": (put("cases: 40", "cases: 0"), "cases"),
    "a part that does not exist": (put("cases: 20}", "cases: 20, part: tset}"), "part"),
}  # fmt: skip


@pytest.fixture
def call(tmp_path, monkeypatch, cache):
    """Run a command in an otherwise empty folder; check that it fails in one line and writes nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        result = CliRunner().invoke(app, list(map(str, words)))
        after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        assert result.exit_code == 2, (result.output, result.exception)
        (line,) = [line for line in result.stderr.splitlines() if not line.startswith("preparing ")]
        assert line.startswith("error: ")
        assert "Traceback" not in result.output
        assert len(line) < 800
        assert after == before, "something was written"
        return line

    return run


@pytest.mark.parametrize("name", PROTOCOLS)
def test_bad_protocols(call, name):
    content, expected = PROTOCOLS[name]
    Path("bad.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    line = call("run", "bad.yaml")
    assert "bad.yaml" in line
    assert expected in line


def test_a_protocol_that_is_not_there(call):
    assert "nothing.yaml" in call("run", "nothing.yaml")


def test_a_protocol_that_is_a_folder(call):
    Path("bad.yaml").mkdir()
    assert "bad.yaml" in call("run", "bad.yaml")


SIDE = 40


def pixels(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)


def encoded(image, **options):
    stream = io.BytesIO()
    image.save(stream, **options)
    return stream.getvalue()


def png(array=None):
    return encoded(Image.fromarray(pixels() if array is None else array), format="PNG")


def bomb():
    """A PNG that says it has 30,000 x 30,000 pixels, in a few hundred bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 30_001))
        + chunk(b"IEND", b"")
    )


def animated():
    frames = [Image.fromarray(pixels(seed)) for seed in range(3)]
    return encoded(frames[0], format="GIF", save_all=True, append_images=frames[1:])


def mask(size=(SIDE, SIDE)):
    found = np.zeros(size[::-1], dtype=np.uint8)
    found[10:30, 10:30] = 255
    return png(found)


IMAGES = {
    "empty": (b"", "the file is empty"),
    "truncated PNG": (png()[:400], "is cut short"),
    "truncated JPEG": (encoded(Image.fromarray(pixels()), format="JPEG")[:500], "is cut short"),
    "text": (b"this is no image", "is not a readable"),
    "HTML from a failed download": (b"<html><body>404</body></html>", "is not a readable"),
    "1 x 1": (png(np.zeros((1, 1), np.uint8)), "1 x 1 pixels are too few"),
    "decompression bomb": (bomb(), "too many pixels"),
    "floating point": (encoded(Image.fromarray(pixels().astype(np.float32)), format="TIFF"), "floating-point"),
    "animated GIF": (animated(), "holds 3 images"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"/>', "is not a readable"),
    "NUL bytes": (b"\0" * 1000, "is not a readable"),
    "broken header": (b"\x89PNG\r\n\x1a\n" + b"\xff" * 100, ""),
}  # fmt: skip
MASKS = {
    "of another shape": (mask((40, 20)), "the proportions must agree"),
    "with many levels": (png(), "is not a mask"),
    "truncated": (mask()[:60], "is cut short"),
    "empty": (b"", "the file is empty"),
}
MANIFEST = """\
name: bad
sources: {{{task}: {{dataset: manifest, path: cases.csv, name: ours}}}}
budgets: {{pairs: [{{{task}: 4}}]}}
methods: [{method}]
image_size: 32
training: {{steps: 2, batch_size: 2}}
"""


def dataset(task="classification", **files):
    """Write sixteen sound cases and their manifest; ``files`` replace some."""
    method = "enc" if task == "classification" else "unet"
    Path("bad.yaml").write_text(MANIFEST.format(task=task, method=method))
    rows = []
    for case in range(16):
        Path(f"{case}.png").write_bytes(png(pixels(case)))
        Path(f"{case}_mask.png").write_bytes(mask())
        rows.append(f"{case}.png,{case % 2},{case}_mask.png,p{case}")
    Path("cases.csv").write_text("image,label,mask,patient_id\n" + "\n".join(rows) + "\n")
    for name, content in files.items():
        Path(name).write_bytes(content)


@pytest.mark.parametrize("name", IMAGES)
def test_bad_images(call, name):
    content, expected = IMAGES[name]
    dataset(**{"5.png": content})
    line = call("run", "bad.yaml")
    assert "5.png" in line
    assert expected in line


@pytest.mark.parametrize("name", MASKS)
def test_bad_masks(call, name):
    content, expected = MASKS[name]
    dataset("segmentation", **{"5_mask.png": content})
    line = call("run", "bad.yaml")
    assert "5_mask.png" in line
    assert expected in line


HEADER = "image,label,mask,patient_id\n"
MANIFESTS = {
    "missing": (None, "there is no such manifest"),
    "empty": ("", "image"),
    "header only": (HEADER, "lists no image below its header"),
    "semicolons": ("image;label\n0.png;1\n", "separated by ';'; commas are needed"),
    "tabs": ("image\tlabel\n0.png\t1\n", "separated by tabs; commas are needed"),
    "no image column": ("label,mask\n1,0_mask.png\n", "image"),
    "misspelt column": ("imagee,label\n0.png,1\n", "did you mean 'image'?"),
    "too few fields": (HEADER + "0.png,1\n", "line 2"),
    "too many fields": (HEADER + "0.png,1,,p,q,r\n", "line 2"),
    "label outside the classes": (HEADER + "0.png,2,,p\n", "line 2: label must be"),
    "a file that is not there": (HEADER + "99.png,1,,p\n", "line 2: there is no file"),
    "a mask that is not there": (HEADER + "0.png,1,99.png,p\n", "line 2: there is no file"),
    "an empty image": (HEADER + ",1,,p\n", "line 2: image is empty"),
    "the same case twice": (HEADER + "0.png,1,,p\n0.png,0,,p\n", "0.png"),
    "NUL bytes": (HEADER + "0.p\0ng,1,,p\n", ""),
    "binary": (bytes(range(256)), "is not UTF-8 text"),
    "an open quote": (HEADER + '"0.png,1,,p\n', "line 2: is not CSV"),
    "an unknown part": ("image,label,split\n0.png,1,tset\n", "line 2: split must be"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_bad_manifests(call, name):
    content, expected = MANIFESTS[name]
    dataset()
    if content is None:
        Path("cases.csv").unlink()
    else:
        Path("cases.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    line = call("run", "bad.yaml")
    assert "cases.csv" in line or "0.png" in line
    assert expected in line


def zipped(members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content, *kind in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if kind:
                info.type, info.linkname, info.size = kind[0], "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def link_in_zip():
    info = zipfile.ZipInfo("chest_xray/link")
    info.external_attr = 0o120777 << 16
    return zipped([(info, "/etc/passwd")])


ARCHIVES = {
    "path traversal.zip": (lambda: zipped([("../evil.txt", b"x")]), "outside"),
    "absolute path.zip": (lambda: zipped([("/tmp/evil.txt", b"x")]), "outside"),
    "backslashes.zip": (lambda: zipped([("..\\evil.txt", b"x")]), "outside"),
    "link.zip": (link_in_zip, "link"),
    "bomb.zip": (lambda: zipped([("chest_xray/zeros", b"\0" * (80 * 2**20))]), "times its size"),
    "nested.zip": (lambda: zipped([("inner.zip", zipped([("a.png", png())]))]), "kermany"),
    "other content.zip": (lambda: zipped([("readme.txt", b"hello")]), "kermany"),
    "not an archive.zip": (lambda: b"PK but no zip", ""),
    "empty.zip": (lambda: b"", ""),
    "truncated.zip": (lambda: zipped([("chest_xray/a.png", png())])[:-30], ""),
    "path traversal.tar.gz": (lambda: tarred([("../evil.txt", b"x")]), "outside"),
    "absolute path.tar.gz": (lambda: tarred([("/tmp/evil.txt", b"x")]), "outside"),
    "symbolic link.tar.gz": (lambda: tarred([("link", b"", tarfile.SYMTYPE)]), "link or device"),
    "hard link.tar.gz": (lambda: tarred([("link", b"", tarfile.LNKTYPE)]), "link or device"),
    "device.tar.gz": (lambda: tarred([("null", b"", tarfile.CHRTYPE)]), "link or device"),
    "not an archive.tar.gz": (lambda: b"\x1f\x8bnothing", ""),
    "truncated.tar.gz": (lambda: tarred([("a.png", png())])[:-20], ""),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_bad_archives(call, name, tmp_path):
    if ".tar" in name and not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python cannot unpack tar files safely, so mmbench refuses them")
    make, expected = ARCHIVES[name]
    Path(name).write_bytes(make())
    line = call("data", "import", "kermany", name)
    assert expected in line
    assert not (tmp_path.parent / "evil.txt").exists()
    assert not Path("/tmp/evil.txt").exists()


def test_there_are_enough_cases():
    """docs/reliability.md says how many."""
    assert len(PROTOCOLS) + len(IMAGES) + len(MASKS) + len(MANIFESTS) + len(ARCHIVES) + 2 == CASES


CASES = 115

SOUND = {
    "16 bits": lambda gray: encoded(Image.fromarray(gray.astype(np.uint16) * 257), format="PNG"),
    "palette": lambda gray: encoded(Image.fromarray(gray).convert("P"), format="PNG"),
    "RGBA": lambda gray: encoded(Image.fromarray(gray).convert("RGBA"), format="PNG"),
    "RGB": lambda gray: encoded(Image.fromarray(gray).convert("RGB"), format="PNG"),
    "BMP called PNG": lambda gray: encoded(Image.fromarray(gray), format="BMP"),
    "one-frame GIF": lambda gray: encoded(Image.fromarray(gray), format="GIF"),
    "TIFF": lambda gray: encoded(Image.fromarray(gray), format="TIFF"),
    "CMYK": lambda gray: encoded(Image.fromarray(gray).convert("RGB").convert("CMYK"), format="TIFF"),
    "corrupt EXIF": lambda gray: encoded(Image.fromarray(gray), format="PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" * 3),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_unusual_but_sound_images_are_read_as_they_look(tmp_path, name):
    from mmbench.data import imaging

    gray = pixels(3)
    path = tmp_path / "image.png"
    path.write_bytes(SOUND[name](gray))
    found = imaging.decode(path)
    np.testing.assert_allclose(found.levels * (255 / found.white), gray, atol=1.01)


def test_a_manifest_with_a_byte_order_mark_is_read(tmp_path, monkeypatch):
    from mmbench.data.readers.manifest import Manifest

    monkeypatch.chdir(tmp_path)
    dataset()
    table = Path("cases.csv")
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert len(Manifest().scan(table).cases) == 16
