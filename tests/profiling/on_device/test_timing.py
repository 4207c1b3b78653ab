import pytest

from profiling.on_device.timing import interquartile_mean, time_interleaved


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


def test_outliers_do_not_move_the_middle_mean():
    assert interquartile_mean([1.0, 1.0, 1.1, 1.1, 1.0, 50.0, 0.01, 1.1]) == pytest.approx(1.05, abs=0.05)
    assert interquartile_mean([2.0]) == 2.0
