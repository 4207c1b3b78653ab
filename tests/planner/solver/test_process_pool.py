"""Work in processes comes back in order, with what it logged; a process that dies is an error."""

import logging
import os
import sys
from pathlib import Path

import pytest

from planner.errors import SolverError
from planner.solver.process_pool import process_map

log = logging.getLogger("planner.test")


def square(number: int) -> int:
    log.info("squaring %d", number)
    return number * number


def die(number: int) -> int:
    os._exit(number)


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    """Let the processes import this file's functions by name."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setitem(sys.modules, "test_process_pool", sys.modules[__name__])
    for function in (square, die):
        monkeypatch.setattr(function, "__module__", "test_process_pool")


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_with_what_was_logged(jobs, caplog):
    caplog.set_level(logging.INFO, "planner")
    with process_map(jobs) as mapped:
        assert list(mapped(square, [3, 1, 2])) == [9, 1, 4]
    assert caplog.messages == ["squaring 3", "squaring 1", "squaring 2"]


def test_what_nobody_asks_for_is_not_logged(caplog):
    caplog.set_level(logging.WARNING, "planner")
    with process_map(2) as mapped:
        list(mapped(square, [1]))
    assert caplog.messages == []


def test_a_process_that_dies_is_an_error():
    with pytest.raises(SolverError, match="memory"), process_map(2) as mapped:
        list(mapped(die, [1, 2, 3]))
