from statistics import NormalDist

import numpy as np
import pytest

from profiling.on_device.robust_statistics import (
    are_contended,
    are_enough,
    are_noisy,
    interquartile_mean,
    middle_error,
    relative_iqr,
    session_count,
    sufficient_rounds,
)


def test_outliers_do_not_move_the_middle_mean():
    assert interquartile_mean([1.0, 1.0, 1.1, 1.1, 1.0, 50.0, 0.01, 1.1]) == pytest.approx(1.05, abs=0.05)
    assert interquartile_mean([2.0]) == 2.0


def test_spread_is_the_middle_half_over_the_median():
    assert relative_iqr([1.0, 2.0, 3.0, 4.0, 5.0]) == pytest.approx(2 / 3)
    assert relative_iqr([3.0, 3.0, 3.0, 100.0]) < 10
    assert relative_iqr([1.0]) == 0


@pytest.mark.parametrize("count", [8, 32, 96])
def test_runs_are_noisy_where_their_median_errs_by_more_than_5_percent(count):
    generator = np.random.default_rng(count)
    for spread in (0.02, 0.1, 0.4, 1.0):
        medians = np.median(generator.normal(1.0, spread / 1.349, size=(4000, count)), axis=1)
        errs = medians.std()
        if abs(errs - 0.05) > 0.015:  # near the bound, one draw may say either
            drawn = 1 + spread / 1.349 * _normal_scores(count)
            assert are_noisy(drawn) == (errs > 0.05)


def _normal_scores(count):
    return np.array([NormalDist().inv_cdf((n + 0.5) / count) for n in range(count)])


def test_a_middle_of_three_errs_as_draws_show():
    draws = np.random.default_rng(0).normal(1.0, 0.02, size=(4000, 3))
    said = np.mean([middle_error(draw) for draw in draws])
    assert said == pytest.approx(np.median(draws, axis=1).std(), rel=0.15)
    assert (middle_error([1.0]), middle_error([])) == (0.03, 0.0)  # one session is not known to be right


@pytest.mark.parametrize(
    ("sessions", "run_s", "enough"),
    [
        ([1.0, 1.0], 0.1, False),
        ([1.0, 1.001, 1.002], 0.1, True),
        ([1.0, 1.2, 1.1], 0.1, False),
        ([1.0, 1.5] * 4, 0.1, True),
        ([1.0, 1.01], 5.0, True),
        ([1.0, 1.02], 5.0, False),
        ([1.0], 5.0, False),
        ([1.0, 1.01, 1.02], 0.01, True),
        ([1.0, 1.01, 1.02], 0.001, False),
        ([1.0, 1.001, 1.002], 0.001, True),
        ([1.0, 1.5] * 4, 0.001, False),
        ([1.0, 1.5] * 6, 0.001, True),
    ],
)
def test_sessions_go_on_until_their_middle_is_certain_or_there_are_enough(sessions, run_s, enough):
    assert are_enough(sessions, run_s) is enough


@pytest.mark.parametrize(
    ("run_s", "rounds"), [(1e-5, 100), (0.008, 31), (0.05, 8), (0.25, 8), (0.4, 5), (0.9, 2), (60.0, 2)]
)
def test_what_takes_longer_is_timed_less_often(run_s, rounds):
    assert sufficient_rounds(run_s) == rounds


@pytest.mark.parametrize(("rounds", "sessions"), [(1, 1), (4, 1), (8, 2), (13, 3), (20, 5), (100, 5)])
def test_many_rounds_are_divided_among_sessions(rounds, sessions):
    assert session_count(rounds) == sessions


def test_runs_are_of_another_pace_where_more_than_a_quarter_shared_their_core():
    assert [are_contended(share) for share in (None, 0.0, 0.25, 0.26, 1.0)] == [False] * 3 + [True] * 2


def test_sessions_that_shared_their_core_lengthen_the_search_up_to_seven():
    assert not are_enough([1.0, 1.0], taken=6)
    assert are_enough([1.0], taken=7)
    assert are_enough([1.0] * 3, taken=5)
