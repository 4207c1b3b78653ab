"""Certainties of noise against draws of samples whose noise is known."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from planner.verification import noise_bootstrap
from planner.verification.noise_bootstrap import LEVELS, noise_at_most, noise_quantiles


def powers(random: np.random.Generator, samples: int, spread: float) -> np.ndarray:
    """Return squared errors and answers of samples, whose true noise power is 1."""
    error = np.exp(random.normal(-(spread**2) / 2, spread, samples))
    return np.column_stack([error, np.exp(random.normal(-0.02, 0.2, samples))])


@pytest.mark.parametrize(
    ("samples", "spread", "level"), [(60, 0.5, 0.92), (200, 1.0, 0.92), (400, 1.0, 0.93)]
)
def test_the_true_noise_is_kept_about_as_often_as_is_said(samples, spread, level, monkeypatch):
    monkeypatch.setattr(noise_bootstrap, "_DRAWS", 500)
    random, runs = np.random.default_rng(0), 400
    below = above = 0
    for _ in range(runs):
        quantiles = noise_quantiles(powers(random, samples, spread))
        below += quantiles[LEVELS.index(0.95)] >= 1.0
        above += quantiles[LEVELS.index(0.05)] <= 1.0
    least = int(stats.binom.ppf(1e-4, runs, level))
    assert min(below, above) >= least
    assert below <= int(stats.binom.ppf(1 - 1e-4, runs, 0.97))  # nor is it called less sure than it is


def test_quantiles_rise_around_what_was_measured_and_are_the_same_again():
    some = powers(np.random.default_rng(1), 80, 1.0)
    found = noise_quantiles(some)
    assert all(a <= b for a, b in pairwise(found))
    assert found[0] < np.sqrt(some[:, 0].sum() / some[:, 1].sum()) < found[-1]
    assert noise_quantiles(some) == found


def test_more_samples_that_show_the_same_say_more():
    some = powers(np.random.default_rng(2), 50, 0.8)
    narrow, wide = (noise_quantiles(np.tile(some, (times, 1))) for times in (4, 1))
    assert np.log(wide[-4] / wide[3]) == pytest.approx(2 * np.log(narrow[-4] / narrow[3]), rel=0.25)


def test_a_looser_limit_is_never_less_sure():
    quantiles = noise_quantiles(powers(np.random.default_rng(3), 40, 1.0))
    found = [noise_at_most(limit, quantiles) for limit in np.linspace(0.0, 9.0, 400)]
    assert all(a <= b for a, b in pairwise(found))
    assert (found[0], found[-1]) == (0.0, LEVELS[-1])
    assert [noise_at_most(q, quantiles) for q in quantiles] == pytest.approx(LEVELS)


@pytest.mark.parametrize(
    "some",
    [np.ones((3, 2)), np.zeros((9, 2)), np.column_stack([np.full(9, np.inf), np.ones(9)])],
)
def test_samples_that_say_nothing_give_nothing(some):
    assert noise_quantiles(some) == ()


def test_equal_samples_leave_no_doubt():
    found = noise_quantiles(np.column_stack([np.full(9, 0.04), np.ones(9)]))
    assert found == pytest.approx([0.2] * len(LEVELS), rel=1e-6)
    assert noise_at_most(0.21, found) == LEVELS[-1]


def test_chunks_of_draws_are_the_same_as_all_at_once(monkeypatch):
    some = powers(np.random.default_rng(4), 30, 1.0)
    whole = noise_quantiles(some)
    monkeypatch.setattr(noise_bootstrap, "_ELEMENTS", 30 * 7)
    assert noise_quantiles(some) == pytest.approx(whole)


def test_samples_that_say_next_to_nothing_allow_any_noise_without_a_warning():
    powers = np.array([[1e-30, 1.0], [1e-30, 1.0], [1e-30, 1.0], [1.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantiles = noise_quantiles(powers)
    assert all(0 <= one < np.inf for one in quantiles)
    assert list(quantiles) == sorted(quantiles)
