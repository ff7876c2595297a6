"""``mmbench validate``: what a protocol would cost and could find."""

import json
import re
from pathlib import Path

import pytest
from test_cli_end_to_end import PROTOCOL


@pytest.fixture
def protocol(workplace, cache):
    def write(**changes):
        text = PROTOCOL
        for old, new in changes.items():
            before, _, after = new.partition(" -> ")
            assert before in text, old
            text = text.replace(before, after)
        Path("small.yaml").write_text(text)
        return "small.yaml"

    return write


def words(result):
    return " ".join(result.stdout.split())


@pytest.mark.slow
def test_cost_power_leaks_and_warnings_before_anything_is_trained(mmbench, protocol):
    done = mmbench("validate", protocol(), "--jobs", "1")
    assert done.exit_code == 0, done.output
    text = words(done)
    assert text.startswith("small: 4 runs")
    assert "expected time unknown with 1 worker" in text
    assert re.search(r"weights \d+\.\d kB for all runs", text)
    assert "2 primary comparisons over all budgets, corrected together, with 1 training per row" in text
    assert "0 patient, 0 identical, 0 near between parts that must be apart" in text
    assert "warning: 1 training per row and budget: no verdict can be given" in text
    assert "county has 20 test cases (segmentation): under 50" in text
    assert not Path("results").exists()


@pytest.mark.slow
def test_one_method_asks_no_question_and_shows_nothing_corrected(mmbench, protocol):
    done = mmbench("validate", protocol(methods="methods: [unet, umtl] -> methods: [unet]"), "--jobs", "1")
    assert done.exit_code == 0, done.output
    text = words(done)
    assert "question none: no second method learns a task of the reference" in text
    assert "one pair: the smallest true difference" in text
    assert "Holm" not in text
    assert "corrected" not in text


@pytest.mark.slow
def test_the_family_is_every_primary_comparison_of_the_report(mmbench, protocol):
    file = protocol(
        seeds="trivial_baselines: -> seeds: 3\ntrivial_baselines:",
        methods="methods: [unet, umtl] -> methods: [unet, umtl, umtls, umtl_ssl, umtl_ssl_s, multimix]",
    )
    found = json.loads(mmbench("validate", file, "--json").stdout)
    assert found["trainings"] == 3
    # Five methods against the reference in Dice, in-domain and cross-domain.
    assert found["family"] == 10
    assert found["seconds"] is None
    for one in found["detectable"]:
        assert one["basis"] == "assumed noise"
        assert one["corrected"] is None or one["alone"] < one["corrected"]
        assert one["seeds"] is None or one["seeds"] > 3
        assert one["patients"] <= one["cases"]


@pytest.mark.slow
def test_a_budget_that_starves_a_class_is_named(mmbench, protocol):
    file = protocol(budget="{classification: 10, -> {classification: 4,")
    assert "classification budget 4 leaves " in words(mmbench("validate", file))
    assert "labelled cases of normal: under 5" in words(mmbench("validate", file))


@pytest.mark.slow
def test_time_and_noise_come_from_recorded_runs(mmbench, protocol):
    file = protocol(
        methods="methods: [unet, umtl] -> methods: [umtl, umtls]",
        seeds="trivial_baselines: -> seeds: 2\ntrivial_baselines:",
    )
    ran = mmbench("run", file, "--jobs", "1", "--quiet")
    assert ran.exit_code == 0, ran.output
    everything = json.loads(mmbench("validate", file, "--json").stdout)
    assert everything["recorded"] == everything["runs"]
    assert everything["seconds"] == 0
    stored = [path.stat().st_size for path in Path("results/small/runs").glob("*/*.safetensors")]
    # A file's header names its tensors; what is expected are the tensors.
    assert 0 < sum(stored) - everything["weights_bytes"] < 0.3 * sum(stored)
    assert {one["basis"] for one in everything["detectable"]} == {"noise of the recorded runs"}
    assert "expected time none (everything is recorded)" in words(mmbench("validate", file))
    more = protocol(
        methods="methods: [unet, umtl] -> methods: [umtl, umtls]",
        seeds="trivial_baselines: -> seeds: 4\ntrivial_baselines:",
    )
    half = json.loads(mmbench("validate", more, "--json", "--jobs", "1").stdout)
    # Two rows and two trivial baselines, two seeds more.
    assert half["runs"] - half["recorded"] == 8
    assert "recorded runs of this protocol" in half["timed_by"]
    store = [json.loads(path.read_text()) for path in Path("results/small/runs").glob("*/run.json")]
    spent = [sum(record["seconds"].values()) for record in store if record["run"]["label"].startswith("umtl")]
    # A median of rates times costs that are not all equal; the first run of a worker also loads torch.
    assert 4 * min(spent) / 2 < half["seconds"] < 4 * max(spent) * 2
    other = Path(more).read_text().replace("name: small", "name: sibling").replace("steps: 3", "steps: 30")
    Path("sibling.yaml").write_text(other)
    scaled = json.loads(mmbench("validate", "sibling.yaml", "--json", "--jobs", "1").stdout)
    assert "other protocols" in scaled["timed_by"]
    assert scaled["seconds"] > half["seconds"]


def test_a_wrong_protocol_is_one_line(mmbench, workplace):
    Path("wrong.yaml").write_text("name: wrong\nsource: {}\n")
    refused = mmbench("validate", "wrong.yaml")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: wrong.yaml")
    assert refused.stderr.count("\n") == 1
