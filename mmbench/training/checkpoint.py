"""Checkpoints: what the remaining steps of a training depend on, in one checked file.

Every random stream of a training is derived from (seed, step), so weights, optimiser, schedule, the
selection rule's best weights and the step's number are all there is to keep.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mmbench.files import DamagedFileError, read_sealed, write_sealed


class Checkpoint:
    """The saved state of one training.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    origin : str
        A digest of everything else that the remaining steps depend on: the run, the method's source, the
        software and the device. A state of another origin is ignored.
    every : float
        Seconds between two saves.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self, path: Path, origin: str, every: float = 60.0, clock: Callable[[], float] = time.monotonic
    ):
        self.path = path
        self.origin = origin
        self.every = every
        self._clock = clock
        self._saved = clock()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """Return the saved state with its tensors on ``device``; None if there is none of this origin.

        Raises
        ------
        DamagedFileError
            If the file does not match its checksum, or holds anything but tensors and plain values.
        """
        try:
            content = read_sealed(self.path)
        except FileNotFoundError:
            return None
        try:
            saved = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        except Exception as error:  # its checksum is right, so something else wrote it
            raise DamagedFileError(f"{self.path}: holds more than tensors and numbers") from error
        return saved["state"] if saved["origin"] == self.origin else None

    def due(self) -> bool:
        """Whether the last save, or the start, was ``every`` seconds ago."""
        return self._clock() - self._saved >= self.every

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state, as a whole or not at all."""
        buffer = io.BytesIO()
        torch.save({"origin": self.origin, "state": state}, buffer)
        write_sealed(self.path, buffer.getvalue())
        self._saved = self._clock()

    def remove(self) -> None:
        """Remove the saved state, if there is one."""
        self.path.unlink(missing_ok=True)
