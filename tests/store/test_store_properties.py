"""The store against a model of it, and what goes in against what comes out."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mmbench.store.store import ResultStore
from mmbench.store.upkeep import quarantine, sweep
from tests.store.made_records import make_run, put_run, put_scores, specs_of

RUNS = {run.id: run for run in (make_run(seed=seed) for seed in range(3))}
ids = st.sampled_from(sorted(RUNS))


class StoreModel(RuleBasedStateMachine):
    """Any order of writes, replacements, failures and removals leaves what a dict would hold."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = ResultStore(Path(self.folder.name) / "results")
        self.records: dict[str, int] = {}
        self.failures: dict[str, str] = {}

    def teardown(self):
        self.folder.cleanup()

    @rule(id=ids, parameters=st.integers(0, 9), replace=st.booleans())
    def write(self, id, parameters, replace):
        put_run(self.store, RUNS[id], parameters, replace=replace)
        if replace or id not in self.records:
            self.records[id] = parameters

    @rule(id=ids, error=st.text(min_size=1).filter(lambda text: text.strip()))
    def fail(self, id, error):
        self.store.write_failure(RUNS[id], error)
        self.failures[id] = error.strip().splitlines()[0]

    @rule(id=ids)
    def clear(self, id):
        self.store.clear_failure(id)
        self.failures.pop(id, None)

    @rule(id=ids)
    def remove(self, id):
        self.store.runs.remove(id)
        self.records.pop(id, None)

    @rule(id=ids)
    def set_aside(self, id):
        if id in self.records:
            quarantine(self.store, self.store.runs.folder(id))
            del self.records[id]

    @rule(id=ids)
    def sweep(self, id):
        sweep(self.store, [id])

    @rule()
    def open_again(self):
        self.store = ResultStore(self.store.root)

    @invariant()
    def agrees(self):
        assert self.store.runs.ids() == sorted(self.records)
        assert {id: failure.error for id, failure in self.store.failed().items()} == self.failures
        for id, parameters in self.records.items():
            assert self.store.runs.verify(id).parameters == parameters


StoreModel.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestStore = StoreModel.TestCase

text = st.text(max_size=20).filter(lambda value: "\0" not in value)
numbers = st.floats(width=64)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(text, text, numbers, st.integers(0, 1)), min_size=1, max_size=8))
def test_scores_come_back_as_they_went_in(rows):
    spec = specs_of(make_run())[0]
    cases = pd.DataFrame(
        {
            "case_id": [row[0] for row in rows],
            "patient_id": [row[1] for row in rows],
            "probability": [row[2] for row in rows],
            "label": [row[3] for row in rows],
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        store = ResultStore(Path(folder))
        put_scores(store, spec, cases)
        found = store.scores.table(spec.id, "cases.parquet").to_pandas()
    for name in ("case_id", "patient_id", "label"):
        assert found[name].tolist() == cases[name].tolist()
    np.testing.assert_array_equal(found["probability"], cases["probability"])
    assert [math.copysign(1, v) for v in found["probability"] if v == 0] == [
        math.copysign(1, v) for v in cases["probability"] if v == 0
    ]
