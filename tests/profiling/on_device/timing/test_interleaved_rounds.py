import itertools
from functools import partial

import pytest
from fake_run_clock import FakeRunClock
from hypothesis import given
from hypothesis import strategies as st

from profiling.on_device.clock.run_clock import CPU, WALL, RunClock, RunTime, clock_of
from profiling.on_device.timing.interleaved_rounds import (
    Round,
    Rounds,
    least_seconds,
    round_seconds,
    rounds_for,
    rounds_in_row,
    run_interleaved,
    time_interleaved,
)
from profiling.on_device.timing.session_interference import Interference


def test_work_is_timed_in_turn_after_warming_up():
    machine, calls = FakeRunClock(CPU), []

    def work(name: str, seconds: float):
        def call() -> None:
            calls.append(name)
            machine.compute(seconds)

        return call

    seconds = time_interleaved({"a": work("a", 1.0), "b": work("b", 3.0)}, 4, machine.clock)
    assert "".join(calls) == "ab" + "abba" * 2  # a scheduler's slices do not fall into step
    assert seconds == {"a": [1.0] * 4, "b": [3.0] * 4}


class Caches:
    """Short work that takes longer where other work was done since, until it has run for some time."""

    def __init__(self, machine: FakeRunClock, filled_s: float = 0.014) -> None:
        self.calls: list[str] = []
        self._machine, self._filled_s, self._own_s = machine, filled_s, 0.0

    def call(self, name: str, seconds: float) -> None:
        if self.calls[-1:] != [name]:
            self._own_s = 0.0
        self._machine.compute(seconds if self._own_s >= self._filled_s else 1.2 * seconds)
        self._own_s += seconds
        self.calls.append(name)


@given(st.integers(2, 5), st.integers(1, 30), st.sampled_from([0.001, 0.002, 0.005]))
def test_each_short_run_that_counts_finds_the_caches_as_where_it_runs_alone(count, rounds, unit_s):
    machine = FakeRunClock(CPU)
    caches = Caches(machine)
    work = {name: partial(caches.call, name, unit_s * (1 + name)) for name in range(count)}
    found = run_interleaved(work, rounds, machine.clock)
    for name in work:
        calls = [number for number, called in enumerate(caches.calls) if called == name]
        assert [run.seconds for run in found.of(name)] == pytest.approx([unit_s * (1 + name)] * rounds)
        # Those that count are told by their place behind the first round's first.
        behind = calls[len(calls) - found.calls_of(name)[-1] - 1 :]
        assert len(behind) == len(calls) - 2
        assert all(caches.calls[behind[place] - 1] == name for place in found.calls_of(name))


@pytest.mark.parametrize(
    ("seconds", "order"),
    [
        ((0.2, 0.3), "ab" + "ab" + "ba" + "ab"),
        ((0.04, 0.06), "aabb" + "ab" + "ba" + "ab"),
        ((0.02, 0.04), "aabb" + "aab" + "baa" + "aab"),
        ((0.02, 0.016), "aabb" + "aabb" + "bbaa" + "aabb"),
        ((0.01, 0.008), "aabb" + "a" * 6 + "b" * 6),
        ((0.0, 0.001), "aabb" + "a" * 19 + "b" * 19),
    ],
)
def test_short_work_runs_in_a_row_and_what_is_long_in_turn(seconds, order):
    machine, calls = FakeRunClock(CPU), []

    def work(name: str, seconds: float):
        return lambda: (calls.append(name), machine.compute(seconds))

    named = dict(zip("ab", seconds, strict=True))
    found = run_interleaved({name: work(name, own) for name, own in named.items()}, 3, machine.clock)
    assert "".join(calls) == order
    assert [len(found.of(name)) for name in "ab"] == [3, 3]


def test_what_is_slow_in_its_first_run_alone_is_short():
    machine, calls = FakeRunClock(CPU), []

    def work(name: str):
        def call() -> None:
            machine.compute(0.008 if name in calls else 0.05)
            calls.append(name)

        return call

    run_interleaved({name: work(name) for name in "ab"}, 2, machine.clock)
    assert "".join(calls) == "aabb" + "a" * 5 + "b" * 5


def test_a_few_warm_rounds_of_short_work_count_and_else_the_quickest_of_many():
    def found(waits):
        machine = FakeRunClock(CPU)
        return run_interleaved(
            {name: lambda: machine.compute(0.001, next(waits)) for name in "ab"}, 24, machine.clock
        )

    calm_once = found(iter([0.0] * 52 + [1.0] * 10_000))
    assert (len(calm_once.taken), list(calm_once.kept["a"])) == (72, list(range(8)))
    never_calm = found(iter([1.0] * 10_000))
    assert (len(never_calm.taken), len(never_calm.kept["a"])) == (72, 8)


@pytest.mark.parametrize("seconds", [(0.04, 0.06), (0.02, 0.04), (0.01, 0.008), (0.002, 0.001)])
def test_what_a_round_takes_is_known_before(seconds):
    machine, spent = FakeRunClock(CPU), []

    def work(own: float):
        return lambda: (spent.append(own), machine.compute(own))

    run_interleaved({name: work(own) for name, own in zip("ab", seconds, strict=True)}, 24, machine.clock)
    assert round_seconds(seconds) == pytest.approx(sum(spent[4:]) / 24)


def test_a_disturbed_burst_counts_for_nothing_and_does_not_spoil_the_next():
    machine, waits = FakeRunClock(CPU), iter([0.0] * 62 + [1.0] + [0.0] * 1000)
    work = {name: lambda: machine.compute(0.001, next(waits)) for name in "ab"}
    found = run_interleaved(work, 24, machine.clock)
    assert [one.is_warm for one in found.taken] == [True] * 8 + [False] * 8 + [True] * 16
    assert len(found.of("a")) == 24


def test_what_always_runs_behind_itself_runs_once():
    machine, caches = FakeRunClock(CPU), []
    found = run_interleaved({"a": lambda: caches.append(machine.compute(0.001))}, 5, machine.clock)
    assert len(caches) == 2 + 5
    assert found.calls_of("a") == [0, 1, 2, 3, 4]


WAITS = st.lists(st.sampled_from([0.0, 0.0, 0.01, 0.2, 3.0]), max_size=30)


@given(WAITS, st.integers(1, 10), st.sampled_from([CPU, WALL]))
def test_only_rounds_that_nothing_disturbed_and_none_before_them_count_if_there_are_some(waits, rounds, kind):
    machine = FakeRunClock(kind)
    coming = iter([0.0, *waits, *[0.0] * 40])  # the first warms up
    found = run_interleaved({"a": lambda: machine.compute(1.0, next(coming))}, rounds, machine.clock)
    calm = [True, *(not run.is_disturbed for run in found.all_of("a"))]
    warm = [number for number, pair in enumerate(itertools.pairwise(calm)) if all(pair)]
    assert rounds <= len(found.taken) <= 3 * rounds
    if len(warm) >= min(rounds, 8):
        assert list(found.kept["a"]) == warm
        assert len(warm) <= rounds
    elif kind == CPU:
        assert len(found.kept["a"]) == min(rounds, 8)
    else:
        waited = [run.waited_s for run in found.all_of("a")]
        assert sorted(run.waited_s for run in found.of("a")) == pytest.approx(sorted(waited)[:rounds])


@pytest.mark.parametrize(("kind", "factor", "kept"), [(CPU, 1, 10), (WALL, 3, 40)])
def test_more_rounds_are_taken_where_they_help(kind, factor, kept):
    """Runs so long that each is disturbed: their processor time hardly suffers, their wall time does."""
    machine = FakeRunClock(kind)
    found = run_interleaved({"a": lambda: machine.compute(1.0, 3.0)}, 40, machine.clock)
    assert len(found.taken) == factor * 40
    assert len(found.kept["a"]) == kept


@given(st.lists(st.sampled_from([0.0, 0.1, 0.3]), min_size=40, max_size=40))
def test_what_cold_caches_add_is_left_out_where_all_rounds_are_disturbed(added):
    machine, coming = FakeRunClock(CPU), iter([0.0, *sorted(added), *[0.3] * 10])
    found = run_interleaved({"a": lambda: machine.compute(1.0 + next(coming), 9.0)}, 40, machine.clock)
    assert [run.seconds for run in found.of("a")] == pytest.approx([1.0 + s for s in sorted(added)[:10]])


def test_waiting_between_runs_disturbs_the_round_as_well():
    """What ran between them emptied the caches."""
    machine, waits = FakeRunClock(CPU), iter([0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0])
    clock = machine.clock

    class Slow(RunClock):
        def time(self, call):
            machine.compute(0.0, next(waits))
            return super().time(call)

    slow = Slow(clock.kind, clock.seconds, clock.waited, clock.switches)
    found = run_interleaved({"a": lambda: machine.compute(1.0)}, 3, slow)
    assert [one.is_warm for one in found.taken] == [True, False, False, True, True]
    assert list(found.kept["a"]) == [0, 3, 4]


def test_where_nothing_tells_of_waiting_each_round_counts():
    machine = FakeRunClock(WALL)
    blind = RunClock(WALL, machine.clock.seconds, None, machine.clock.switches)
    found = run_interleaved({"a": lambda: machine.compute(1.0, 2.0)}, 5, blind)
    assert (len(found.taken), list(found.kept["a"])) == (5, [0, 1, 2, 3, 4])


@pytest.mark.parametrize(("seconds", "rounds"), [(1.0, 2), (0.1, 8), (0.02, 12), (0.0025, 100), (1e-6, 100)])
def test_rounds_fill_a_quarter_of_a_second_within_limits(seconds, rounds):
    machine = FakeRunClock(CPU)
    found = rounds_for(lambda: machine.compute(seconds), 0, machine.clock)
    assert found == pytest.approx(rounds, abs=1)
    assert 2 <= found <= 100


def test_rounds_that_are_asked_for_need_no_run():
    assert rounds_for(lambda: 1 / 0, 5, clock_of(1)) == 5


def session(*contended: bool, is_warm: bool = True, calls: int = 1) -> Rounds:
    taken = [
        Round({"a": RunTime(1.0, is_contended=each)}, is_warm, is_warm, {"a": calls}) for each in contended
    ]
    return Rounds(taken, {"a": range(len(taken))})


def test_what_other_work_did_to_runs_depends_on_how_long_they_are():
    assert session(False).interference is Interference.NONE
    assert session(True, True, False).interference is Interference.SHARED_CORE
    assert session(False, is_warm=False).interference is Interference.SOME
    assert session(False, is_warm=False, calls=9).interference is Interference.COLD
    assert session(False, calls=9).interference is Interference.NONE


def test_short_runs_count_many_in_a_row_and_long_ones_alone():
    assert [rounds_in_row(run_s) for run_s in (0.001, 0.006, 0.02, 0.1, 5.0)] == [8, 5, 1, 1, 1]


@pytest.mark.parametrize(("shortest_s", "start_s"), [(1.0, 0.001), (0.0025, 0.001), (0.0015, 0.00075)])
def test_half_of_the_shortest_model_is_its_own(shortest_s, start_s):
    machine = FakeRunClock(CPU)
    call = partial(machine.compute, 0.001)
    assert least_seconds(call, machine.clock, shortest_s) == pytest.approx(start_s)
