"""Tiny datasets in the official layouts, and small hand-made Dataset objects."""

import numpy as np
import pandas as pd
from PIL import Image

from mmbench.data.dataset import Dataset


def picture(seed, side=48):
    """A smooth random image, different for each seed."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (6, 6), dtype=np.uint8))
    return np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC))


def disc(side, centre, radius):
    y, x = np.mgrid[:side, :side]
    return ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2).astype(np.uint8) * 255


def save(path, levels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)
    return path


def make_kermany(root):
    """Three parts; colour and gray JPEG; two images of one child; one file twice under two names."""
    names = {
        "train/NORMAL": ["IM-0115-0001", "IM-0117-0001", "NORMAL2-IM-0012-0001-0002"],
        "train/PNEUMONIA": [
            "person1_bacteria_1",
            "person1_bacteria_2",
            "person2_virus_3",
            "person3_virus_4_1",
        ],
        "val/NORMAL": ["NORMAL2-IM-1427-0001"],
        "val/PNEUMONIA": ["person1946_bacteria_4874"],
        "test/NORMAL": ["IM-0001-0001"],
        "test/PNEUMONIA": ["person1_virus_6", "person9_bacteria_7"],
    }
    seed = 0
    for folder, stems in names.items():
        for stem in stems:
            levels = picture(seed)
            if seed % 2:
                levels = np.stack([levels] * 3, axis=-1)
            save(root / folder / f"{stem}.jpeg", levels)
            seed += 1
    return root


def make_montgomery(root, count=4):
    for number in range(count):
        stem = f"MCUCXR_{number:04d}_{number % 2}"
        save(root / "CXR_png" / f"{stem}.png", picture(100 + number))
        save(root / "ManualMask" / "leftMask" / f"{stem}.png", disc(48, (34, 24), 8))
        save(root / "ManualMask" / "rightMask" / f"{stem}.png", disc(48, (14, 24), 8))
    (root / "CXR_png" / "Thumbs.db").write_bytes(b"not an image")
    return root


def make_shenzhen(root, count=4, masks=3):
    for number in range(count):
        stem = f"CHNCXR_{number:04d}_{number % 2}"
        save(root / "CXR_png" / f"{stem}.png", picture(200 + number))
        if number < masks:
            save(root / "mask" / f"{stem}_mask.png", disc(48, (24, 24), 10))
    return root


NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
NIH_ROWS = [
    ("00000001_000.png", "Cardiomegaly", 1),
    ("00000002_000.png", "No Finding", 2),
    ("00000003_000.png", "Edema|Pneumonia", 3),
    ("00000003_001.png", "No Finding", 3),
    ("00000004_000.png", "Pneumonia", 4),
    ("00000005_000.png", "No Finding", 5),
]


def make_nih(root, *, table="Data_Entry_2017.csv", folders=("images",), bom=False):
    lines = [NIH_HEADER]
    for row, (name, labels, patient) in enumerate(NIH_ROWS):
        lines.append(f"{name},{labels},0,{patient},60,M,PA,2682,2749,0.143,0.143")
        save(root / folders[row % len(folders)] / name, picture(300 + row))
    text = ("\ufeff" if bom else "") + "\r\n".join(lines) + "\r\n"
    (root / table).write_bytes(text.encode())
    return root


def write_raw(path, levels):
    """Write a JSRT .IMG file of the given 12-bit levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(levels.astype(">u2").tobytes())
    return path


def raw_levels(seed):
    return np.kron(np.random.default_rng(seed).integers(0, 4096, (16, 16)), np.ones((128, 128))).astype(
        np.uint16
    )


def make_dataset(
    labels=(0, 1) * 10,
    *,
    parts=None,
    patients=None,
    groups=None,
    size=16,
    images=None,
    name="toy",
    domain=None,
    masks=False,
    **changes,
):
    """A Dataset of made-up cases; images differ from row to row."""
    count = len(labels)
    patients = [f"p{row}" for row in range(count)] if patients is None else list(patients)
    if groups is None:
        groups = pd.factorize(np.array(patients, dtype=object))[0]
    cases = pd.DataFrame(
        {
            "case_id": [f"c{row}" for row in range(count)],
            "patient_id": patients,
            "part": ["train"] * count if parts is None else list(parts),
            "label": pd.array(list(labels), dtype="Int8"),
            "has_mask": masks,
            "group": groups,
            "finding": ["" if pd.isna(label) else str(label) for label in labels],
        }
    )
    if images is None:
        images = np.stack([picture(1000 + row, size) for row in range(count)])
    fields = {
        "name": name,
        "domain": domain or name,
        "cases": cases,
        "images": images,
        "masks": np.zeros_like(images) if masks else None,
        "data_digest": f"digest of {name}",
        "split_digest": "split",
    }
    return Dataset(**{**fields, **changes})
