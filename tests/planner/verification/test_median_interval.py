import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.verification.median_interval import median_interval

LEVEL = 0.95


def coverage(count: int, beyond: int) -> float:
    """Return how often the median is inside, of all ways in which values can lie around it."""
    ways = list(itertools.product((0, 1), repeat=count))
    return sum(beyond < sum(way) < count - beyond for way in ways) / len(ways)


@pytest.mark.parametrize("count", range(6, 15))
def test_it_is_the_narrowest_that_holds_the_median_in_95_of_100(count):
    low, high = median_interval(range(count))
    assert low == count - 1 - high
    assert coverage(count, low) >= LEVEL > coverage(count, low + 1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_of_fewer_than_six_it_is_the_least_and_the_greatest(values):
    assert median_interval(values) == (min(values), max(values))


@given(st.lists(st.floats(-1e6, 1e6), min_size=9, max_size=40))
def test_one_value_far_from_the_others_moves_neither_end_beyond_them(values):
    assert median_interval([*values, 1e9])[1] <= max(values)


def test_without_values_there_is_none():
    with pytest.raises(ValueError, match="no values"):
        median_interval([])
