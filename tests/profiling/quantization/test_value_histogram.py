from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from profiling.quantization import value_histogram
from profiling.quantization.value_histogram import BINS, ValueHistogram, histogram_of

# Far from where float32 loses digits of small numbers.
sizes = st.floats(2.0**-40, 2.0**40, width=32)
numbers = st.one_of(st.just(0.0), sizes, sizes.map(lambda size: -size))
parts = st.lists(st.lists(numbers, max_size=20), min_size=1, max_size=6)


def same(one: ValueHistogram, other: ValueHistogram) -> bool:
    return np.array_equal(one.counts, other.counts) and (one.exponent, one.zeros) == (
        other.exponent,
        other.zeros,
    )


@settings(deadline=None)
@given(parts)
@example([[0.0], [0.25]])
def test_the_histogram_of_parts_is_that_of_all(lists):
    arrays = [np.array(values, np.float32) for values in lists]
    whole = histogram_of(np.concatenate(arrays))
    assert same(reduce(add, map(histogram_of, arrays)), whole)
    assert same(reduce(add, map(histogram_of, arrays[::-1])), whole)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=50))
def test_each_value_lies_in_its_bin(values):
    found = histogram_of(np.array(values, np.float32))
    bins = np.searchsorted(found.edges, values, side="right") - 1
    assert found.counts.tolist() == [np.sum(bins == number) for number in range(BINS)]
    assert found.zeros == values.count(0.0)
    assert found.counts.sum() == len(values)


def test_bins_are_not_wider_than_the_values_ask_for():
    found = histogram_of(np.array([0.3, -5.0], np.float32))
    assert found.edges[[0, -1]].tolist() == [-8.0, 8.0]
    assert len(found.counts) == BINS


@pytest.mark.parametrize("values", [[], [np.inf], [np.nan, -np.inf]])
def test_what_is_no_number_is_not_counted(values):
    assert histogram_of(np.array(values, np.float32)).counts.sum() == 0
    beside = histogram_of(np.array([*values, 1.5], np.float32))
    assert same(beside, histogram_of(np.array([1.5], np.float32)))


def test_a_tensor_in_pieces_is_counted_as_a_whole(monkeypatch):
    values = np.random.default_rng(0).normal(size=(7, 11)).astype(np.float32)
    whole = histogram_of(values)
    monkeypatch.setattr(value_histogram, "_AT_ONCE", 10)
    assert same(histogram_of(values), whole)


@pytest.mark.parametrize("value", [1e-45, 3e38])
def test_the_ends_of_float32_are_counted(value):
    assert histogram_of(np.array([value, -value], np.float32)).counts.sum() == 2
