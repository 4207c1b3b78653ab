"""A core that other work shares is told by two probes, and left: by moving, or by waiting."""

import itertools
import os
import sys
from dataclasses import replace

import pytest
from fake_run_clock import FakeRunClock
from hypothesis import given
from hypothesis import strategies as st

from profiling.on_device.clock.core_contention import CoreChoice, CoreProbe, OwnCore, own_core
from profiling.on_device.clock.run_clock import CPU, clock_of
from profiling.on_device.timing.interleaved_rounds import run_interleaved


class FakeMachine:
    """Cores on which something else computes at times, at a frequency that changes.

    Parameters
    ----------
    contended
        Of each core: whether it is contended, in each step of time from the first on; the last one stays.
    frequency
        In each step, over the highest.
    """

    def __init__(self, contended, frequency=(1.0,)) -> None:
        self.contended, self.frequency = contended, frequency
        self.core, self.step, self.moves = 0, 0, []
        self.probe = CoreProbe(self.throughput, self.latency, self.pause)

    def own_core(self, *, moves: bool = True) -> OwnCore:
        return OwnCore(self.probe, self if moves else None, self.pause)

    def allowed(self) -> frozenset[int]:
        return frozenset(range(len(self.contended)))

    def pause(self) -> float:
        self.step += 1
        return 0.025

    def allow(self, cores) -> None:
        self.moves.append(set(cores))
        self.core = min(cores)

    def is_contended(self) -> bool:
        own = self.contended[self.core]
        return own[min(self.step, len(own) - 1)]

    def throughput(self) -> float:
        return self._pace() * (2.0 if self.is_contended() else 1.0)

    def latency(self) -> float:
        return self._pace() * (1.1 if self.is_contended() else 1.0)

    def _pace(self) -> float:
        return 1e-5 / self.frequency[self.step % len(self.frequency)]


CALM_LOOK = [False] * 20  # longer than the first look


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.lists(st.floats(0.5, 1.0), min_size=1))
def test_contention_is_told_whatever_the_frequency(coming, frequency):
    machine = FakeMachine([[*CALM_LOOK, *coming]], [1.0] * 20 + frequency)
    assert not machine.probe.is_contended()
    machine.step = len(CALM_LOOK)
    for contended in coming:
        assert machine.probe.is_contended() == contended
        machine.pause()


def test_a_core_that_is_seen_contended_alone_counts_as_it_is_until_it_is_seen_calm():
    machine = FakeMachine([[True] * 50 + [False] * 4 + [True]])
    assert not machine.probe.is_contended()
    machine.step = 50
    for _ in range(4):
        assert not machine.probe.is_contended()
        machine.pause()
    assert machine.probe.is_contended()


def test_errors_of_the_clock_are_not_what_a_core_alone_shows():
    machine = FakeMachine([[*CALM_LOOK, True]])
    machine.probe.is_contended()
    machine.step = 60
    ratios = itertools.chain([1e-6, 1e-7], itertools.repeat(None))
    honest = machine.throughput
    machine.probe._probes = (lambda: next(ratios) or honest(), machine.latency)
    assert [machine.probe.is_contended() for _ in range(300)].count(False) <= 1


def test_what_was_seen_alone_is_not_forgotten_in_a_long_contention():
    machine = FakeMachine([[*CALM_LOOK, True]])
    machine.probe.is_contended()
    machine.step = 60
    assert all(machine.probe.is_contended() for _ in range(2500))


def test_a_contended_core_is_left_for_another_one():
    machine = FakeMachine([[*CALM_LOOK, True], [*CALM_LOOK, False]])
    own = machine.own_core()
    assert not own.wait()
    machine.step = 60
    with own.visited():
        assert own.wait()
        assert machine.core == 1
        assert not own.wait()


def test_a_thread_may_run_anywhere_again_afterwards():
    machine = FakeMachine([[*CALM_LOOK, True], [*CALM_LOOK, False]])
    own = machine.own_core()
    own.wait()
    machine.step = 60
    with own.visited():
        own.wait()
    assert machine.moves[-1] == {0, 1}


def test_where_patience_ends_or_the_system_knows_better_the_thread_may_run_anywhere_again():
    machine = FakeMachine([[*CALM_LOOK, True]] * 2)
    own = machine.own_core()
    own.wait()
    machine.step = 60
    with own.visited():
        assert own.wait()
        assert machine.moves[-1] == {0, 1}
    calm = FakeMachine([[*CALM_LOOK, True], [*CALM_LOOK, False]])
    own = calm.own_core()
    own.wait()
    calm.step = 60
    with own.visited():
        own.wait()
        assert calm.moves[-1] == {1}
        own.leave()
        assert calm.moves[-1] == {0, 1}


@pytest.mark.parametrize("moves", [True, False])
def test_where_no_core_is_calm_it_waits_until_one_is(moves):
    machine = FakeMachine([[*CALM_LOOK, *[True] * 100, False]] * 2)
    own = machine.own_core(moves=moves)
    own.wait()
    machine.step = 60
    with own.visited():
        assert own.wait()
    assert machine.step == 120
    assert bool(machine.moves) == moves


def test_patience_ends_and_grows_with_what_was_measured():
    machine = FakeMachine([[*CALM_LOOK, True]])
    own = machine.own_core(moves=False)
    own.wait()
    machine.step = 60
    assert own.wait()
    assert machine.step == pytest.approx(60 + 200, abs=2)  # pauses of 10 ms
    assert not own.wait()
    assert own.wait(measured_s=3.0)
    assert machine.step == pytest.approx(60 + 320, abs=4)


def test_rounds_on_a_contended_core_do_not_count():
    coming = itertools.cycle([False, False, True, False, True, True, False])
    shared = FakeMachine([[*CALM_LOOK, *itertools.islice(coming, 500)]])
    machine = FakeRunClock(CPU)
    clock = replace(machine.clock, core=shared.own_core())

    def compute() -> None:
        machine.compute(2.0 if shared.is_contended() else 1.0)
        shared.pause()

    clock.wait_for_core()
    shared.step = len(CALM_LOOK)
    found = run_interleaved({"a": compute}, 20, clock)
    assert any(run.is_contended for run in found.all_of("a"))
    assert not any(run.is_contended for run in found.of("a"))
    assert clock.contended_share(found.of("a")) == 0.0
    assert len(found.of("a")) >= 8


def test_what_is_not_known_is_not_called_contended():
    machine = FakeRunClock(CPU)
    run = machine.clock.time(lambda: machine.compute(1.0))
    assert not run.is_contended
    assert machine.clock.contended_share([run]) is None
    assert not machine.clock.wait_for_core(1.0)


@pytest.mark.skipif(sys.platform == "win32", reason="ticks of 15.6 ms")
def test_this_machine_is_probed():
    clock = clock_of(1)
    run = clock.time(lambda: None)
    assert clock.contended_share([run]) in (0.0, 1.0)
    assert own_core(moves=True) is clock.core


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="threads are not bound to cores")
def test_timing_leaves_the_cores_of_a_thread_as_they_were():
    before = os.sched_getaffinity(0)
    run_interleaved({"a": lambda: None}, 3, clock_of(1))
    assert os.sched_getaffinity(0) == before


def test_a_thread_that_no_one_may_move_waits_where_it_is(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", refuse, raising=False)
    assert CoreChoice().allowed() == frozenset()
    CoreChoice().allow({0})
    monkeypatch.delattr(os, "sched_getaffinity")
    assert CoreChoice().allowed() == frozenset()


def test_outside_of_a_visit_a_thread_is_not_moved():
    machine = FakeMachine([[*CALM_LOOK, True], [*CALM_LOOK, False]])
    own = machine.own_core()
    own.wait()
    machine.step = 60
    assert own.wait()
    assert machine.moves == []
