"""Every kind of mistake in a protocol file, and the one line that reports it."""

import pytest

from mmbench.errors import ProtocolError
from mmbench.protocol.loading import load_protocol, parse_protocol

TEXT = """\
name: demo
sources:
  classification: kermany
  segmentation: {dataset: "phantom:adult_pa", cases: 20}
targets:
  classification: nih
  segmentation:
    - montgomery
    - dataset: phantom:adult_pa
      sweep: {dial: gain, values: [1, 0.5]}
budgets:
  pairs:
    - {classification: 100, segmentation: 10}
methods: [umtl, {method: multimix, name: MM}]
training:
  steps: 1e3
  optimizer: {learning_rate: 1e-3}
"""
NAME = "a name (a letter or digit, then at most 79 letters, digits and . _ -)"
TOP = (
    "acknowledged_leaks, backbone, budgets, classes, description, evaluation, image_size, keep, methods, "
    "name, plugins, recipe, reference, seed, seeds, selection, sources, statistics, structures, subsets, "
    "targets, training, trivial_baselines, tune"
)
MISTAKES = [
    # keys
    ("  steps:", "  stepz:", "f.yaml:16: training.stepz: unknown key; did you mean 'steps'?"),
    ("sources:", "sorces:", "f.yaml:2: sorces: unknown key; did you mean 'sources'?"),
    ("training:", "Training:", "f.yaml:15: Training: unknown key; did you mean 'training'?"),
    ("name: demo", "name: demo\nzzz: 1", f"f.yaml:2: zzz: unknown key; valid: {TOP}"),
    (
        "{learning_rate: 1e-3}",
        "{lerning_rate: 1e-3}",
        "f.yaml:17: training.optimizer.lerning_rate: unknown key; did you mean 'learning_rate'?",
    ),
    (
        "values: [1, 0.5]",
        "value: [1]",
        "f.yaml:10: targets.segmentation.1.sweep.value: unknown key; did you mean 'values'?",
    ),
    (
        "name: MM",
        "nam: MM",
        "f.yaml:14: methods.1.nam: unknown key; did you mean 'name'?",
    ),
    (
        "name: demo",
        "name: demo\ndraws: 3",
        "f.yaml:2: draws: this key is now called 'subsets'; rename it",
    ),
    (
        "name: demo",
        "name: demo\nfloors: [majority]",
        "f.yaml:2: floors: this key is now called 'trivial_baselines'; rename it",
    ),
    (
        "name: demo",
        "name: demo\nkeep: {masks: true}",
        "f.yaml:2: keep.masks: masks are always kept; write keep: {probabilities: true} to keep each pixel's "
        "probability",
    ),
    ("name: demo\n", "", f"f.yaml:1: name: the key is missing; give {NAME}"),
    (
        "{classification: 100, segmentation: 10}",
        "{classificaton: 100, segmentation: 10}",
        "f.yaml:13: budgets.pairs.0.classificaton: unknown key; did you mean 'classification'?",
    ),
    ("name: demo", "name: demo\nname: again", "f.yaml:2: name: the key is given twice (first on line 1)"),
    (
        "cases: 20}",
        "cases: 20, cases: 30}",
        "f.yaml:4: sources.segmentation.cases: the key is given twice (first on line 4)",
    ),
    (
        "name: demo",
        "name: demo\n5: 1",
        "f.yaml:2: a key must be text, not 5; put it in quotes if it is a name",
    ),
    (
        "name: demo",
        "name: demo\n? [a]\n: 1",
        "f.yaml:2: a key must be text, not a list or mapping; put it in quotes if it is a name",
    ),
    # numbers
    (
        "classification: 100",
        "classification: ful",
        "f.yaml:13: budgets.pairs.0.classification: 'ful' is not a whole number >= 1 or 'full'",
    ),
    (
        "classification: 100",
        "classification: 0",
        "f.yaml:13: budgets.pairs.0.classification: 0 is not a whole number >= 1 or 'full'",
    ),
    (
        "classification: 100",
        "classification: true",
        "f.yaml:13: budgets.pairs.0.classification: true is not a whole number >= 1 or 'full'",
    ),
    ("steps: 1e3", "steps: 1.5", "f.yaml:16: training.steps: 1.5 is not a whole number >= 1"),
    ("steps: 1e3", "steps: yes", "f.yaml:16: training.steps: 'yes' is not a whole number >= 1"),
    ("steps: 1e3", "steps: true", "f.yaml:16: training.steps: true is not a whole number >= 1"),
    ("steps: 1e3", "steps:", "f.yaml:16: training.steps: an empty value is not a whole number >= 1"),
    ("steps: 1e3", "steps: [1]", "f.yaml:16: training.steps: a list of 1 is not a whole number >= 1"),
    (
        "steps: 1e3",
        "steps: 99999999999",
        "f.yaml:16: training.steps: 99999999999 is not a whole number >= 1 and <= 1000000000",
    ),
    ("steps: 1e3", "steps: .nan", "f.yaml:16: training.steps: .nan is not a finite number"),
    ("1e-3", "-.inf", "f.yaml:17: training.optimizer.learning_rate: -.inf is not a finite number"),
    ("1e-3", "1e999", "f.yaml:17: training.optimizer.learning_rate: 1e999 is not a finite number"),
    (
        "1e-3",
        "'nan'",
        "f.yaml:17: training.optimizer.learning_rate: 'nan' is not a number > 0 and <= 100",
    ),
    ("1e-3", "0", "f.yaml:17: training.optimizer.learning_rate: 0 is not a number > 0 and <= 100"),
    ("steps: 1e3", f"steps: {'9' * 40}", "f.yaml:16: training.steps: the number is too long"),
    ("name: demo", "name: demo\nseed: -1", "f.yaml:2: seed: -1 is not a whole number >= 0"),
    (
        "name: demo",
        "name: demo\nimage_size: 8",
        "f.yaml:2: image_size: 8 is not a whole number >= 16 and <= 2048",
    ),
    (
        "cases: 20",
        "split: {train: 0.5, validation: 0.1, test: 0.1}",
        "f.yaml:4: sources.segmentation.split: give three whole counts, or three fractions that sum to 1",
    ),
    # names
    ("name: demo", "name: a/b", f"f.yaml:1: name: 'a/b' is not {NAME}"),
    ("name: demo", "name: 2020", f"f.yaml:1: name: 2020 is not {NAME}; put it in quotes if it is meant"),
    ("name: demo", "name: [a]", f"f.yaml:1: name: a list of 1 is not {NAME}"),
    (
        "optimizer: {learning_rate: 1e-3}",
        "optimizer: adan",
        "f.yaml:17: training.optimizer: 'adan' is not 'adam', 'adamw' or 'sgd'; did you mean 'adam'?",
    ),
    (
        "name: demo",
        "name: demo\nselection: best",
        "f.yaml:2: selection: 'best' is not 'last', 'source_val' or 'oracle'",
    ),
    (
        "name: demo",
        "name: demo\nbackbone: smp:unet",
        "f.yaml:2: backbone: 'smp:unet' is not 'paper_unet', 'smp:<decoder>/<timm encoder>' or "
        "the name of a plugin's backbone",
    ),
    (
        "name: demo",
        "name: demo\nkeep: [weight]",
        "f.yaml:2: keep: a list of 1 is not a mapping with keys such as weights, probabilities",
    ),
    (
        "name: demo",
        "name: demo\nreference: multimx",
        "f.yaml:2: reference: 'multimx' is not among the methods; valid: MM, umtl",
    ),
    (
        "[umtl, ",
        "[umtl, umtl, ",
        "f.yaml:14: methods.1: 'umtl' is listed twice; give one of them another name",
    ),
    ("[umtl, ", "['', ", "f.yaml:14: methods.0: '' is not text of 1 to 80 characters"),
    (
        "[umtl, ",
        "[3, ",
        "f.yaml:14: methods.0: 3 is not text or a mapping with keys such as method, name, hyperparameters, "
        "backbone",
    ),
    (
        "dial: gain",
        "dial: 'ga|in'",
        "f.yaml:10: targets.segmentation.1.sweep: 'adult_pa ga|in=1' cannot be a domain's name; give the "
        "entry a short name",
    ),
    # shapes
    (
        "name: demo",
        "name: demo\nevaluation:",
        "f.yaml:2: evaluation: an empty value is not a mapping with keys such as class_threshold, "
        "mask_threshold, empty_distance, nsd_tolerance",
    ),
    (
        "name: demo",
        "name: demo\ntrivial_baselines: majority",
        "f.yaml:2: trivial_baselines: 'majority' is not a list",
    ),
    (
        "values: [1, 0.5]",
        "values: []",
        "f.yaml:10: targets.segmentation.1.sweep.values: an empty list is not a list of 1 to 100 entries",
    ),
    (
        "name: demo",
        "name: demo\nacknowledged_leaks: [[a]]",
        "f.yaml:2: acknowledged_leaks.0: a list of 1 is not a list of 2 entries",
    ),
    (
        "cases: 20",
        "dials: {gain: [1]}",
        "f.yaml:4: sources.segmentation.dials.gain: a list of 1 is not true or false or a whole number "
        "or a number or text",
    ),
    # roles
    (
        "  classification: nih",
        "  classification: kermany",
        "f.yaml:6: targets.classification: 'kermany' is the classification source and cannot be its "
        "target too",
    ),
    (
        "    - montgomery",
        "    - montgomery\n    - montgomery",
        "f.yaml:7: targets.segmentation: two domains are called 'montgomery'; give one of them a name",
    ),
    (
        '  segmentation: {dataset: "phantom:adult_pa", cases: 20}\n',
        "",
        "f.yaml:6: targets.segmentation: segmentation has targets but no source",
    ),
    (
        "{classification: 100, segmentation: 10}",
        "{classification: 100}",
        "f.yaml:11: budgets: no segmentation budget is named, but segmentation has a source",
    ),
    ("  pairs:", "  grid: {}\n  pairs:", "f.yaml:11: budgets: give either grid or pairs"),
    # several
    (
        "  steps: 1e3",
        "  steps: 0\n  batch_size: 0\n  stepz: 4",
        "f.yaml:18: training.stepz: unknown key; did you mean 'steps'? (and 2 more)",
    ),
    (
        "name: demo",
        "name: a/b\nseed: -1",
        f"f.yaml:1: name: 'a/b' is not {NAME} (and 1 more)",
    ),
]


def message(text: str) -> str:
    with pytest.raises(ProtocolError) as error:
        parse_protocol(text, "f.yaml")
    return str(error.value)


def test_the_text_that_the_mistakes_are_made_in_is_right():
    protocol = parse_protocol(TEXT)
    assert [target.name for target in protocol.targets.segmentation] == [
        None,
        "adult_pa gain=1",
        "adult_pa gain=0.5",
    ]
    assert protocol.targets.segmentation[2].dials == {"gain": 0.5}
    assert protocol.training.steps == 1000


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES)
def test_a_mistake_is_told_in_one_exact_line(old, new, expected):
    assert old in TEXT
    assert message(TEXT.replace(old, new, 1)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f.yaml: the file is empty; begin with 'name: …' and 'sources: …'"),
        ("# only a comment\n", "f.yaml: the file is empty; begin with 'name: …' and 'sources: …'"),
        ("- a\n", "f.yaml:1: a protocol must be a mapping of keys such as 'name: …'"),
        ("\njust text", "f.yaml:2: a protocol must be a mapping of keys such as 'name: …'"),
        ("name: a\n\tseed: 1", "f.yaml:2: a tab is not allowed here; indent with spaces"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: holds more than one YAML document; remove the '---' between them"),
        ("a: *x", "f.yaml:1: undefined alias 'x'; no anchor of that name is defined before it"),
        (
            "a: !!python/object/apply:os.system [x]",
            "the YAML tag !!python/object/apply:os.system is not allowed",
        ),
        ("a: !mine 3", "f.yaml:1: the YAML tag !mine is not allowed; give a plain value"),
        ("a: !!binary aGk=", "f.yaml:1: the YAML tag !!binary is not allowed; give a plain value"),
        ("a: !!int x", "f.yaml:1: a: 'x' cannot be read as int"),
        ("a: !!bool x", "f.yaml:1: a: 'x' cannot be read as bool"),
        ("a: &x [*x]", "nested too deeply, or an alias contains itself"),
        ("<<: 3", "f.yaml:1: '<<' merges mappings; give it an alias of one"),
        ("a: " + "[" * 40 + "]" * 40, "nested too deeply, or an alias contains itself"),
        ("a: " + "[" * 2_000, "not readable as YAML; is it nested too deeply?"),
        ("a: \x00", "f.yaml:1: holds a character that text files must not hold"),
        ("a: [1", "f.yaml:1: not valid YAML: "),
        ('a: "x', "f.yaml:1: not valid YAML: "),
        ("a: b: c", "f.yaml:1: not valid YAML: "),
    ],
)
def test_text_that_is_no_protocol(text, expected):
    found = message(text)
    assert found.startswith("f.yaml:")
    assert expected in found
    assert "\n" not in found


def test_an_alias_bomb_is_refused():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "the file's aliases expand to more than 100000 values; write them out" in message("\n".join(lines))


def test_files_that_cannot_be_read(tmp_path):
    def told(path) -> str:
        with pytest.raises(ProtocolError) as error:
            load_protocol(path)
        return str(error.value)

    large = tmp_path / "large.yaml"
    large.write_text("#" * 1_000_001)
    assert told(large) == f"{large}: 1000001 bytes is too large for a protocol (at most 1000000)"
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: a\ndescription: caf\xe9\n")
    assert told(latin) == f"{latin}:2: not UTF-8 text; save the file as UTF-8"
    missing = tmp_path / "missing.yaml"
    assert told(missing) == f"{missing}: no such file"
    assert told(tmp_path) == f"{tmp_path}: is a folder; name a protocol file in it"


def test_cases_and_class_counts_contradict():
    text = (
        "name: x\nsources:\n  classification:\n    dataset: kermany\n    cases: 9\n"
        "    class_counts: {normal: 1, pneumonia: 2}\n"
        "budgets: {pairs: [{classification: 4}]}\nmethods: [enc]\n"
    )
    with pytest.raises(ProtocolError) as caught:
        parse_protocol(text, "p.yaml")
    assert str(caught.value) == (
        "p.yaml:6: sources.classification.class_counts: give either cases or class_counts, not both"
    )
