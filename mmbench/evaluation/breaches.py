"""What a method must not do when it predicts, looked at while it does.

The conformance check looks for the same on a made-up batch; here it is the trained method on the images that
are scored, so that a row whose predictions break the contract never stands in a table.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from mmbench.errors import PluginError
from mmbench.evaluation.prediction import predict
from mmbench.methods.base import Method
from mmbench.protocol.vocabulary import Task

ALONE = 3
"""How many images are predicted again, each alone."""
TOLERANCE = {"float32": 1e-3, "bf16": 0.05}
"""By how much a probability may differ then: other batch sizes add up in another order."""


def weights_digest(method: Method) -> str:
    """Return the sha256 of every weight and buffer of a method's modules."""
    digest = hashlib.sha256()
    for attribute, module in sorted(method.modules().items()):
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{attribute}.{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def checked_predictions(
    method: Method, images: np.ndarray, task: Task, *, device: torch.device, precision: str = "float32"
) -> np.ndarray:
    """Return a method's predictions, having looked whether they are what the contract promises.

    Parameters are those of :func:`mmbench.evaluation.prediction.predict`, and so is what is returned.

    Raises
    ------
    PluginError
        If ``predict`` changed a weight or a buffer, if an image's prediction depends on the others in its
        batch or on chance, or if it is not a number.
    """
    before = weights_digest(method)
    found = predict(method, images, task, device=device, precision=precision)
    if not np.isfinite(found).all():
        raise PluginError(f"method {method.name!r} predicts what is not a number for {task.value}")
    for row in np.unique(np.linspace(0, len(images) - 1, ALONE).astype(int)):
        alone = predict(method, images[row : row + 1], task, device=device, precision=precision)[0]
        gap = float(np.abs(alone - found[row]).max())
        if gap > TOLERANCE[precision]:
            raise PluginError(
                f"method {method.name!r} predicts image {row} differently alone than among others, by up to "
                f"{gap:.3g}; predict must depend on nothing but the image and the weights"
            )
    if weights_digest(method) != before:
        raise PluginError(
            f"method {method.name!r} changed its weights or buffers in predict, which must leave them alone"
        )
    return found
