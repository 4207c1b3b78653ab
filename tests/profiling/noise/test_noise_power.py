"""Noise power is squared error over squared signal, whatever outputs hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from profiling.noise.noise_power import UNBOUNDED, noise_power, output_errors

_OUTPUTS = arrays.arrays(np.float32, (2, 3), elements=st.floats(-1000, 1000, width=32))


def test_noise_is_squared_error_over_squared_signal():
    reference = [{"y": np.array([3.0, 4.0])}, {"y": np.array([0.0, 0.0])}]
    outputs = [{"y": np.array([3.0, 4.5])}, {"y": np.array([0.0, 0.0])}]
    assert noise_power(outputs, reference) == pytest.approx(0.25 / 25)
    assert noise_power(reference, reference) == 0
    assert noise_power([{"y": np.array([1.0])}], [{"y": np.array([0.0])}]) == UNBOUNDED


@given(_OUTPUTS, st.floats(-2, 2))
def test_a_change_of_scale_has_the_power_of_its_square(exact, change):
    exact = exact.astype(np.float64)
    power = noise_power([{"y": exact * (1 + change)}], [{"y": exact}])
    assert power == pytest.approx(change**2 if exact.any() else 0.0, rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(_OUTPUTS, _OUTPUTS), min_size=1, max_size=4))
def test_samples_and_outputs_count_together(pairs):
    whole = noise_power([{"y": a} for a, _ in pairs], [{"y": b} for _, b in pairs])
    joined = [{str(i): pair[side] for i, pair in enumerate(pairs)} for side in (0, 1)]
    assert noise_power([joined[0]], [joined[1]]) == pytest.approx(whole)


def test_integer_outputs_are_left_out_beside_float_ones():
    reference = [{"y": np.array([1.0]), "index": np.array([3])}]
    assert noise_power([{"y": np.array([1.0]), "index": np.array([4])}], reference) == 0


def test_classes_alone_count_as_one_hot_vectors():
    reference = {"index": np.array([3, 1, 0, 2])}
    outputs = {"index": np.array([3, 2, 0, 2])}
    one_hot = [{"y": np.eye(4)[side["index"]]} for side in (outputs, reference)]
    assert noise_power([outputs], [reference]) == pytest.approx(noise_power(one_hot[:1], one_hot[1:]))


def test_what_is_equally_not_finite_is_right_and_anything_else_infinitely_wrong():
    exact = np.array([np.inf, -np.inf, np.nan, 2.0])
    ((difference, signal),) = output_errors({"y": exact}, {"y": exact})
    assert difference.tolist() == [0, 0, 0, 0]
    assert signal.tolist() == [0, 0, 0, 2]
    for wrong in (
        [np.inf, np.inf, np.nan, 2.0],
        [np.inf, -np.inf, 0.0, 2.0],
        [np.inf, -np.inf, np.nan, np.nan],
    ):
        assert noise_power([{"y": np.array(wrong)}], [{"y": exact}]) == UNBOUNDED


@pytest.mark.parametrize(("dtype", "power"), [(np.float32, 1.0), (np.int64, 2.0)])
@pytest.mark.parametrize("rows", [0, 7])
def test_another_shape_is_wrong_throughout(dtype, power, rows):
    """As of the places of what is positive, which are fewer or more."""
    expected, got = {"y": np.ones((rows, 2), dtype)}, {"y": np.ones((8, 2), dtype)}
    assert noise_power([got], [expected]) == pytest.approx(power)
