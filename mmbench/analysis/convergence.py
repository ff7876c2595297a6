"""Have the trainings converged? What their validation scores still gained at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mmbench.protocol.metrics import METRICS
from mmbench.protocol.runs import RunSpec
from mmbench.protocol.schema import Protocol

SHARE_OF_MARGIN = 0.25
"""A row still improves whose mean gain in the last tenth is above this share of the margin."""
CONFIDENCE = 0.95


Validated = tuple[Mapping[str, float], Mapping[str, float]]
"""The validation scores at a training's end, and their gains in the last tenth, by metric."""


@dataclass(frozen=True)
class Convergence:
    """What a row's trainings gained in the last tenth, on the sources' validation parts.

    Attributes
    ----------
    row, metric : str
        Whose gain in what.
    score, gain : float
        Mean score at the end, and mean gain.
    low : float
        Lower end of the gain's one-sided 95 % interval over runs; NaN with fewer than two.
    runs : int
        How many there are.
    improving : bool
        Whether the gain is above a quarter of the margin, and above 0 beyond chance.
    """

    row: str
    metric: str
    score: float
    gain: float
    low: float
    runs: int
    improving: bool

    @property
    def text(self) -> str:
        """The gain in words."""
        heading = METRICS[self.metric].heading
        return f"{self.row} (validation {heading} {self.gain:+.4f} in the last tenth, {self.runs} runs)"


def convergence(
    runs: Iterable[RunSpec], validated: Mapping[str, Validated], protocol: Protocol
) -> list[Convergence]:
    """Return what each row still gained, by row and metric; nothing of runs that were not validated.

    Parameters
    ----------
    runs : iterable of RunSpec
        The planned runs.
    validated : mapping of str to Validated
        By run id.
    protocol : Protocol
        Gives the margin.
    """
    gains: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for run in runs:
        scores, own = validated.get(run.id, ({}, {}))
        for metric, gain in own.items():
            if not math.isnan(gain):
                gains.setdefault((run.label, metric), []).append((scores[metric], gain))
    bound = SHARE_OF_MARGIN * protocol.statistics.equivalence
    found = []
    for (row, metric), pairs in gains.items():
        score, gain = np.mean(pairs, axis=0)
        low = _lower_end(np.array(pairs)[:, 1])
        found.append(
            Convergence(
                row, metric, float(score), float(gain), low, len(pairs), bool(gain > bound and low > 0)
            )
        )
    return found


def _lower_end(gains: np.ndarray) -> float:
    from scipy import special

    count = len(gains)
    if count < 2:
        return math.nan
    half = float(special.stdtrit(count - 1, CONFIDENCE)) * float(gains.std(ddof=1)) / math.sqrt(count)
    return float(gains.mean()) - half
