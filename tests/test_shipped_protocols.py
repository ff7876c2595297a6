"""Every shipped protocol, end to end on tiny settings: every run trained, scored, recorded, tabled."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_model

import mmbench
from mmbench.data.catalogue import load_dataset
from mmbench.data.phantom import generate
from mmbench.errors import ProtocolError
from mmbench.evaluation.prediction import predict
from mmbench.methods import Problem
from mmbench.planning.methods import with_families
from mmbench.planning.plan import make_plan
from mmbench.plugins.discovery import discover
from mmbench.protocol.loading import load_protocol, parse_protocol, shipped_protocols
from mmbench.protocol.runs import expand
from mmbench.protocol.schema import MethodEntry, Protocol
from mmbench.protocol.specs import DomainDigest
from mmbench.protocol.vocabulary import Task
from mmbench.store.store import ResultStore

SIDE = 32
CASES = 24


def tiny(name):
    """The protocol with its methods, roles and rules, at a size that trains in seconds."""
    value = load_protocol(name).model_dump(mode="json")
    value.update(image_size=SIDE, seeds=1)
    value["backbone"]["width"] = 0.25
    for entry in value["methods"]:
        if entry["backbone"] is not None:
            entry["backbone"]["width"] = 0.125
    value["training"].update(steps=2, batch_size=2)
    value["selection"]["every"] = 1
    for role in (value["sources"], value["targets"]):
        for choices in filter(None, role.values()):
            for choice in choices if isinstance(choices, list) else [choices]:
                choice["split"] = None
                choice["class_counts"] = None
                choice["cases"] = 2 * CASES if choice["dataset"].startswith("phantom:") else None
    pairs = value["budgets"]["pairs"]
    if pairs is None:
        value["budgets"]["grid"] = {"classification": [4, "full"], "segmentation": [2, "full"]}
    else:
        small = {"classification": 6, "segmentation": 2}
        tasks = [task for task in small if pairs[0][task] is not None]
        value["budgets"]["pairs"] = [{task: small[task] for task in tasks}] + [
            pair for pair in pairs if pair[tasks[0]] == "full"
        ]
    return Protocol.model_validate(value)


def pictures(domain):
    made = generate(domain, {}, cases=CASES, image_size=64)
    return list(zip(made.images, made.masks, strict=True))


def save(path, levels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(levels).save(path)


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """The five real datasets' layouts, filled with phantoms."""
    root = tmp_path_factory.mktemp("data")
    for number, (image, _) in enumerate(pictures("paediatric_ap")):
        part = "test" if number % 3 == 0 else "train"
        kind = "virus" if number % 4 else "bacteria"
        name = f"NORMAL/IM-{number:04d}-0001" if number % 2 else f"PNEUMONIA/person{number}_{kind}_{number}"
        save(root / "chest_xray" / part / f"{name}.jpeg", image)
    lines = ["Image Index,Finding Labels,Follow-up #,Patient ID,OriginalImage[Width,Height]"]
    for number, (image, _) in enumerate(pictures("hospital")):
        save(root / "nih" / "images" / f"{number:08d}_000.png", image)
        lines.append(f"{number:08d}_000.png,{('No Finding', 'Pneumonia')[number % 2]},0,{number},64,64")
    (root / "nih" / "Data_Entry_2017.csv").write_text("\n".join(lines))
    for number, (image, mask) in enumerate(pictures("adult_pa")):
        stem = f"CHNCXR_{number:04d}_{number % 2}"  # a finding that is none of any protocol's classes
        save(root / "shenzhen" / "CXR_png" / f"{stem}.png", image)
        save(root / "shenzhen" / "mask" / f"{stem}_mask.png", mask * 255)
        save(root / "jsrt" / f"JPCNN{number:03d}.png", np.ascontiguousarray(image[:, ::-1]))
        for side, keep in (("left lung", slice(32, None)), ("right lung", slice(None, 32))):
            lung = np.zeros_like(mask)
            lung[:, keep] = mask[:, ::-1][:, keep] * 255
            path = root / "jsrt" / "masks" / side / f"JPCNN{number:03d}.gif"
            save(path, lung)
    for number, (image, mask) in enumerate(pictures("county")):
        save(root / "montgomery" / "CXR_png" / f"MCUCXR_{number:04d}_0.png", image)
        for side, keep in (("leftMask", slice(32, None)), ("rightMask", slice(None, 32))):
            lung = np.zeros_like(mask)
            lung[:, keep] = mask[:, keep] * 255
            save(root / "montgomery" / "ManualMask" / side / f"MCUCXR_{number:04d}_0.png", lung)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped_protocols()))
def test_a_shipped_protocol_runs_to_its_table(name, layouts, tmp_path):
    protocol = tiny(name)
    summary = mmbench.run(protocol, results=tmp_path / "results", data_root=layouts, jobs=1)
    assert summary.failed == {}
    assert summary.exit_code == 0

    cases = mmbench.load_scores(tmp_path / "results")
    entries = with_families(protocol, discover()).methods
    rows = {entry.label for entry in entries} | set(protocol.trivial_baselines)
    without = {"mean_mask"} if protocol.sources.segmentation is None else set()
    if protocol.sources.classification is None:
        without = {"majority", "positive", "prevalence"}
    assert set(cases["row"]) == rows - without
    for task in protocol.tasks:
        expected = {choice.name or choice.dataset.split(":")[-1] for choice in protocol.targets.of(task)}
        source = protocol.sources.of(task)
        expected.add(source.name or source.dataset.split(":")[-1])
        assert set(cases.loc[cases["task"] == task.value, "domain"]) == expected
    if protocol.sources.segmentation is not None:
        assert cases.loc[cases["task"] == "segmentation", "dice"].between(0, 1).all()
    for column in [column for column in map(str, cases) if column.startswith("probability")]:
        assert cases.loc[cases["task"] == "classification", column].between(0, 1).all()
    assert all(path.is_file() for path in summary.paths)

    splits = pd.read_csv(tmp_path / "results" / "splits.csv")
    train = splits[splits["part"] == "train"]
    for _, ranks in train.dropna().groupby("task")["rank_subset_0"]:
        assert sorted(ranks) == list(range(1, len(ranks) + 1))
    assert splits.loc[splits["part"] != "train", "rank_subset_0"].isna().all()

    again = mmbench.run(protocol, results=tmp_path / "results", data_root=layouts, jobs=1)
    assert again.done == ()
    assert set(again.cached) == set(summary.done)


def test_the_paper_protocol_has_the_publications_36_rows():
    protocol = load_protocol("paper")
    registry = discover()
    domains = {task: [DomainDigest(domain=task.value, data="", split="")] for task in Task}
    rows = [(entry, registry.resolve(entry)) for entry in protocol.methods]
    runs = expand(protocol, rows, domains)
    found = Counter(run.label for run in runs if run.seed == 0)
    assert found == {"unet": 3, "enc": 3, "encssl": 3, "umtl": 9, "umtls": 9, "multimix": 9}
    assert sum(found.values()) == 36
    assert len(runs) == 36 * 5
    assert (protocol.image_size, protocol.backbone.width) == (256, 1.0)
    assert protocol.training.optimizer.learning_rate == 1e-4


def test_the_bridge_ablation_is_every_combination():
    entries = load_protocol("ablation_bridge").methods
    pairs = {(e.hyperparameters["bridge"], e.hyperparameters["segmentation_kl"]) for e in entries}
    assert len(entries) == len(pairs) == 15


def test_a_method_that_asks_to_be_skipped_is_left_out_with_its_reason(tmp_path):
    plugin = tmp_path / "only_large.py"
    plugin.write_text(
        "from mmbench.baselines.enc import Enc\n"
        "from mmbench.methods import register_method\n"
        "@register_method('only_large')\n"
        "class OnlyLarge(Enc):\n"
        "    @classmethod\n"
        "    def skip(cls, problem):\n"
        "        return 'needs 128 pixels' if problem.image_size < 128 else None\n"
    )
    protocol = tiny("quickstart")
    entries = [*protocol.methods, MethodEntry(method="only_large")]
    plan = make_plan(protocol.model_copy(update={"methods": entries}), plugins=[plugin])
    assert "only_large is skipped: needs 128 pixels" in plan.notes
    assert "only_large" not in {run.label for run in plan.runs}


def test_an_image_too_small_for_the_network_is_told_before_anything_runs():
    text = (
        "image_size: 16\nname: x\nsources: {classification: kermany}\n"
        "budgets: {pairs: [{classification: 4}]}\n"
    )
    with pytest.raises(ProtocolError, match=r"^p:1: image_size: .*at least 32 pixels, not 16"):
        parse_protocol(text + "methods: [enc]\n", "p")


def quick(**changes):
    value = tiny("quickstart").model_dump(mode="json")
    return Protocol.model_validate({**value, "methods": ["multimix"], "trivial_baselines": [], **changes})


@pytest.mark.parametrize("rule", ["source_val", "oracle"])
def test_only_the_oracle_looks_at_the_targets(rule, tmp_path):
    protocol = quick(selection={"rule": rule, "every": 1})
    summary = mmbench.run(protocol, results=tmp_path / "r", jobs=2)
    assert summary.failed == {}
    store = ResultStore(tmp_path / "r")
    for id in summary.done:
        selection = store.runs.table(id, "selection.parquet").to_pandas()
        looked_at = {name for name in selection.columns if name != "step"}
        validation = store.runs.table(id, "validation.parquet").to_pandas()
        assert set(validation.columns) == {"step", "auroc", "dice"}
        sources = {"classification paediatric_ap", "segmentation adult_pa"}
        targets = {"classification hospital", "segmentation county"}
        assert looked_at == (sources if rule == "source_val" else sources | targets)
        assert store.runs.read(id).selected_step in (1, 2)
    notes = " ".join(summary.report.main.notes)
    assert ("upper bound" in notes) == (rule == "oracle")


def test_stored_weights_and_masks_give_the_recorded_scores_again(tmp_path):
    protocol = quick(keep={"probabilities": 16})
    summary = mmbench.run(protocol, results=tmp_path / "r", jobs=2)
    scores = mmbench.load_scores(tmp_path / "r")
    masks = mmbench.load_predictions(tmp_path / "r", task="segmentation")
    for id in summary.done:
        run = ResultStore(tmp_path / "r").runs.read(id).run
        method = discover().get("multimix").cls()
        method.build(Problem(frozenset(run.budgets), run.backbone, run.image_size))
        load_model(method.network, str(tmp_path / "r" / "runs" / id / "network.safetensors"))
        for choice in (protocol.sources.segmentation, *protocol.targets.segmentation):
            dataset = load_dataset(choice, image_size=SIDE, seed=protocol.seed)
            part = "test" if choice is protocol.sources.segmentation else choice.part
            rows = dataset.rows(part, Task.SEGMENTATION)
            of_domain = (scores["run"] == id) & (scores["task"] == "segmentation")
            expected = scores[of_domain & (scores["domain"] == dataset.domain)]
            own = masks[(masks["run"] == id) & (masks["domain"] == dataset.domain)]
            images, device = dataset.images[rows], torch.device("cpu")
            again = predict(method, images, Task.SEGMENTATION, device=device)[:, 0] >= 0.5
            assert dataset.masks is not None
            truth = dataset.masks[rows][:, 0] > 0
            np.testing.assert_array_equal(np.stack(list(own["truth"])), truth)
            for found in (np.stack(list(own["mask"])), again):
                dice = 2 * (found & truth).sum((1, 2)) / (found.sum((1, 2)) + truth.sum((1, 2)))
                np.testing.assert_allclose(dice, expected["dice"], rtol=1e-12)


def test_a_run_trains_in_bf16_close_to_float32(tmp_path):
    scores = {}
    for precision in ("float32", "bf16"):
        training = {**quick().training.model_dump(mode="json"), "precision": precision, "steps": 4}
        summary = mmbench.run(quick(training=training), results=tmp_path / precision, jobs=2)
        assert summary.failed == {}
        store = ResultStore(tmp_path / precision)
        scores[precision] = [
            store.runs.table(run.id, "losses.parquet").to_pandas() for run in store.load_plan().runs
        ]
    for exact, rounded in zip(scores["float32"], scores["bf16"], strict=True):
        assert not exact.equals(rounded)
        np.testing.assert_allclose(exact["dice"], rounded["dice"], rtol=0.02)


def test_counts_in_the_docs_are_those_of_the_plan():
    """What README and docs/architecture.md say that cross_domain comes to, and a further target of it."""
    plan = make_plan(load_protocol("cross_domain"))
    scores = sum(len(plan.scores(run)) for run in plan.runs)
    segmenting = sum(Task.SEGMENTATION in run.budgets for run in plan.runs)
    whole = f"{len(plan.runs)} trained, {scores} predicted, {scores} scored"
    further = f"0 trained, {segmenting} predicted, {segmenting} scored"
    root = Path(__file__).parents[1]
    architecture = (root / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert whole in architecture
    assert further in architecture
    assert further in (root / "README.md").read_text(encoding="utf-8")
