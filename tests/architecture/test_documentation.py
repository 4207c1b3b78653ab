"""README and docs/: scenarios, commands, links, anchors, length, and the words of the field."""

import json
import re
import shlex
from pathlib import Path

import pytest
from cyclopts import CycloptsError
from documentation import DOCS, MARKS, Page, pages, words
from repository import ROOT
from ruamel.yaml import YAML

from planner.cli.commands import app, with_standard_input
from planner.scenario.models_schema import check_models
from planner.scenario.validation import check_scenario

PAGES = pages()
GENERATED = ("cli.md", "scenario.md", "problem-json.md", "json-files.md", "python-api.md")
WRITTEN = [page for page in PAGES if page.path.name not in GENERATED]
_MOST_WORDS, _LONGEST, _MOST_README_LINES = 25, 30, 150
_SEPARATORS = {"&&", ";", "|", ">", ">>"}
_OWN_OPTIONS = {"--help", "--version", "--quiet", "--log-file", "--debug", "--verbose", "--golden", "--paced"}
_ODD = (
    "simpler way", "soonest", "a no", "beside", "told", "no plan can be below", "in what", "wire", "wires",
    "answered soonest", "what a stage pays", "at every point", "mended",
)  # fmt: skip


def numbered(found):
    return [pytest.param(*one, id=f"{one[0]}:{one[1].line}") for one in found]


def blocks(*languages):
    return [(page, block) for page in PAGES for block in page.blocks if block.language in languages]


SCENARIOS = [(page, block) for page, block in blocks("yaml") if "devices:" in block.text]


@pytest.mark.parametrize(("page", "block"), numbered(SCENARIOS))
def test_a_scenario_on_a_page_is_right(page, block):
    content = YAML(typ="safe").load(block.text)
    check = check_models if "models" in content else check_scenario
    scenario, faults = check(json.dumps(content))
    assert not faults
    assert scenario is not None


def test_all_yaml_is_scenarios():
    assert len(SCENARIOS) > 5
    assert [str(page) for page, _ in blocks("yaml")] == [str(page) for page, _ in SCENARIOS]


def plan_commands(text: str) -> list[list[str]]:
    """Return the arguments of each `plan` command in lines of shell."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        part: list[str] = []
        for word in [*lexer, ";"]:
            if word not in _SEPARATORS:
                part.append(word)
                continue
            if part and Path(part[0]).name == "plan":
                found.append(part[1:])
            part = []
    return found


# README's two commands stand in blocks without a language, as `.ci/run` reads them.
MAIN = [(page, block) for page, block in blocks("") if block.mark("main command") is not None]
SHELL = [*MAIN, *blocks("sh")]
COMMANDS = [(page, block, command) for page, block in SHELL for command in plan_commands(block.text)]


@pytest.mark.parametrize(
    ("page", "block", "command"),
    [pytest.param(*one, id=f"{one[0]}:{one[1].line} {' '.join(one[2])}") for one in COMMANDS],
)
def test_a_command_on_a_page_parses(page, block, command):
    app.parse_args(with_standard_input(command), exit_on_error=False, print_error=False)


def test_a_command_with_an_unknown_option_does_not_parse():
    with pytest.raises(CycloptsError):
        app.parse_args(["export", "plan.json", "--outt", "x"], exit_on_error=False, print_error=False)


def test_commands_are_found_behind_others_and_before_comments():
    text = "python3 -m venv .venv && .venv/bin/plan a.yaml  # why\nplan schema > s.json\necho plan\n"
    assert plan_commands(text) == [["a.yaml"], ["schema"]]


def test_every_command_is_on_some_page():
    assert len(MAIN) == 1
    used = {command[0] for _, _, command in COMMANDS if command}
    assert {name for name in app if not name.startswith("-")} <= used


def test_options_in_prose_exist():
    known = set(re.findall(r"--[a-z][a-z-]*", (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")))
    for page in WRITTEN:
        for code in page.inline_code:
            if code.startswith(("--", "plan ")):
                unknown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)) - known - _OWN_OPTIONS
                assert not unknown, f"{page}: {code}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page):
    for link in page.links:
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        where, _, anchor = link.partition("#")
        target = (page.path.parent / where).resolve() if where else page.path
        assert target.exists(), link
        if anchor:
            assert anchor in Page(target).anchors, link
        if page.path.is_relative_to(DOCS):
            assert target.is_relative_to(DOCS), f"{link}: the site holds docs/ alone"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= _MOST_README_LINES


@pytest.mark.parametrize("page", WRITTEN, ids=str)
def test_sentences_are_short(page):
    lengths = [len(words(sentence)) for sentence in page.sentences]
    assert not lengths or sum(lengths) / len(lengths) <= _MOST_WORDS
    assert max(lengths, default=0) <= _LONGEST, max(page.sentences, key=lambda s: len(words(s)))


@pytest.mark.parametrize("page", WRITTEN, ids=str)
def test_prose_has_the_words_of_the_field(page):
    prose = " ".join(page.paragraphs).lower()
    assert [word for word in _ODD if re.search(rf"\b{word}\b", prose)] == []


def test_every_page_is_in_the_site():
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8")))
    assert {page.path.relative_to(DOCS).as_posix() for page in pages("")[1:]} == listed


def test_marks_have_a_meaning():
    """A comment that is misspelt would do nothing."""
    for page in PAGES:
        comments = re.findall(r"<!--.*?-->", page.text, re.DOTALL)
        assert len(comments) == len(page.marks), f"{page}: a mark stands within a paragraph or spans lines"
        assert {mark.name for mark in page.marks} <= MARKS, page
        assert page.text.count("<!-- background") == page.text.count("<!-- stop"), page
