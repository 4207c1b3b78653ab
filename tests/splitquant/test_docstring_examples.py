"""The examples in public docstrings give what they say, in a folder as a user has it."""

import doctest
import importlib

import pytest
from repository import ROOT

MODULES = [
    "splitquant" if path.stem == "__init__" else f"splitquant.{path.stem}"
    for path in sorted((ROOT / "splitquant").glob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.usefixtures("here", "saved")
def test_examples_in_docstrings_give_what_they_say(name, tmp_path):
    outcome = doctest.testmod(importlib.import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert outcome.attempted
    assert not outcome.failed


def test_every_module_with_a_flow_shows_how_it_is_called():
    flows = ("_comparisons", "_plans", "_problems", "_profiles", "_scenarios")
    assert {"splitquant", *(f"splitquant.{name}" for name in flows)} <= set(MODULES)
