"""Seeds are added look by look; the design survives interruptions and is shared."""

import json
from dataclasses import replace

import pytest

from mmbench.analysis.analysis import analyse
from mmbench.analysis.primary import decided
from mmbench.api import run
from mmbench.errors import ProtocolError, StoreError, UserError
from mmbench.protocol.loading import parse_protocol
from mmbench.running import tasks
from mmbench.running.events import Looked
from mmbench.store.completion import completion
from mmbench.store.looks import read_looks
from mmbench.store.records import content_digest
from mmbench.store.store import ResultStore
from tests.execution.inline import PROTOCOL, Inline, carry_out

TEXT = PROTOCOL.replace(
    "methods: [unet, umtl]", "methods: [umtl, unet]\nseeds: {until: decided, first: 2, most: 4}"
).replace("trivial_baselines: [majority, mean_mask]", "trivial_baselines: [mean_mask]")


def looks_in(folder):
    return read_looks(ResultStore(folder))


def looks_without_times(folder):
    return [look.model_dump(exclude={"created"}) for look in looks_in(folder).looks]


def seeds_of(folder, row):
    return sorted(run.seed for run in ResultStore(folder).load_plan().runs if run.label == row)


@pytest.fixture(autouse=True)
def every_look_is_taken(monkeypatch):
    """Nothing is decided and nothing is given up."""

    def undecided(records, protocol, **options):
        return tuple(replace(one, verdict="undecided") for one in decided(records, protocol, **options))

    monkeypatch.setattr("mmbench.analysis.sequential.decided", undecided)
    # private: results so small would all be given up
    monkeypatch.setattr("mmbench.analysis.sequential._hopeless", lambda *arguments: False)


def test_looks_are_taken_in_turn_and_recorded(tmp_path, cache):
    events = []
    summary = run(
        parse_protocol(TEXT), results=tmp_path / "r", executor=Inline(), jobs=1, device="cpu",
        listener=events.append,
    )  # fmt: skip
    looks = looks_in(tmp_path / "r")
    assert looks.schedule == [2, 3, 4]
    assert [look.seeds for look in looks.looks] == [2, 3, 4]
    assert [len(event.looks.looks) for event in events if isinstance(event, Looked)] == [1, 2, 3]
    assert looks.family == 2
    assert [look.spent for look in looks.looks] == sorted(look.spent for look in looks.looks)
    assert looks.looks[-1].spent == pytest.approx(looks.alpha)
    assert seeds_of(tmp_path / "r", "unet") == seeds_of(tmp_path / "r", "umtl") == [0, 1, 2, 3]
    # Two methods and one trivial baseline, four seeds.
    assert (summary.trained, summary.cached) == (12, ())
    assert summary.looks == looks
    found = analyse(tmp_path / "r").primary
    assert set(found["verdict"].dropna()) == {"undecided"}


def test_a_design_that_was_stopped_goes_on_where_it_was(tmp_path, cache):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    carry_out(whole, TEXT)
    first = carry_out(parts, TEXT, max_seeds=2)
    assert [look.seeds for look in first.looks.looks] == [2]
    assert first.looks.next_seeds == 3
    progress = completion(parts)
    assert (progress.open_runs, progress.open_seconds > 0) == (2, True)
    stopped = carry_out(parts, TEXT, deadline=0.0)
    assert len(stopped.looks.looks) == 1, "a stage that was cut off is not looked at"
    second = carry_out(parts, TEXT)
    assert looks_without_times(whole) == looks_without_times(parts)
    # What was trained before the time was over is not trained again.
    assert second.trained == 12 - first.trained - 1
    again = carry_out(parts, TEXT)
    assert (again.trained, len(again.looks.looks)) == (0, 3)


def test_who_lags_behind_takes_no_look_that_its_runs_were_not_made_for(tmp_path, cache, monkeypatch):
    """Another runner has taken the look, and stored its own plan, between our last run and our look."""
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    carry_out(alone, TEXT, max_seeds=3)

    def overtaken(*arguments):
        found = tasks.carry_out(*arguments)
        if not started:
            started.append(True)
            carry_out(shared, TEXT, max_seeds=2)
        return found

    started = []
    monkeypatch.setattr("mmbench.running.until_decided.carry_out", overtaken)
    events = carry_out(shared, TEXT, max_seeds=2)
    assert [look.seeds for look in events.looks.looks] == [2]
    # A plan of fewer seeds, stored by who lags behind, is not looked at.
    stale = (shared / "plan.json").read_bytes()

    def outdated(*arguments):
        found = tasks.carry_out(*arguments)
        (shared / "plan.json").write_bytes(stale)
        return found

    monkeypatch.setattr("mmbench.running.until_decided.carry_out", outdated)
    carry_out(shared, TEXT, max_seeds=3)
    assert looks_without_times(alone) == looks_without_times(shared)


def test_decided_rows_get_no_more_seeds(tmp_path, cache):
    carry_out(tmp_path, TEXT, max_seeds=2)
    path = tmp_path / "looks.json"
    looks = looks_in(tmp_path)
    # As if unet had been decided in both domains.
    look = looks.looks[0].model_copy(update={"open": []})
    from mmbench.store.looks import write_looks

    write_looks(ResultStore(tmp_path), looks.model_copy(update={"looks": [look]}))
    before = path.read_bytes()
    done = carry_out(tmp_path, TEXT)
    assert done.trained == 0
    assert seeds_of(tmp_path, "unet") == [0, 1]
    assert path.read_bytes() == before


def test_another_design_is_refused_and_nothing_is_lost(tmp_path, cache):
    carry_out(tmp_path, TEXT, max_seeds=2)
    before = (tmp_path / "looks.json").read_bytes()
    with pytest.raises(UserError, match="was begun with looks after 2, 3, 4"):
        carry_out(tmp_path, TEXT.replace("most: 4", "most: 9"))
    assert (tmp_path / "looks.json").read_bytes() == before


def test_changed_looks_are_refused(tmp_path, cache):
    carry_out(tmp_path, TEXT, max_seeds=2)
    content = json.loads((tmp_path / "looks.json").read_text())
    content["looks"][0]["spent"] = 0.01
    (tmp_path / "looks.json").write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"looks.json: was changed after it was written"):
        carry_out(tmp_path, TEXT)


def test_looks_that_spent_the_error_otherwise_are_not_continued(tmp_path, cache):
    carry_out(tmp_path, TEXT, max_seeds=2)
    path = tmp_path / "looks.json"
    content = json.loads(path.read_text()) | {"format": 1}
    content["digest"] = content_digest(content)
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match=r"was written by another version of mmbench; remove it to begin"):
        carry_out(tmp_path, TEXT)


def test_asked_for_beside_the_protocol(tmp_path, cache):
    summary = run(
        parse_protocol(PROTOCOL), results=tmp_path, executor=Inline(), jobs=1, device="cpu",
        until="decided", max_seeds=3,
    )  # fmt: skip
    assert summary.looks.schedule == [3]
    with pytest.raises(UserError, match="remove subsets"):
        run(parse_protocol(PROTOCOL + "subsets: 2\n"), results=tmp_path / "b", until="decided")


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("{until: decided, first: 9, most: 4}", "seeds.first: must not be above most, 4"),
        ("{until: decided, frist: 3}", "seeds.frist: unknown key; did you mean 'first'?"),
        ("{until: never}", "seeds.until"),
        ("3\nsubsets: 0", "subsets"),
        ("{until: decided}\nsubsets: 2", "subsets: seeds until decided need a labelled subset each"),
        ("many", "seeds"),
        ("0", "seeds"),
        ("true", "seeds"),
    ],
)
def test_a_wrong_design_is_one_line(seeds, message):
    with pytest.raises(ProtocolError) as caught:
        parse_protocol(PROTOCOL + f"seeds: {seeds}\n")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
