"""What users read has one word for each thing (docs/glossary.md) and no phrase that is hard to follow."""

import ast
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from mmbench.cli.main import app

ROOT = Path(__file__).resolve().parents[1]

REPLACED = {
    "label draw": r"label draws?",
    "floor": r"floors?(?!\()",  # floor( is mathematics
    "a cell is one training": r"a cell is one training",
    "cells finished": r"cells finished",
    "chex": r"chex",
    "mcu": r"mcu",
    "nihx": r"nihx",
    "cell.json": r"cell\.json",
    "cells/": r"cells/",
}
"""Older words for what has another name now."""

UNCLEAR = {
    "the way back": r"the way back",
    "dearer": r"dearer",
    "are thin": r"are thin",
    "quick ways": r"quick ways",
    "as they lie": r"as they lie",
    "without leave": r"without leave",
    "mend": r"mend(?:s|ed|ing)?",
    "goes on from": r"goes on from",
    "the same command goes on": r"the same command goes on",
    "on the way": r"on the way",
    "hang on": r"hangs? on",
    "by turns": r"by turns",
    "set beside": r"sets? beside",
    "beside yours": r"beside yours",
}
"""Phrases that readers whose second language is English stumble over."""

EXPLAINED = {
    "docs/glossary.md": set(REPLACED),  # names the words that others replace
    "docs/results-format.md": {"cell.json", "cells/"},
    "docs/reliability.md": {"cell.json", "cells/"},
}
"""Where a replaced word may stand, since it is explained there."""

ALIASES = {"chex", "mcu", "nihx"}
"""Allowed in a paragraph that says that they are aliases."""

# A phrase may be broken by a line's end, a comment sign or the frame of a help text.
GAP = r"[\s#│]+"
PATTERNS = {
    phrase: re.compile(rf"(?<![\w-]){pattern.replace(' ', GAP)}(?:(?<!\w)|(?!\w))", re.IGNORECASE)
    for phrase, pattern in (REPLACED | UNCLEAR).items()
}

FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in (
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/*.md",
        "protocols/*.yaml",
        "mmbench/report/page/*.jinja",
    )
    for path in ROOT.glob(pattern)
)
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "mmbench/cli").glob("*.py"))


def hits(name, text, first_line=1):
    """Each banned phrase of a text as ``file:line: phrase``."""
    found = []
    for phrase, pattern in PATTERNS.items():
        if phrase in EXPLAINED.get(name, ()):
            continue
        for match in pattern.finditer(text):
            if phrase in ALIASES and "alias" in _paragraph(text, match.start()):
                continue
            line = first_line + text.count("\n", 0, match.start())
            found.append((line, f"{name}:{line}: {phrase}"))
    return [hit for _, hit in sorted(found)]


def _paragraph(text, place):
    start, end = text.rfind("\n\n", 0, place), text.find("\n\n", place)
    return text[max(start, 0) : end if end >= 0 else len(text)]


def literals(source):
    """The texts in a module's code, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def command_lines(command, words=()):
    """The words of every command and group below one."""
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from command_lines(below, (*words, name))


@pytest.mark.parametrize("name", FILES)
def test_a_page_uses_the_words_of_the_glossary(name):
    found = hits(name, (ROOT / name).read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", MODULES)
def test_a_commands_texts_use_the_words_of_the_glossary(name):
    source = (ROOT / name).read_text(encoding="utf-8")
    found = [hit for line, text in literals(source) for hit in hits(name, text, line)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("words", list(command_lines(typer.main.get_command(app))), ids=" ".join)
def test_a_commands_help_uses_the_words_of_the_glossary(words):
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    found = hits(" ".join(("mmbench", *words, "--help")), shown.output)
    assert not found, "\n".join(found)


def test_a_hit_names_file_line_and_phrase():
    text = "One line.\nThe gradient takes the way\nback, and verdicts hang on it.\n"
    assert hits("a.md", text) == ["a.md:2: the way back", "a.md:3: hang on"]
    assert hits("a.md", "results/x/cells/1/cell.json") == ["a.md:1: cell.json", "a.md:1: cells/"]
    assert hits("a.md", "first\n# two floors\n# set\n#  beside") == ["a.md:2: floor", "a.md:3: set beside"]
    assert hits("a.md", "amend, recommend, a mcu-like thing, floor(65536 p), chexpert") == ["a.md:1: mcu"]


def test_a_replaced_word_may_stand_where_it_is_explained():
    assert hits("docs/results-format.md", "with `cells/`") == []
    assert hits("docs/results-format.md", "the floors") == ["docs/results-format.md:1: floor"]
    aliases = "`chex` and `mcu` are aliases."
    assert hits("a.md", aliases) == []
    assert hits("a.md", f"{aliases}\n\nTrain on chex.") == ["a.md:3: chex"]


def test_every_command_is_walked():
    walked = set(command_lines(typer.main.get_command(app)))
    assert {(), ("run",), ("list", "methods"), ("claims", "check")} <= walked
