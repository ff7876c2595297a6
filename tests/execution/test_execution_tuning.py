"""Tuning: trials are runs like others, chosen on few validation cases and on nothing else."""

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest

from mmbench.analysis.analysis import analyse
from mmbench.data.subsets import validation_rows
from mmbench.errors import ProtocolError, UserError
from mmbench.execution.devices import place
from mmbench.planning.plan import make_plan
from mmbench.planning.tuning import WAVE, searches
from mmbench.protocol.loading import parse_protocol
from mmbench.protocol.tuning import LEARNING_RATE, Trial
from mmbench.protocol.vocabulary import Task
from mmbench.running.tasks import Followed, Options
from mmbench.running.tuning import carry_out_tuning
from mmbench.store.completion import completion
from mmbench.store.store import VALIDATION, ResultStore
from mmbench.store.tuned import Tuned
from tests.execution.inline import Inline, carry_out, counts

PROTOCOL = """
name: tuned
sources:
  classification:
    {dataset: phantom:paediatric_ap, cases: 100, split: {train: 50, validation: 30, test: 20}}
  segmentation: {dataset: phantom:adult_pa, cases: 60, split: {train: 30, validation: 10, test: 20}}
budgets: {pairs: [{classification: 10, segmentation: 4}]}
methods: [umtl, {method: enc, tune: false}, {method: fixmatch, hyperparameters: {confidence: 0.8}}]
trivial_baselines: [majority]
backbone: {name: paper_unet, width: 0.25, depth: 3}
image_size: 32
tune: {trials: 6}
training: {steps: 8, batch_size: 4, validations: 4, optimizer: {name: adam, learning_rate: 0.01}}
"""
TRIALS = 2 * 6


def changed(old, new):
    assert old in PROTOCOL
    return PROTOCOL.replace(old, new)


def tuned_of(folder):
    return [Tuned.model_validate(one) for one in ResultStore(folder).load_plan().report["tuning"]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache_folder):
    """A finished protocol: 12 trials, then umtl, enc, fixmatch and majority."""
    folder = tmp_path_factory.mktemp("tuning") / "results"
    assert counts(carry_out(folder, PROTOCOL)) == (TRIALS + 4, 6, 6)
    return folder


@pytest.fixture
def results(finished, tmp_path, cache):
    """A copy of it that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


def test_every_row_has_the_same_trials_and_the_best_values_are_used(results):
    found, plan = tuned_of(results), ResultStore(results).load_plan()
    assert [(one.row, len(one.trials)) for one in found] == [("umtl", 6), ("fixmatch", 6)]
    for one in found:
        whole = [trial for trial in one.trials if trial.state == "complete"]
        assert one.best.score == max(trial.score for trial in whole)
        (run,) = (run for run in plan.runs if run.label == one.row)
        assert run.tuned
        assert run.trial is None
        assert run.training.optimizer.learning_rate == one.best.values[LEARNING_RATE]
        assert {name: run.hyperparameters[name] for name in one.best.values if name != LEARNING_RATE} == {
            name: value for name, value in one.best.values.items() if name != LEARNING_RATE
        }
    umtl, fixmatch = found
    assert umtl.trials[0].values == {"dice_weight": 5.0, LEARNING_RATE: 0.01}
    assert "confidence" not in fixmatch.trials[0].values, "what the protocol says is not tuned"
    (enc,) = (run for run in plan.runs if run.label == "enc")
    assert not enc.tuned
    for trial in umtl.trials:
        assert 0.5 <= trial.values["dice_weight"] <= 50
        assert 0.001 <= trial.values[LEARNING_RATE] <= 0.1


def test_what_is_there_is_not_done_again_and_status_counts_it(results):
    assert counts(carry_out(results, PROTOCOL)) == (0, 0, 0)
    found = completion(results)
    assert len(found.runs) == 4
    assert found.not_in_protocol == 0
    before = [one.best.values for one in tuned_of(results)]
    more = carry_out(results, changed("trials: 6", "trials: 8"))
    others = sum(one.best.values != values for one, values in zip(tuned_of(results), before, strict=True))
    assert counts(more) == (2 * 2 + others, 2 * others, 2 * others)


def test_no_test_case_is_predicted_or_known(results):
    """No trial has predictions, and other targets and other test cases leave every trial as it is."""
    store = ResultStore(results)
    trials = {trial.run for one in tuned_of(results) for trial in one.trials}
    assert len(trials) == TRIALS
    assert not trials & {store.predictions.content(id)["run"] for id in store.predictions.ids()}
    targets = "targets: {classification: [{dataset: phantom:hospital, cases: 20}]}\nbudgets"
    summary = carry_out(results, changed("budgets", targets))
    assert counts(summary) == (0, 4, 4), "every trial is there, and every run that it chose"


def test_trials_are_scored_on_no_more_cases_than_are_labelled(results):
    (umtl, _) = tuned_of(results)
    assert umtl.validation == {Task.CLASSIFICATION: 10, Task.SEGMENTATION: 4}
    dataset = make_plan(parse_protocol(PROTOCOL)).sources[Task.CLASSIFICATION]
    rows = validation_rows(dataset, Task.CLASSIFICATION, 10, seed=0, subset=1)
    everything = dataset.rows("validation", Task.CLASSIFICATION)
    assert len(rows) == 10
    assert set(rows) < set(everything)
    share = dataset.cases["label"].iloc[everything].mean()
    assert abs(dataset.cases["label"].iloc[rows].sum() - 10 * share) < 1
    (all_of_them,) = {
        one.validation[Task.CLASSIFICATION]
        for one in searches(make_plan(parse_protocol(changed("trials: 6", "validation: all"))))
    }
    assert all_of_them == 30


def test_the_report_says_what_was_chosen_and_gained(results):
    found = analyse(results)
    assert found is not None
    umtl, fixmatch = found.tuning
    (tuned, _) = tuned_of(results)
    assert umtl.trials == fixmatch.trials == 6
    assert umtl.gain == pytest.approx(tuned.best.score - tuned.trials[0].score)
    assert umtl.expected[0] == umtl.defaults
    assert umtl.defaults <= umtl.expected[1] <= umtl.score
    assert math.isnan(umtl.expected[2]), "16 of 6 trials cannot be told"


def test_trials_and_their_ends_depend_on_earlier_waves_alone(results, tmp_path):
    """Half of the trials, then the others: the same trainings as all at once."""
    again = tmp_path / "again"
    carry_out(again, changed("trials: 6", f"trials: {WAVE}"))
    carry_out(again, PROTOCOL)
    assert [
        [(trial.run, trial.values, trial.state, trial.score) for trial in one.trials]
        for one in tuned_of(results)
    ] == [
        [(trial.run, trial.values, trial.state, trial.score) for trial in one.trials]
        for one in tuned_of(again)
    ]
    first, *later = tuned_of(again)[0].trials[WAVE - 1 :]
    store = ResultStore(again)
    assert store.runs.read(first.run).run.trial.floors == []
    assert all(len(store.runs.read(trial.run).run.trial.floors) == 3 for trial in later)


def test_a_trial_ends_where_optunas_median_pruner_ends_it():
    random = np.random.default_rng(0)
    for _ in range(50):
        study = optuna.create_study(
            direction="maximize", pruner=optuna.pruners.MedianPruner(n_startup_trials=WAVE)
        )
        others = random.random((WAVE, 6))
        for course in others:
            trial = study.ask()
            for step, score in enumerate(course, 1):
                trial.report(score, step)
            study.tell(trial, course[-1])
        floors: list[float | None] = [float(np.median(others[:, step])) for step in range(5)]
        own, ours = random.random(6), Trial(number=9, validation={}, floors=floors)
        trial, ended = study.ask(), []
        for step, score in enumerate(own[:5], 1):
            trial.report(score, step)
            ended.append(trial.should_prune())
        assert [ours.ended(list(own[:count])) for count in range(1, 6)] == ended
        assert not ours.ended(list(own)), "the last validation ends it anyway"


def test_a_failing_trial_is_counted_and_never_chosen(tmp_path, cache):
    plugin, folder = tmp_path / "fails.py", tmp_path / "results"
    plugin.write_text(
        "from typing import Annotated\n"
        "from mmbench.baselines.umtl import UMTL\n"
        "from mmbench.methods import Range, register_method\n\n"
        '@register_method("fails")\n'
        "class Fails(UMTL):\n"
        '    """Fails with most values."""\n'
        "    class Hyperparameters(UMTL.Hyperparameters):\n"
        '        """One."""\n'
        "        level: Annotated[float, Range(0, 1)] = 0.0\n"
        "    def losses(self, batch):\n"
        "        if self.hyperparameters.level > 0.2:\n"
        '            raise RuntimeError("too much")\n'
        "        terms = super().losses(batch)\n"
        '        return terms | {"more": self.hyperparameters.level * sum(terms.values())}\n'
    )
    text = changed("[umtl, {method: enc, tune: false}, {method", "[fails, {tune: false, method")
    summary = carry_out(folder, text, plugins=(str(plugin),))
    (one,) = tuned_of(folder)
    states = [trial.state for trial in one.trials]
    assert len(states) == 6
    assert "failed" in states
    assert summary.failed.keys() == {trial.run for trial in one.trials if trial.state == "failed"}
    assert one.best.values["level"] <= 0.2
    assert summary.exit_code == 1
    again = carry_out(folder, text, plugins=(str(plugin),), retry_failed=True)
    assert counts(again) == (0, 0, 0)
    assert len(again.failed) == states.count("failed")


def test_trials_stop_where_their_time_is_over(tmp_path, cache):
    carry_out(tmp_path / "results", changed("trials: 6", "trials: 6, minutes: 0.000001"))
    assert [len(one.trials) for one in tuned_of(tmp_path / "results")] == [WAVE, WAVE]


def test_a_part_of_a_finished_protocol_leaves_the_other_rows_as_they_are(results):
    before = ResultStore(results).load_plan()
    assert counts(carry_out(results, PROTOCOL, only="method=umtl")) == (0, 0, 0)
    after = ResultStore(results).load_plan()
    assert [run.id for run in after.runs] == [run.id for run in before.runs]
    assert after.report["tuning"] == before.report["tuning"]
    (tuned,) = (run.id for run in after.runs if run.label == "fixmatch")
    assert counts(carry_out(results, PROTOCOL, only=f"id={tuned}", force="scores"))[2] == 2


def test_more_seeds_repeat_no_trial_and_no_run(results):
    more = carry_out(results, PROTOCOL + "seeds: 2\n")
    assert counts(more) == (3 + 1, 6, 6), "a second seed of each row"


def test_a_finished_folder_stays_as_it_is_while_more_trials_are_made(results, monkeypatch):
    def stop(stage, *rest):
        return None, Followed(stopped=True)

    monkeypatch.setattr("mmbench.running.tuning.carry_out", stop)
    text = changed("trials: 6", "trials: 8")
    plan = make_plan(parse_protocol(text))
    stage, _, _ = carry_out_tuning(
        plan, ResultStore(results), place("cpu", 1), Options(), Inline(), lambda event: None
    )
    known = {run.id for run in ResultStore(results).load_plan().runs}
    assert known <= {run.id for run in stage.runs}


def test_force_makes_trials_again(results):
    assert counts(carry_out(results, PROTOCOL, force="run")) == (TRIALS + 4, 6, 6)


def test_a_trial_is_scored_with_the_weights_that_would_be_evaluated(tmp_path, cache):
    text = changed("image_size", "selection: {rule: source_val, every: 2}\nimage_size")
    carry_out(tmp_path / "results", text)
    store, chosen = ResultStore(tmp_path / "results"), []
    for one in tuned_of(tmp_path / "results"):
        for trial in one.trials:
            if trial.state == "complete":
                chosen.append(store.runs.read(trial.run).selected_step)
                steps = store.runs.table(trial.run, VALIDATION).to_pandas()["step"].tolist()
                assert trial.score == pytest.approx(trial.course[steps.index(chosen[-1])])
    assert set(chosen) - {8}, "not only the last weights were chosen"


def test_rows_that_are_trained_alike_share_their_trials(tmp_path, cache):
    rows = "[umtl, {method: enc, tune: false}, {method: fixmatch, hyperparameters: {confidence: 0.8}}]"
    text = changed(rows, "[umtl, bn_adapt]").replace("depth: 3", "depth: 3, norm: batch")
    summary = carry_out(tmp_path / "results", text)
    umtl, adapted = tuned_of(tmp_path / "results")
    assert summary.trained == 6 + 2, "umtl's trials, umtl and majority"
    assert [one.score for one in umtl.trials] == [one.score for one in adapted.trials]


def test_trainings_that_stop_early_are_trials_too(tmp_path, cache):
    text = changed("validations: 4", "validations: 4, stop: {patience: 1, min_gain: 0.9}")
    carry_out(tmp_path / "results", text)
    assert [len(one.trials) for one in tuned_of(tmp_path / "results")] == [6, 6]


def test_the_documented_pair_of_a_tuned_row_and_its_defaults(cache):
    text = changed("{method: enc, tune: false}", "{method: umtl, name: umtl defaults, tune: false}")
    plan = make_plan(parse_protocol(text))
    found = {run.label: run for run in plan.runs if run.method == "umtl"}
    assert found["umtl"].id != found["umtl defaults"].id
    assert [one.row for one in searches(plan)] == ["umtl", "fixmatch"]


def test_only_tunes_what_it_names(tmp_path, cache):
    found = carry_out(tmp_path / "results", PROTOCOL, only="method=umtl")
    assert counts(found) == (6 + 1, 2, 2)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("validation: 10, test: 20", "validation: 0, test: 30", "no validation cases to score trials on"),
        ("validations: 4", "validations: 0", "tuning needs at least 1 validation"),
        ("image_size", "selection: oracle\nimage_size", "tuning may see no target"),
    ],
)
def test_tuning_without_what_it_needs_is_refused(old, new, expected, cache):
    with pytest.raises((ProtocolError, UserError), match=expected):
        searches(make_plan(parse_protocol(changed(old, new))))


def test_without_optuna_there_is_one_line(monkeypatch, tmp_path, cache):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"install it with: pip install 'mmbench\[tune\]'"):
        carry_out(tmp_path / "results", PROTOCOL)
