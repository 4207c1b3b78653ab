"""Scales and integers of weights are those of the formats' definitions, and of the tool."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper, numpy_helper
from text_models import make, weight

from profiling.errors import QuantizeError
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import LargeWeight, externalize, read_array
from profiling.quantization.weight_scales import (
    bias_integers,
    channel_scales,
    large_integers,
    to_integers,
    widened_for_bias,
)
from profiling.runtime.open_session import Runtime, open_session, run_session

_QUANTIZE = """(float[3, 4] x, float s, {0} z) => ({0}[3, 4] y) {{ y = QuantizeLinear (x, s, z) }}"""
SESSIONS = {
    name: open_session(make(_QUANTIZE.format(name), {}), Runtime(), Optimization.NONE)
    for name in ("int8", "uint8")
}
_MATRICES = arrays.arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32))


@given(_MATRICES, st.floats(2**-10, 2.0, width=32), st.sampled_from(sorted(SESSIONS)), st.integers(0, 100))
def test_integers_are_those_of_quantize_linear(exact, scale, name, zero_point):
    scale, zero_point = np.float32(scale), np.dtype(name).type(zero_point)
    expected = run_session(SESSIONS[name], {"x": exact, "s": np.asarray(scale), "z": np.asarray(zero_point)})[
        "y"
    ]
    assert to_integers(exact, scale, zero_point).tobytes() == expected.tobytes()


@given(_MATRICES, st.sampled_from([0, 1]), st.booleans())
def test_the_widest_value_of_a_channel_takes_the_last_step(exact, axis, reduced):
    scale = channel_scales(numpy_helper.from_array(exact, "w"), axis, reduced=reduced)
    assert scale.dtype == np.float32
    assert scale.shape == (exact.shape[axis],)
    steps = np.abs(np.moveaxis(exact, axis, 0) / scale[:, None]).max(axis=1)
    last = 64 if reduced else 127
    for step, channel in zip(steps, np.moveaxis(exact, axis, 0), strict=True):
        if np.abs(channel).max() / last > np.finfo(np.float32).tiny:
            assert step == pytest.approx(last, rel=1e-6)
        else:  # too small for a scale: all become zero
            assert step < 0.5


def test_a_weight_that_is_not_finite_is_refused_by_name():
    exact = np.ones((2, 2), np.float32)
    for broken in (np.nan, np.inf, -np.inf):
        exact[1, 0] = broken
        with pytest.raises(QuantizeError, match="'kernel' has values that are not finite"):
            channel_scales(numpy_helper.from_array(exact, "kernel"), 0, reduced=False)


@given(
    arrays.arrays(np.float64, 5, elements=st.floats(-1e6, 1e6)),
    arrays.arrays(np.float32, 5, elements=st.floats(2**-40, 1.0, width=32)),
    st.floats(2**-30, 1.0, width=32),
)
def test_a_bias_fits_into_int32_in_widened_scales(bias, scale, input_scale):
    input_scale = np.float32(input_scale)
    wide = widened_for_bias(scale, input_scale, bias)
    assert (wide >= scale).all()
    steps = np.float64(input_scale) * wide.astype(np.float64)
    assert (np.abs(bias / steps) <= 2**31 - 1).all()
    fits = np.abs(bias) * 1.001 <= np.float64(input_scale) * scale.astype(np.float64) * (2**31 - 1)
    assert (wide[fits] == scale[fits]).all()
    integers = bias_integers(bias, input_scale * wide)
    assert integers.dtype == np.int32
    allowed = 0.5 * steps + 1e-6 * np.abs(bias)  # half a step, and float32's own rounding of it
    assert (np.abs(integers * steps - bias) <= allowed).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_large_weight_gives_the_integers_of_a_small_one(axis):
    exact = weight(4300, 1000)  # in two blocks
    model = make("(float[1] x) => (float[1] y) { y = Neg (x) }", {"w": exact})
    externalize(model)
    (tensor,) = model.graph.initializer
    scale = channel_scales(tensor, axis, reduced=False)
    assert (
        scale.tobytes() == channel_scales(numpy_helper.from_array(exact, "w"), axis, reduced=False).tobytes()
    )
    zero_point = np.zeros(len(scale), np.int8)
    shape = [-1, 1] if axis == 0 else [1, -1]
    expected = to_integers(exact, scale.reshape(shape), zero_point.reshape(shape))
    large = large_integers(
        LargeWeight.of(tensor), axis, scale.tobytes(), zero_point.tobytes(), TensorProto.INT8
    )
    assert large.dtype == helper.tensor_dtype_to_np_dtype(TensorProto.INT8)
    assert read_array(large.reference("w")).tobytes() == expected.tobytes()
