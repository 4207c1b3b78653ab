"""In how many sessions benchmarks time models."""

import pytest
from thread_time import _are_enough, _turns

from profiling.on_device.clock.run_clock import RunTime
from profiling.on_device.timing.interleaved_rounds import Round, Rounds


def session(ratio: float, *, is_contended: bool = False) -> Rounds:
    """Return three rounds of two models, the second of which takes `ratio` of the first's seconds."""
    runs = {0: RunTime(1.0, is_contended=is_contended), 1: RunTime(ratio, is_contended=is_contended)}
    return Rounds([Round(runs, is_calm=True, is_warm=True)] * 3, {0: range(3), 1: range(3)})


@pytest.mark.parametrize(
    ("ratios", "enough"),
    [([0.5, 0.5], False), ([0.5, 0.502, 0.498], True), ([1.34, 1.39, 1.46], False), ([1.38, 1.39] * 3, True)],
)
def test_sessions_are_enough_once_their_middle_one_is_known_to_a_percent(ratios, enough):
    assert _are_enough([session(ratio) for ratio in ratios]) == enough


def test_sessions_with_a_shared_core_do_not_count_beside_calm_ones():
    shared = [session(0.5, is_contended=True) for _ in range(6)]
    assert not _are_enough([*shared, session(0.6)])
    assert _are_enough([*shared, *(session(0.6) for _ in range(3))])


def test_the_middle_session_is_what_counts():
    assert _turns([session(ratio) for ratio in (0.7, 0.5, 0.6)]).ratio(1, 0) == 0.6
