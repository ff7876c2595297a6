"""What a method keeps, as it was before a step, so that a step can be repeated."""

from __future__ import annotations

import copy

import torch

from mmbench.methods.base import Method


class Snapshot:
    """A method's declared state and its modules' buffers at one moment.

    Weights are not part of it: only the optimiser changes them, after the step's losses.

    Parameters
    ----------
    method : Method
        Built.
    """

    def __init__(self, method: Method):
        self._method = method
        self._state = copy.deepcopy(method.state())
        self._buffers = {
            name: {key: buffer.clone() for key, buffer in module.named_buffers()}
            for name, module in method.modules().items()
        }

    def restore_state(self) -> None:
        """Give the method its state of that moment."""
        if self._state:
            self._method.load_state(copy.deepcopy(self._state))

    def restore(self) -> None:
        """Give the method its state and its modules' buffers of that moment."""
        self.restore_state()
        with torch.no_grad():
            for name, module in self._method.modules().items():
                for key, buffer in module.named_buffers():
                    buffer.copy_(self._buffers[name][key])
