"""A dataset of chest X-rays in a layout of its own."""

from mmbench.data.readers import DatasetInfo, Listing, RawCase, Reader
from mmbench.methods import CLASSIFICATION, SEGMENTATION
from mmbench.plugins import register_dataset


@register_dataset
class Acme(Reader):
    """``scans/<patient>-<normal|pneumonia>.png`` with ``lungs/`` of the same names."""

    info = DatasetInfo(
        name="acme",
        title="Chest X-rays of the Acme hospital",
        tasks=(CLASSIFICATION, SEGMENTATION),
        layout="scans/<patient>-<normal|pneumonia>.png, lungs/<the same>.png",
        where="tests make it",
        terms="none",
        citation="none",
        findings=("normal", "pneumonia"),
        structures=("lungs",),
    )
    folders = ("acme",)

    def matches(self, folder):
        """Return whether there are scans."""
        return (folder / "scans").is_dir() and (folder / "lungs").is_dir()

    def scan(self, root):
        """Return every scan with its mask."""
        cases = []
        for image in sorted((root / "scans").glob("*.png")):
            patient, finding = image.stem.split("-")
            cases.append(
                RawCase(
                    case_id=image.stem,
                    patient_id=patient,
                    image=image,
                    masks={"lungs": (root / "lungs" / image.name,)},
                    label=int(finding == "pneumonia"),
                    finding=finding,
                )
            )
        return Listing(root, cases)
