import pytest
from fake_run_clock import FakeRunClock
from hypothesis import given
from hypothesis import strategies as st

from profiling.latency.stage_cuts import stage_models
from profiling.on_device.run_clock import CPU, WALL, clock_of
from profiling.on_device.timing_loop import (
    InterleavedTimer,
    median_ratio,
    rounds_for,
    run_interleaved,
    time_interleaved,
    time_stages,
)
from profiling.runtime.open_session import Runtime, open_session


def test_work_is_timed_in_turn_after_warming_up():
    machine, calls = FakeRunClock(CPU), []

    def work(name: str, seconds: float):
        def call() -> None:
            calls.append(name)
            machine.compute(seconds)

        return call

    seconds = time_interleaved({"a": work("a", 1.0), "b": work("b", 3.0)}, 4, machine.clock)
    assert calls == ["a", "b"] * 5
    assert seconds == {"a": [1.0] * 4, "b": [3.0] * 4}


WAITS = st.lists(st.sampled_from([0.0, 0.01, 0.2, 3.0]), min_size=1, max_size=30)


@given(WAITS, st.integers(1, 10))
def test_rounds_that_waited_least_count_where_waiting_is_part_of_the_clock(waits, rounds):
    machine = FakeRunClock(WALL)
    coming = iter([0.0, *waits, *[5.0] * 30])  # the first warms up
    found = run_interleaved({"a": lambda: machine.compute(1.0, next(coming))}, rounds, machine.clock)
    taken = [run["a"].waited_s for run in found.taken]
    calm = [number for number, wait in enumerate(taken) if wait <= 0.05 * (1 + wait)]
    assert len(found.kept) == rounds <= len(taken) <= 3 * rounds
    assert len(calm) >= rounds or len(taken) == 3 * rounds
    assert sorted(run.waited_s for run in found.of("a")) == pytest.approx(sorted(taken)[:rounds])
    assert list(found.kept) == sorted(found.kept)


@given(WAITS)
def test_no_round_is_taken_again_where_waiting_does_not_count(waits):
    machine = FakeRunClock(CPU)
    coming = iter([0.0, *waits])
    found = run_interleaved({"a": lambda: machine.compute(1.0, next(coming))}, len(waits), machine.clock)
    assert [run.waited_s for run in found.of("a")] == pytest.approx(waits)
    assert [run.seconds for run in found.of("a")] == pytest.approx([1.0] * len(waits))


@pytest.mark.parametrize(("seconds", "rounds"), [(1.0, 8), (0.1, 8), (0.02, 20), (0.004, 100), (1e-6, 100)])
def test_rounds_fill_four_tenths_of_a_second_within_limits(seconds, rounds):
    machine = FakeRunClock(CPU)
    found = rounds_for(lambda: machine.compute(seconds), 0, machine.clock)
    assert found == pytest.approx(rounds, abs=1)
    assert 8 <= found <= 100


def test_rounds_that_are_asked_for_need_no_run():
    assert rounds_for(lambda: 1 / 0, 5, clock_of(1)) == 5


def test_a_ratio_compares_runs_of_one_round():
    # The machine slows down by ten on the way; the session always takes twice as long.
    reference_s = [1.0, 2.0, 5.0, 10.0]
    assert median_ratio([2 * s for s in reference_s], reference_s) == 2.0


def test_sessions_are_timed_as_often_as_their_reference(residual):
    reference, session = (open_session(residual.graph.model, Runtime()) for _ in range(2))
    runs = InterleavedTimer(reference, residual.samples[0], 3, clock_of(1))(session)
    assert [len(runs.reference), len(runs.session)] == [3, 3]
    assert all(run.seconds > 0 for run in (*runs.reference, *runs.session))


def test_stages_are_fed_what_stages_before_them_give(residual):
    graph = residual.graph
    models = stage_models(graph.model, graph, [[unit.index] for unit in graph.units])
    stages = [open_session(model, Runtime()) for model in models]
    whole = open_session(graph.model, Runtime())
    ratios = time_stages([whole] * len(stages), stages, residual.samples[0], 2, clock_of(1))
    assert len(ratios) == len(graph.units)
    assert all(ratio > 0 for ratio in ratios)
