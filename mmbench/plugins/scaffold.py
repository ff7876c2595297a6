"""A starting point for a contributor's method."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from mmbench.errors import PluginError
from mmbench.files import write_text

_TEMPLATE = '''"""What the method is, in one line."""

from mmbench.methods import (
    CLASSIFICATION,
    LABELED_CLASSIFICATION,
    LABELED_SEGMENTATION,
    SEGMENTATION,
    NetworkMethod,
    register_method,
    terms,
)


@register_method("{name}", reference="")
class {cls}(NetworkMethod):
    """What `mmbench list methods` says of it."""

    tasks = {{CLASSIFICATION, SEGMENTATION}}
    streams = {{LABELED_CLASSIFICATION, LABELED_SEGMENTATION}}

    class Hyperparameters(NetworkMethod.Hyperparameters):
        """Validated, overridable from a protocol, part of a run's identity."""

        dice_weight: float = 5.0

    def losses(self, batch):
        """Return the named, already weighted loss terms of a step."""
        images, masks = batch[LABELED_CLASSIFICATION], batch[LABELED_SEGMENTATION]
        (class_logits,) = self.classify(images.images)
        (mask_logits,) = self.segment(masks.images)
        return {{
            "cross_entropy": terms.cross_entropy(class_logits, images.labels),
            "dice": self.hyperparameters.dice_weight * terms.dice(mask_logits, masks.masks),
        }}
'''


def write_method(name: str, folder: Path) -> Path:
    """Write a method file that works as it is, and return its path.

    Raises
    ------
    PluginError
        If the name is not one that Python and protocols take, or the file exists.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise PluginError(
            f"{name!r} cannot be a method's name; use lower-case letters, digits and _, a letter first"
        )
    path = folder / f"{name}.py"
    if path.exists():
        raise PluginError(f"{path}: exists already; choose another name or folder")
    cls = "".join(part.capitalize() for part in name.split("_"))
    write_text(path, _TEMPLATE.format(name=name, cls=cls))
    return path
