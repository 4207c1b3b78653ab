"""A model records the shapes that its tensors have when it runs."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from text_models import make, samples_of, weight

from profiling.errors import ModelError
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.input_shapes import dimensions
from profiling.preparation.recorded_shapes import ENOUGH_SAMPLES, fix_shapes
from profiling.runtime.open_session import Runtime, open_session, run_session

_RESHAPED = "(float[2, 6] x, int64[2] s) => (float[a, b] y) { h = Relu (x) y = Reshape (h, s) }"


def recorded(model: onnx.ModelProto) -> dict[str, tuple]:
    return {v.name: dimensions(v) for v in (*model.graph.value_info, *model.graph.output)}


def test_recorded_shapes_are_those_of_real_outputs():
    text = """(float[1, 3, 9, 9] x, int64[2] s) => (float[a, b] y) {
        c = Conv <strides = [2, 2]> (x, w)
        p = AveragePool <kernel_shape = [2, 2]> (c)
        n = NonZero (ones)
        y = Reshape (p, s)
    }"""
    model = make(text, {"w": weight(4, 3, 2, 2), "ones": np.ones((2, 3), np.float32)})
    feeds = [{"x": sample["x"], "s": np.array([2, 18])} for sample in samples_of(model)]
    fix_shapes(model, feeds)
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(model.graph.value_info)
    arrays = run_session(open_session(watched, Runtime(), Optimization.BASIC), feeds[0])
    assert recorded(model) == {name: array.shape for name, array in arrays.items()}
    assert set(arrays) == {"c", "p", "n", "y"}


def test_every_sample_is_run_where_inference_leaves_a_shape_open():
    model = make(_RESHAPED, {})
    feeds = [{"x": weight(2, 6), "s": np.array([3, 4])} for _ in range(ENOUGH_SAMPLES + 1)]
    fix_shapes(model, feeds)
    assert recorded(model)["y"] == (3, 4)
    feeds[-1]["s"] = np.array([4, 3])
    with pytest.raises(ModelError, match="output 'y' has a dynamic shape"):
        fix_shapes(make(_RESHAPED, {}), feeds)


def test_without_samples_inference_decides():
    model = make("(float[2, 6] x) => (float[a, b] y) { h = MatMul (x, w) y = Relu (h) }", {"w": weight(6, 5)})
    fix_shapes(model, [])
    assert recorded(model) == {"h": (2, 5), "y": (2, 5)}
    with pytest.raises(ModelError, match="dynamic shape"):
        fix_shapes(make(_RESHAPED, {}), [])


def test_what_tools_left_behind_is_forgotten():
    model = make("(float[2, 6] x) => (float[2, 6] y) { h = Relu (x) y = Neg (h) }", {})
    model.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [7, 7]))
    model.graph.value_info.append(helper.make_tensor_value_info("gone", TensorProto.FLOAT, [1]))
    for samples in (samples_of(model), []):
        fix_shapes(model, samples)
        assert recorded(model) == {"h": (2, 6), "y": (2, 6)}


def test_what_is_to_be_omitted_is_not_recorded():
    model = make("(float[2, 6] x) => (float[2, 6] y) { h = Relu (x) y = Neg (h) }", {})
    fix_shapes(model, samples_of(model), {"h"})
    assert recorded(model) == {"y": (2, 6)}


def test_an_output_that_is_an_input_has_its_type():
    model = make("(int64[2, 6] x) => (int64[2, 6] y, int64[a, b] x) { y = Neg (x) }", {})
    fix_shapes(model, samples_of(model))
    assert model.graph.output[1] == model.graph.input[0]


def test_an_output_that_is_no_tensor_is_refused_by_what_it_is():
    model = make("(float[4, 3] x) => (seq(float) y) { y = SplitToSequence (x) }", {})
    with pytest.raises(ModelError, match="output 'y' is a sequence"):
        fix_shapes(model, samples_of(model))
