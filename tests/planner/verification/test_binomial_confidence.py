"""Exact tails against sums and against SciPy; intervals against draws from shares that are known."""

from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from planner.verification.binomial_confidence import (
    beta_distribution,
    difference_at_most,
    difference_bound,
    share_above,
    share_at_most,
    share_bounds,
    student_distribution,
    student_quantile,
)

COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
SHARES = st.floats(0.001, 0.999)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), SHARES)
def test_a_share_is_as_sure_as_its_binomial_tail_is_unlikely(counted, limit):
    count, samples = counted
    chances = [comb(samples, k) * limit**k * (1 - limit) ** (samples - k) for k in range(samples + 1)]
    assert share_at_most(limit, count, samples) == pytest.approx(sum(chances[count + 1 :]), abs=1e-10)
    assert share_above(limit, count, samples) == pytest.approx(sum(chances[:count]), abs=1e-10)


@given(COUNTS)
def test_bounds_are_those_of_clopper_and_pearson(counted):
    count, samples = counted
    exact = stats.binomtest(count, samples).proportion_ci(0.95, "exact")
    assert share_bounds(count, samples) == pytest.approx((exact.low, exact.high), abs=1e-8)


@given(st.floats(0.5, 1e5), st.floats(0.5, 1e5), st.floats(-8, 8))
def test_the_beta_distribution_is_that_of_scipy(a, b, errors):
    mean = a / (a + b)
    x = min(max(mean + errors * (mean * (1 - mean) / (a + b + 1)) ** 0.5, 0.0), 1.0)
    assert beta_distribution(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-8)


@given(st.floats(-20, 20), st.integers(1, 200))
def test_students_t_is_that_of_scipy(t, freedom):
    assert student_distribution(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-8)
    assert student_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-6)


@given(COUNTS, SHARES, st.floats(1.0, 3.0))
def test_a_looser_limit_is_never_less_sure(counted, limit, factor):
    assert share_at_most(min(limit * factor, 1.0), *counted) >= share_at_most(limit, *counted) - 1e-12


@pytest.mark.parametrize(("lost", "won"), [(0, 0), (3, 1), (10, 12), (40, 0)])
def test_a_drop_is_surer_below_a_looser_limit_and_its_certainty_is_that_of_its_bound(lost, won):
    limits = np.linspace(-0.1, 0.5, 13)
    found = [difference_at_most(limit, lost, won, 200) for limit in limits]
    assert all(a <= b for a, b in pairwise(found))
    assert found[0] == 0.0
    bound = difference_bound(lost, won, 200, 0.1)
    assert difference_at_most(bound, lost, won, 200) == pytest.approx(0.9, abs=1e-5)


@pytest.mark.parametrize("count", [0, 2, 30])
def test_a_drop_without_gains_has_the_exact_bound_of_a_share(count):
    assert difference_bound(count, 0, 150, 0.05) == pytest.approx(share_bounds(count, 150, 0.05)[1])


def fewest_inside(level: float, runs: int) -> int:
    """Return how many of so many draws are inside at least if each is with that chance, but once in 10^4."""
    return int(stats.binom.ppf(1e-4, runs, level))


@pytest.mark.parametrize("share", [0.005, 0.02, 0.3])
@pytest.mark.parametrize("samples", [50, 400])
def test_a_share_that_is_called_kept_with_95_percent_is_kept_that_often(share, samples):
    """The one-sided bound covers the true share, so a limit that it meets is kept."""
    runs = 1500
    counts = np.random.default_rng(2).binomial(samples, share, runs)
    wrong = {int(k): share_at_most(share, int(k), samples) for k in np.unique(counts)}
    # A limit just below the true share is broken: it may be called kept with 95 % once in 20 times.
    assert sum(wrong[int(k)] < 0.95 for k in counts) >= fewest_inside(0.95, runs)


@pytest.mark.parametrize(
    ("lost", "won"), [(0.03, 0.02), (0.08, 0.0), (0.01, 0.01), (0.002, 0.002), (0.004, 0.001)]
)
@pytest.mark.parametrize("samples", [100, 500])
def test_the_true_drop_is_within_its_bounds_as_often_as_is_said(lost, won, samples):
    runs = 1500
    drawn = np.random.default_rng(1).multinomial(samples, [lost, won, 1 - lost - won], runs)
    bounds: dict[tuple[int, int], tuple[float, float]] = {}
    covered = np.zeros(2)
    for losses, wins, _ in drawn.tolist():
        if (losses, wins) not in bounds:
            upper = difference_bound(losses, wins, samples, 0.05)
            bounds[losses, wins] = -difference_bound(wins, losses, samples, 0.05), upper
        low, high = bounds[losses, wins]
        covered += [low <= lost - won, lost - won <= high]
    assert covered.min() >= fewest_inside(0.94, runs)  # a bound of two exact ones is not quite exact
