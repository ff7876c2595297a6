"""Readers under mutated input; ``python tests/faults/fuzz.py 20000`` reads more."""

import pytest

from tests.faults import fuzz


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_reader_accepts_or_refuses_in_one_line():
    found = {one.name: one.counts for one in fuzz.run(2000, seed=1)}
    assert sum(counts.total() for counts in found.values()) == 2000
    assert {kind for counts in found.values() for kind in counts} == {"accepted", "refused"}
    # Both happen, so neither a reader that takes everything nor one that refuses everything would pass.
    for name in ("protocol", "manifest", "image"):
        assert min(found[name]["accepted"], found[name]["refused"]) > 10


def test_a_crash_is_told_with_its_input(tmp_path):
    def broken(path):
        raise IndexError("not ours")

    with pytest.raises(AssertionError, match="toy, input 0: b'"):
        fuzz.Fuzz("toy", [b"abc"], ".txt", broken).run(1, tmp_path)
