"""What the project's own files say of each other: versions, hooks, workflows, the release check."""

import re
import runpy
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def workflow(name):
    return yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / ".github").rglob("*.yml")]
    files += [ROOT / ".pre-commit-config.yaml", ROOT / ".devcontainer/devcontainer.json"]
    for path in files:
        text = path.read_text(encoding="utf-8")
        for names in re.findall(
            r"(?:`|run: |entry: |^    |\")make ((?:[a-z][\w-]*)(?: [a-z][\w-]*)*)", text, re.M
        ):
            for name in names.split():
                assert name in targets, f"{path.name}: make {name}"


def test_the_versions_that_are_promised_are_tested():
    matrix = workflow("ci.yml")["jobs"]["quick"]["strategy"]["matrix"]
    promised = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d", c)}
    assert promised <= set(matrix["python"])
    assert PROJECT["requires-python"] == f">={min(promised, key=lambda v: int(v[2:]))}"


def test_ci_calls_the_script_of_the_repository():
    steps = workflow("ci.yml")["jobs"]["whole"]["steps"]
    assert any(step.get("run") == "bash .ci/run" for step in steps)
    assert "make test" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_the_lock_satisfies_what_is_required():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    locked = {}
    for line in (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, _, version = line.partition(" ;")[0].partition("==")
            locked.setdefault(canonicalize_name(name), []).append(version.strip())
    needed = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    for requirement in map(Requirement, needed):
        versions = locked.get(canonicalize_name(requirement.name))
        assert versions, f"{requirement.name} is not locked; run make lock"
        assert all(requirement.specifier.contains(version) for version in versions)


@pytest.mark.parametrize(
    ("tag", "heading", "message"),
    [
        ("v0.1.0", "## 0.1.0 (2026-12-01)", None),
        ("v0.2.0", "## 0.1.0 (2026-12-01)", "the tag is v0.2.0, but pyproject.toml has version 0.1.0"),
        ("v0.1.0", "## 0.1.0 (unreleased)", "put the date"),
        ("v0.1.0", "## 0.0.9 (2026-12-01)", "has no section 0.1.0"),
    ],
)
def test_a_tag_is_released_only_with_its_version_and_its_changelog(tmp_path, tag, heading, message):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    version = PROJECT["version"]
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading.replace('0.1.0', version)}\n")
    check = runpy.run_path(str(ROOT / ".ci/release.py"))["faults"]
    found = check(tag.replace("0.1.0", version), tmp_path)
    assert not found if message is None else message.replace("0.1.0", version) in found[0]
