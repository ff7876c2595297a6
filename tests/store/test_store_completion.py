"""Status of a results folder from its listings alone."""

import json

from mmbench.protocol.loading import parse_protocol
from mmbench.store.completion import completion
from tests.store.made_records import DOMAINS, make_run, put, put_run, put_scores, specs_of

PROTOCOL = parse_protocol(
    "{name: demo, sources: {classification: kermany}, budgets: {grid: {classification: [100]}}, "
    "methods: [enc]}"
)


def test_each_layer_is_counted(store):
    whole, half, failed, none, old = (make_run(seed=seed) for seed in range(5))
    put(store, whole)
    put_run(store, half, extra=lambda folder: (folder / "network.safetensors").write_bytes(b"12345"))
    put_scores(store, specs_of(half)[0])
    put(store, failed)
    store.write_failure(failed, "boom", "Traceback", layer="scores")
    put_run(store, old)
    store.save_plan(PROTOCOL, [whole, half, failed, none], DOMAINS, {})
    found = completion(store.root).as_json()
    assert {state: found[state] for state in ("done", "failed", "missing")} == {
        "done": 1,
        "failed": 1,
        "missing": 2,
    }
    assert found["layers"] == {
        "run": {"done": 3, "missing": 1},
        "predictions": {"done": 9, "missing": 7},
        "scores": {"done": 9, "missing": 7},
    }
    assert found["not_in_protocol"] == 1
    assert found["weights_bytes"] == 5
    runs = {run["seed"]: run for run in found["runs"]}
    assert (runs[1]["state"], runs[1]["trained"], runs[1]["scores"]) == (
        "missing",
        True,
        {"done": 1, "asked": 4},
    )
    assert (runs[2]["layer"], runs[2]["error"], runs[2]["traceback"]) == ("scores", "boom", "Traceback")
    assert "runs" not in completion(store.root).as_json(runs=False)
    json.dumps(found)


def test_no_record_is_opened(store):
    run = make_run()
    put(store, run)
    store.save_plan(PROTOCOL, [run], DOMAINS, {})
    for layer in store.layers:
        for id in layer.ids():
            (layer.folder(id) / layer.model.FILE).write_text("damaged")
    assert completion(store.root).as_json()["done"] == 1
