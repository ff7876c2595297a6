"""Mutated protocols, manifests and images: every reader accepts them or raises a UserError of one line.

``python tests/faults/fuzz.py 20000`` runs what docs/reliability.md reports.
"""
# ruff: noqa: E501  # a table reads best unwrapped

from __future__ import annotations

import io
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from mmbench.data import imaging
from mmbench.data.readers.jsrt import decode_raw
from mmbench.data.readers.manifest import Manifest
from mmbench.errors import UserError
from mmbench.protocol.loading import load_protocol, shipped_paths

TOKENS = [
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\t", b"\r\n", b"\n", b"\n\n", b": ", b"- ", b"[", b"]", b"{", b"}", b"&a ",
    b"*a ", b"!!python/object:os.system ", b"<<: *a\n", b"? ", b"|\n", b"%YAML 9.9\n", b"---\n", b"...\n", b"'",
    b'"', b"#", b",", b";", b"-1", b"0", b"1e999", b".nan", b"-.inf", b"9" * 30, b"0x1F", b"0b2", b"1_0", b"2021-01-01",
    b"12:30:45", b"true", b"null", b"~", b"full", b"\xc3\x28", b"\xed\xa0\x80", "é\u202e\u2028".encode(), b"../../etc/passwd",
    b"<script>", b"x" * 5000, b"[" * 300, b"steps: 5\n", b"name: x\n", b"0.png,1,,p\n", b"image,label\n",
]  # fmt: skip
SECONDS = 5.0
"""No input may take longer."""


def mutate(data: bytes, choose: random.Random) -> bytes:
    """Return the data after one to six small accidents."""
    content = bytearray(data)
    for _ in range(choose.randint(1, 6)):
        place = choose.randrange(len(content) + 1)
        length = choose.choice([1, 1, 2, 8, 64])
        match choose.randrange(6):
            case 0 if content:
                content[place % len(content)] = choose.randrange(256)
            case 1:
                content[place:place] = choose.choice(TOKENS)
            case 2:
                del content[place : place + length]
            case 3:
                content[place : place + length] = choose.choice(TOKENS)
            case 4:
                content[place:place] = content[choose.randrange(len(content) + 1) :][:length]
            case 5:
                del content[place:]
    return bytes(content)


def lines_shuffled(data: bytes, choose: random.Random) -> bytes:
    """Return the data with a line dropped, doubled, moved or indented otherwise."""
    lines = data.split(b"\n")
    place = choose.randrange(len(lines))
    match choose.randrange(4):
        case 0:
            del lines[place]
        case 1:
            lines.insert(choose.randrange(len(lines)), lines[place])
        case 2:
            lines[place] = b" " * choose.randrange(5) + lines[place].lstrip()
        case 3:
            key, colon, _ = lines[place].partition(b":")
            lines[place] = key + colon + b" " + choose.choice(TOKENS)
    return b"\n".join(lines)


def images() -> dict[str, bytes]:
    """Return a sound image in each format that is read."""
    levels = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 31), dtype=np.uint8))
    found = {}
    for kind in imaging.FORMATS:
        stream = io.BytesIO()
        levels.save(stream, format=kind)
        found[kind] = stream.getvalue()
    return found


class Fuzz:
    """One reader, sound inputs to start from, and counts of what became of the others."""

    def __init__(self, name: str, seeds: list[bytes], suffix: str, read: Callable[[Path], object]):
        self.name = name
        self.seeds = seeds
        self.suffix = suffix
        self.read = read
        self.counts: Counter[str] = Counter()

    def run(self, count: int, folder: Path, seed: int = 0) -> None:
        """Read ``count`` damaged inputs; whatever is neither accepted nor a UserError is raised."""
        choose = random.Random(f"{self.name} {seed}")
        path = folder / f"input{self.suffix}"
        for number in range(count):
            data = choose.choice(self.seeds)
            lines = self.suffix in (".yaml", ".csv") and choose.random() < 0.5
            path.write_bytes((lines_shuffled if lines else mutate)(data, choose))
            begin = time.monotonic()
            try:
                self.read(path)
                self.counts["accepted"] += 1
            except UserError as error:
                self.counts["refused" if "\n" not in str(error) else "refused in several lines"] += 1
            except Exception as error:
                raise AssertionError(f"{self.name}, input {number}: {path.read_bytes()[:500]!r}") from error
            assert time.monotonic() - begin < SECONDS, (self.name, number)


def raw(folder: Path) -> list[bytes]:
    """Return one sound JSRT file, and short ones."""
    sound = np.random.default_rng(0).integers(0, 4096, (2048, 2048)).astype(">u2").tobytes()
    return [sound] + [sound[:length] for length in (0, 1, 100, 4096)] * 5


def readers(folder: Path) -> list[tuple[Fuzz, float]]:
    """Return every reader with its share of the inputs."""
    (folder / "0.png").write_bytes(images()["PNG"])
    header = b"image,label,mask,patient_id,split,domain\n"
    table = header + b"0.png,1,0.png,p1,train,a\n" + b'0.png,normal,,"p,2",test,b\n' * 3
    protocols = [path.read_bytes() for path in shipped_paths().values()]
    return [
        (Fuzz("protocol", protocols, ".yaml", load_protocol), 0.50),
        (Fuzz("manifest", [table, header + b"0.png,1,,,,\n"], ".csv", Manifest().scan), 0.25),
        (Fuzz("image", list(images().values()), ".png", imaging.decode), 0.23),
        (Fuzz("IMG", raw(folder), ".img", decode_raw), 0.02),
    ]


def run(count: int, seed: int = 0) -> list[Fuzz]:
    """Read ``count`` inputs in all."""
    with tempfile.TemporaryDirectory() as name:
        found = readers(Path(name))
        for fuzz, share in found:
            fuzz.run(round(count * share), Path(name), seed)
    return [fuzz for fuzz, _ in found]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    total: Counter[str] = Counter()
    for fuzz in run(count):
        total.update(fuzz.counts)
        print(f"{fuzz.name:<10} {fuzz.counts['accepted']:>6} accepted {fuzz.counts['refused']:>6} refused")
    print(
        f"{total.total()} inputs; crashed: 0, hung: 0, longer than a line: {total['refused in several lines']}"
    )


if __name__ == "__main__":
    main()
