"""The generated pages of the reference say what the code does; `pytest --golden` writes them anew."""

import re
import subprocess
import sys

import pytest
from documentation import DOCS
from interface_pages import interface_sections
from json_records import RECORDS
from schema_pages import record_section, schema_sections
from terminal_text import check_golden

import splitquant
from planner.cli.commands import app
from planner.problem_io.schema import problem_schema
from planner.scenario.models_schema import scenario_schema

_GENERATED = "This page is generated from the code."
# In a process of its own: the usage lines name the module that Python was started with.
_COMMANDS = (
    "import sys; from planner.cli.commands import app; sys.argv = ['plan']; print(app.generate_docs())"
)
_CONTENTS = re.compile(r"## Table of Contents\n\n( *- .*\n)+\n")
# Every command takes them; the first section of the page shows them.
_MESSAGES = re.compile(r"\n\*\*Messages\*\*:\n\n(\* .*\n)+")


def commands_page() -> str:
    done = subprocess.run([sys.executable, "-c", _COMMANDS], capture_output=True, text=True, check=True)
    head, *sections = re.split(r"(?m)^(?=## )", _CONTENTS.sub("", done.stdout))
    start = head.replace("# plan\n", f"# Commands\n\n{_GENERATED}\n")
    return "".join((start, *(_MESSAGES.sub("", section) for section in sections)))


def scenario_page() -> str:
    start = (
        "# Scenario file",
        f"{_GENERATED} [Scenario keys by topic](scenario-keys.md) explains the keys.",
        "A file with `models` is a [Models](#models) file, any other one a [Scenario](#scenario).",
    )
    return "\n\n".join((*start, *schema_sections(scenario_schema())))


def problem_page() -> str:
    start = (
        "# PROBLEM.json",
        f"{_GENERATED} The file begins with the keys of [Problem](#problem).",
        "[How to solve a table of your own costs](../how-to/solve-your-own-costs.md).",
    )
    return "\n\n".join((*start, *schema_sections(problem_schema())))


def files_page() -> str:
    start = (
        "# JSON files",
        f"{_GENERATED} `[]` is a list's item, `{{}}` a value by a free name. Keys are only added.",
        "Times are in seconds, sizes in bytes, unless the key names another unit.",
    )
    return "\n\n".join((*start, *(record_section(name, kind) for name, kind in RECORDS.items())))


def interface_page() -> str:
    start = (
        "# Python interface",
        f"{_GENERATED} `import splitquant as sq` gives these names, and they alone are stable.",
        "Numbers are SI: seconds, bytes, joules. [A notebook](../tutorials/notebook.py) shows their use.",
    )
    return "\n\n".join((*start, *interface_sections(splitquant)))


PAGES = {
    "cli.md": commands_page,
    "scenario.md": scenario_page,
    "problem-json.md": problem_page,
    "json-files.md": files_page,
    "python-api.md": interface_page,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_not_stale(name, request):
    check_golden(PAGES[name](), DOCS / "reference" / name, request)


def test_a_scenario_key_is_described_with_type_default_and_meaning():
    assert "| `bandwidth_mbit_per_s` | number at least 0.0001 | **required** | 10^6 bit per second. |" in (
        scenario_page()
    )


def test_every_command_has_a_section():
    page = commands_page()
    assert all(f"# plan {name}\n" in page for name in app if not name.startswith("-"))


@pytest.mark.parametrize("page", [scenario_page, problem_page])
def test_every_key_has_a_meaning(page):
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.endswith("|  |")] == []
