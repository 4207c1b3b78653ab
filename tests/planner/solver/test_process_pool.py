import os
import signal
from functools import partial
from multiprocessing import active_children
from time import sleep

import pytest

from planner.solver.process_pool import process_map


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
