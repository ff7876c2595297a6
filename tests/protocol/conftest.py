from pathlib import Path

import pytest

from mmbench.protocol.runs import MethodSummary
from mmbench.protocol.schema import MethodEntry
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Stream, Task

BOTH = frozenset(Task)
LABELED = frozenset(stream for stream in Stream if stream.labeled)
METHODS = {
    "unet": MethodSummary(
        method="unet", tasks=frozenset({Task.SEGMENTATION}), streams=frozenset({Stream.LABELED_SEGMENTATION})
    ),
    "enc": MethodSummary(
        method="enc",
        tasks=frozenset({Task.CLASSIFICATION}),
        streams=frozenset({Stream.LABELED_CLASSIFICATION}),
    ),
    "encssl": MethodSummary(
        method="encssl",
        tasks=frozenset({Task.CLASSIFICATION}),
        streams=frozenset({Stream.LABELED_CLASSIFICATION, Stream.UNLABELED_CLASSIFICATION}),
    ),
    "umtl": MethodSummary(method="umtl", tasks=BOTH, streams=LABELED),
    "umtls": MethodSummary(method="umtls", tasks=BOTH, streams=LABELED, hyperparameters={"bridge": "both"}),
    "multimix": MethodSummary(
        method="multimix",
        tasks=BOTH,
        streams=frozenset(s for s in Stream if not s.target),
        hyperparameters={"bridge": "both"},
    ),
    "majority": MethodSummary(
        method="majority",
        tasks=frozenset({Task.CLASSIFICATION}),
        streams=frozenset(),
        seeded=False,
        trivial=True,
    ),
    "prevalence": MethodSummary(
        method="prevalence", tasks=frozenset({Task.CLASSIFICATION}), streams=frozenset(), trivial=True
    ),
    "mean_mask": MethodSummary(
        method="mean_mask",
        tasks=frozenset({Task.SEGMENTATION}),
        streams=frozenset(),
        seeded=False,
        trivial=True,
    ),
}
PAPER_LIKE = """\
# the publication's matrix
name: paper-like
sources:
  classification: kermany
  segmentation: {dataset: jsrt, cases: 100}
targets:
  classification: nih
  segmentation:
    - montgomery
    - dataset: phantom:adult_pa
      sweep: {dial: gain, values: [1, 0.5]}
budgets:
  grid:
    classification: [100, 1000, full]
    segmentation: [10, 50, full]
methods: [unet, enc, encssl, umtl, umtls, {method: multimix, name: MultiMix}]
training:
  steps: 1e3
  optimizer: {name: adam, learning_rate: 1e-3}
"""


def digest(domain: str, part: str = "test") -> DomainDigest:
    return DomainDigest(domain=domain, data=domain.ljust(64, "0"), split=domain.ljust(64, "1"), part=part)


DOMAINS = {
    Task.CLASSIFICATION: [digest("kermany"), digest("nih", "all")],
    Task.SEGMENTATION: [digest("jsrt"), digest("montgomery", "all")],
}


def rows(*names: str) -> list[tuple[MethodEntry, MethodSummary]]:
    return [(MethodEntry(method=name), METHODS[name]) for name in names]


class Matrix:
    text = PAPER_LIKE
    domains = DOMAINS
    summaries = METHODS
    rows = staticmethod(rows)
    golden = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def matrix() -> type[Matrix]:
    """A paper-like protocol and what its expansion needs."""
    return Matrix
