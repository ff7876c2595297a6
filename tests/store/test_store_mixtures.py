"""Records that were made otherwise are told apart by the field that differs."""

import pytest

from mmbench.errors import StoreError
from mmbench.store.mixtures import making, mixtures, refuse_mixtures


def record(row="unet", layer="run", source="a" * 64, engine="e" * 64, device="cpu", **packages):
    versions = {"mmbench": "0.1.0", "torch": "2.14.1", "pandas": "3.0.0", **packages}
    environment = {"packages": versions, "device": device}
    return making(layer, row, {"method_source": source, "engine": engine, "environment": environment})


def told(*records):
    return [str(mixture) for mixture in mixtures(records)]


def test_equal_records_are_no_mixture():
    assert told(record(), record(), record("umtl", source="b" * 64), record("umtl", source="b" * 64)) == []
    assert told() == []


def test_the_field_and_its_values_are_named():
    assert told(record(), record(torch="2.13.0"), record()) == [
        "torch: 2.14.1 (2 records), 2.13.0 (1 record)"
    ]
    assert told(record(source="a" * 64), record(source="b" * 64)) == [
        "source of unet: aaaaaaaaaaaa (1 record), bbbbbbbbbbbb (1 record)"
    ]
    assert told(record(device="cuda:0"), record(device="cuda:1"), record()) == [
        "device of run: cuda (2 records), cpu (1 record)"
    ]


@pytest.mark.parametrize("layer", ["run", "predictions", "scores"])
def test_the_engines_source_counts_within_its_layer(layer):
    assert told(record(layer=layer), record(layer=layer, engine="b" * 64)) == [
        f"engine's source for {layer}: eeeeeeeeeeee (1 record), bbbbbbbbbbbb (1 record)"
    ]
    others = {"run", "predictions", "scores"} - {layer}
    assert told(record(layer=layer), *(record(layer=other, engine="b" * 64) for other in others)) == []


def test_scores_depend_on_no_method_and_no_device():
    assert told(record(layer="scores"), record(layer="scores", source="b" * 64, device="cuda:0")) == []


def test_what_computes_no_score_may_differ():
    assert told(record(pandas="2.2.2"), record(pandas="3.0.0")) == []


def test_a_package_that_only_some_had_is_a_mixture():
    assert told(record(timm="1.0.3"), record()) == ["timm: 1.0.3 (1 record), absent (1 record)"]


def test_an_absent_field_differs_from_every_value():
    bare = making("run", "unet", {"environment": {"packages": {}}})
    named = {text.partition(":")[0] for text in told(record(), bare)}
    assert named == {"engine's source for run", "source of unet", "device of run", "mmbench", "torch"}


def test_the_distribution_of_a_plugin_counts():
    one, other = ({"distribution": f"mine {version}"} for version in ("1.0", "1.1"))
    assert told(making("run", "mine", one), making("run", "mine", other)) == [
        "distribution of mine: mine 1.0 (1 record), mine 1.1 (1 record)"
    ]


def test_a_mixture_is_refused_with_the_way_out(store):
    with pytest.raises(
        StoreError, match=r"differ in torch: .*; make them again with --force run, .*--allow-mixed"
    ):
        refuse_mixtures(store, mixtures([record(), record(torch="1")]))
    refuse_mixtures(store, [])
