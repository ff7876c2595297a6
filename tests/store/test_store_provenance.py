"""Records that were made otherwise are told apart by the field that differs."""

import pytest

from mmbench.errors import StoreError
from mmbench.store.provenance import mixtures, refuse_mixtures


def record(label="unet", source="a" * 64, **packages):
    versions = {"mmbench": "0.1.0", "torch": "2.14.1", "pandas": "3.0.0", **packages}
    return {"run": {"label": label}, "method_source": source, "environment": {"packages": versions}}


def told(*records):
    return [str(mixture) for mixture in mixtures(records)]


def test_equal_records_are_no_mixture():
    assert told(record(), record(), record("umtl", "b" * 64), record("umtl", "b" * 64)) == []
    assert told() == []


def test_the_field_and_its_values_are_named():
    assert told(record(), record(torch="2.13.0"), record()) == ["torch: 2.14.1 (2 runs), 2.13.0 (1 run)"]
    assert told(record(mmbench="0.0.1"), record()) == ["mmbench: 0.0.1 (1 run), 0.1.0 (1 run)"]
    assert told(record(source="a" * 64), record(source="b" * 64)) == [
        "source of unet: aaaaaaaaaaaa (1 run), bbbbbbbbbbbb (1 run)"
    ]


def test_what_computes_no_score_may_differ():
    assert told(record(pandas="2.2.2"), record(pandas="3.0.0")) == []


def test_a_package_that_only_some_had_is_no_mixture():
    assert told(record(timm="1.0.3"), record()) == []


def test_a_mixture_is_refused_with_the_way_out(store):
    with pytest.raises(
        StoreError, match=r"differ in torch: .*; train them again with --force, or .*--allow-mixed"
    ):
        refuse_mixtures(store, mixtures([record(), record(torch="1")]))
    refuse_mixtures(store, [])
