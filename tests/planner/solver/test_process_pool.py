"""Work in processes comes back in order, with what it logged; a process that dies is an error."""

import logging
import os
import signal
import sys
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from time import sleep

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
    for function in (square, die, _pid):
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


def test_one_process_is_this_one():
    with process_map(1) as mapped:
        assert list(mapped(lambda _: os.getpid(), range(3))) == [os.getpid()] * 3


def test_results_come_in_the_order_of_the_work_from_other_processes():
    with process_map(2) as mapped:
        assert list(mapped(partial(pow, 2), range(9))) == [2**n for n in range(9)]
        pids = set(mapped(_pid, range(6)))
    assert os.getpid() not in pids
    assert len(pids) <= 2
    assert active_children() == []


def _pid(_: int) -> int:
    return os.getpid()


def test_an_error_of_the_work_is_raised_here():
    with pytest.raises(ZeroDivisionError), process_map(2) as mapped:
        list(mapped(partial(divmod, 1), (1, 0, 2)))


def test_leaving_early_ends_the_processes_at_once():
    with pytest.raises(KeyboardInterrupt):
        _leave_early()
    assert active_children() == []


def _leave_early() -> None:
    with process_map(2) as mapped:
        mapped(sleep, [600.0] * 4)
        raise KeyboardInterrupt


def test_interrupts_are_let_through_again_after_the_start():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with process_map(2) as mapped:
        assert list(mapped(abs, [-1])) == [1]
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
