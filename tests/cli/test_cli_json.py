"""JSON on standard output stays alone there, whatever a plugin prints."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

CHATTY = """
from mmbench.data.readers import DatasetInfo, Listing, RawCase, Reader
from mmbench.methods import CLASSIFICATION
from mmbench.plugins import register_dataset

print("imported")


@register_dataset
class Chatty(Reader):
    info = DatasetInfo("chatty", "Chatty", (CLASSIFICATION,), "scans", "here", "none", "none")
    folders = ("chatty",)

    def matches(self, folder):
        print("matching")
        return (folder / "scans").is_dir()

    def scan(self, root):
        print("scanning")
        return Listing(root, [
            RawCase(case_id=path.stem, patient_id=path.stem, image=path, label=int(path.stem) % 2)
            for path in sorted((root / "scans").glob("*.png"))
        ])

    def decode(self, path):
        print("decoding")
        return super().decode(path)
"""
PROTOCOL = """
name: chatty
sources: {classification: {dataset: chatty}}
budgets: {pairs: [{classification: full}]}
methods: [enc]
trivial_baselines: [majority]
image_size: 32
seeds: 2
backbone: {width: 0.25, depth: 2}
training: {steps: 2, batch_size: 2}
"""


def test_what_a_reader_prints_does_not_mix_with_json(mmbench, workplace):
    Path("chatty.py").write_text(CHATTY)
    Path("chatty.yaml").write_text(PROTOCOL)
    Path("chatty/scans").mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(30):
        Image.fromarray(random.integers(0, 256, (40, 40), dtype=np.uint8)).save(f"chatty/scans/{number}.png")
    result = mmbench("validate", "chatty.yaml", "--plugin", "chatty.py", "--data-root", ".", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["protocol"] == "chatty"
    assert {"imported", "matching", "scanning", "decoding"} <= set(result.stderr.split())
    # the next command of the same process prints where it should
    assert "chatty" in mmbench("validate", "chatty.yaml", "--plugin", "chatty.py", "--data-root", ".").stdout
