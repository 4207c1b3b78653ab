import pytest

from profiling.latency.stage_cuts import stage_models
from profiling.on_device.timing_loop import (
    InterleavedRuns,
    InterleavedTimer,
    rounds_for,
    time_interleaved,
    time_stages,
)
from profiling.runtime.open_session import Runtime, open_session


class FakeClock:
    """A clock that work moves forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_work_is_timed_in_turn_after_warming_up():
    clock, calls = FakeClock(), []

    def work(name: str, seconds: float):
        def call() -> None:
            calls.append(name)
            clock.now += seconds

        return call

    seconds = time_interleaved({"a": work("a", 1.0), "b": work("b", 3.0)}, 4, clock)
    assert calls == ["a", "b"] * 5
    assert seconds == {"a": [1.0] * 4, "b": [3.0] * 4}


@pytest.mark.parametrize(("seconds", "rounds"), [(1.0, 8), (0.1, 8), (0.02, 20), (0.004, 100), (1e-6, 100)])
def test_rounds_fill_four_tenths_of_a_second_within_limits(seconds, rounds):
    clock = FakeClock()

    def call() -> None:
        clock.now += seconds

    assert rounds_for(call, 0, clock) == pytest.approx(rounds, abs=1)
    assert 8 <= rounds_for(call, 0, clock) <= 100


def test_rounds_that_are_asked_for_need_no_run():
    assert rounds_for(lambda: 1 / 0, 5) == 5


def test_a_ratio_compares_runs_of_one_round():
    # The machine slows down by ten on the way; the session always takes twice as long.
    reference_s = [1.0, 2.0, 5.0, 10.0]
    assert InterleavedRuns(reference_s, [2 * s for s in reference_s]).ratio == 2.0


def test_sessions_are_timed_as_often_as_their_reference(residual):
    reference, session = (open_session(residual.graph.model, Runtime()) for _ in range(2))
    runs = InterleavedTimer(reference, residual.samples[0], 3)(session)
    assert [len(runs.reference_s), len(runs.session_s)] == [3, 3]


def test_stages_are_fed_what_stages_before_them_give(residual):
    graph = residual.graph
    models = stage_models(graph.model, graph, [[unit.index] for unit in graph.units])
    stages = [open_session(model, Runtime()) for model in models]
    whole = open_session(graph.model, Runtime())
    ratios = time_stages([whole] * len(stages), stages, residual.samples[0], 2)
    assert len(ratios) == len(graph.units)
    assert all(ratio > 0 for ratio in ratios)
