"""What a method must not do when it predicts, looked at while it does.

The kit (:mod:`mmbench.testing`) looks for the same on a made-up batch; here it is the trained method on the
images that are scored, so that a row whose predictions break the contract never stands in a table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import torch

from mmbench.errors import PluginError
from mmbench.evaluation.adaptation import adapted_predictions
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
    method: Method,
    images: np.ndarray,
    task: Task,
    *,
    device: torch.device,
    precision: str = "float32",
    seed: int = 0,
) -> np.ndarray:
    """Return a method's predictions, having looked whether they are what the contract promises.

    Parameters are those of :func:`mmbench.evaluation.adaptation.adapted_predictions`, and so is what is
    returned. A method that adapts to what it predicts may predict an image differently alone.

    Raises
    ------
    PluginError
        If ``predict`` changed a weight or a buffer, if an image's prediction depends on the others in its
        batch or on chance, or if it is not a number.
    """
    before = weights_digest(method)
    if method.adaptation is not None:
        found = adapted_predictions(method, images, task, device=device, precision=precision, seed=seed)
    else:
        found = predict(method, images, task, device=device, precision=precision)
    if not np.isfinite(found).all():
        raise PluginError(f"method {method.name!r} predicts what is not a number for {task.value}")
    alone_too = range(0) if method.adaptation is not None else _spread(len(images))
    for row in alone_too:
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


def _spread(count: int) -> Iterable[int]:
    """Return the first image, the last and some between."""
    return sorted({int(place) for place in np.linspace(0, count - 1, ALONE)})
