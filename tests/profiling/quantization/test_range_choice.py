import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiling.quantization.activation_histograms import SeenValues
from profiling.quantization.range_choice import chosen_ranges, rounding_error
from profiling.quantization.value_histogram import histogram_of
from profiling.range_method import RangeMethod, TensorRanges

EVERY = [TensorRanges(method, symmetric) for method in RangeMethod for symmetric in (False, True)]
MANY = 100_000


def seen(values) -> SeenValues:
    array = np.array(values, np.float32)
    return SeenValues(float(array.min()), float(array.max()), histogram_of(array))


def chosen(values: SeenValues, wanted: TensorRanges) -> tuple[float, float]:
    return chosen_ranges({"t": values}, {"t": (values.low, values.high)}, wanted)["t"]


def measured_error(values, low: float, high: float, *, symmetric: bool) -> float:
    """Return the mean square error of rounding each value, as QuantizeLinear and back do it."""
    low, high = min(low, 0.0), max(high, 0.0)
    least, most = (-127, 127) if symmetric else (0, 255)
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    step = (high - low) / (most - least)
    zero = 0 if symmetric else round(-low / step)
    numbers = np.clip(np.rint(np.asarray(values, np.float64) / step) + zero, least, most)
    return float(np.mean(((numbers - zero) * step - values) ** 2))


def with_outlier(shape: str) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=MANY).astype(np.float32)
    values = np.maximum(values, 0) if shape == "one-sided" else values
    values[12_345] = 200.0
    return values


@pytest.mark.parametrize("shape", ["one-sided", "two-sided"])
@pytest.mark.parametrize("symmetric", [False, True])
def test_one_outlier_in_100_000_is_clipped_by_percentile_and_mse(shape, symmetric):
    values = seen(with_outlier(shape))
    assert chosen(values, TensorRanges(RangeMethod.MINMAX, symmetric)) == (values.low, 200.0)
    low, high = chosen(values, TensorRanges(RangeMethod.PERCENTILE, symmetric))
    assert 3 < high < 5
    assert low == 0 if shape == "one-sided" else -5 < low < -3
    for method in (RangeMethod.MSE, RangeMethod.BEST):
        assert chosen(values, TensorRanges(method, symmetric))[1] < 195


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_least_error_clips_an_outlier_that_is_rare_enough(symmetric):
    values = with_outlier("one-sided")
    common, outlier = histogram_of(values[values < 100]), histogram_of(values[values > 100])
    many = sum([common] * 99, common)  # one in ten millions: its clipping costs less than coarser steps
    for method in (RangeMethod.PERCENTILE, RangeMethod.MSE, RangeMethod.BEST):
        low, high = chosen(SeenValues(0.0, 200.0, many + outlier), TensorRanges(method, symmetric))
        assert low == 0
        assert 3 < high < 50


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("limits", [(-4.0, 4.0), (-1.0, 2.5), (0.0, 3.0), (-2.0, 0.0)])
def test_the_error_of_a_range_is_that_of_rounding_every_value(limits, symmetric):
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(size=MANY), np.zeros(MANY // 2), np.full(1000, 6.0)])
    values = np.clip(values, -5, 6).astype(np.float32)
    low, high = (np.array([limit]) for limit in limits)
    (found,) = rounding_error(seen(values), low, high, symmetric=symmetric)
    assert found == pytest.approx(measured_error(values, *limits, symmetric=symmetric), rel=0.03)


samples = st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=40).filter(lambda v: len(set(v)) > 1)


@settings(deadline=None)
@given(samples, st.booleans())
def test_no_searched_range_has_a_larger_error_than_minmax(values, symmetric):
    values = seen(values)
    for method in (RangeMethod.MSE, RangeMethod.BEST):
        low, high = chosen(values, TensorRanges(method, symmetric))
        errors = rounding_error(
            values, np.array([values.low, low]), np.array([values.high, high]), symmetric=symmetric
        )
        assert errors[1] <= errors[0]


@settings(deadline=None)  # the runtime's search for the least entropy takes a second
@given(samples, st.sampled_from(EVERY))
def test_no_range_reaches_beyond_the_values_or_zero(values, wanted):
    values = seen(values)
    low, high = chosen(values, wanted)
    assert min(values.low, 0.0) <= low <= high <= max(values.high, 0.0)
    if wanted.method is not RangeMethod.MINMAX:
        assert values.low < 0 or low >= 0  # so that zero stays the least number
        assert values.high > 0 or high <= 0


@pytest.mark.parametrize("wanted", EVERY, ids=lambda one: one.label)
def test_numbers_behind_a_relu_keep_zero_as_their_least(wanted):
    values = seen(np.maximum(np.random.default_rng(2).normal(size=5000), 0))
    low, high = chosen(values, wanted)
    assert low == 0.0 < high


def test_clipped_values_stay_within_the_clip():
    values = seen(np.clip(np.random.default_rng(3).normal(3, 4, size=20_000), 0, 6))
    for wanted in EVERY:
        low, high = chosen(values, wanted)
        assert low == 0.0
        assert high <= 6.0
    low, high = chosen(values, TensorRanges(RangeMethod.PERCENTILE))
    assert high == 6.0  # a fifth of the values is


@pytest.mark.parametrize("odd", [[3.0, 3.0], [0.0, 0.0], [1.0, np.inf], [np.nan, np.nan]])
def test_what_nothing_can_be_clipped_of_is_left_out(odd):
    array = np.array(odd, np.float32)
    values = {"odd": SeenValues(float(array.min()), float(array.max()), histogram_of(array))}
    for wanted in EVERY:
        assert chosen_ranges(values, {"odd": (values["odd"].low, values["odd"].high)}, wanted) == {}


def test_extremes_that_other_samples_showed_are_a_candidate():
    values = seen(np.random.default_rng(4).uniform(-1, 1, size=5000))
    found = chosen_ranges({"t": values}, {"t": (-1.5, 1.5)}, TensorRanges(RangeMethod.MSE))["t"]
    assert found[0] >= -1.0
    assert found[1] <= 1.0
