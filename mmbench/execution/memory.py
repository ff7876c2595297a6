"""Peak memory of one run in a process that trains many."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak(device: str) -> None:
    """Forget the peak so far, where the system allows it (Linux, CUDA)."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
    elif _RESET.exists():
        try:
            _RESET.write_text("5")
        except OSError:
            return


def peak_mb(device: str) -> float:
    """Return the peak in MiB since the last reset: of the GPU's allocator, or of the process's RAM."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**10
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
