"""Shapes and types are those that a session really gives."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, shape_inference
from text_models import make, samples_of, weight

from profiling.errors import ModelError
from profiling.on_device.create_session import Optimization
from profiling.preparation.observed_shapes import ObservedTensor, observe_tensors
from profiling.runtime.open_session import Runtime, open_session, run_session

_MANY_TYPES = """(float[2, 3, 5] x) => (float[2, 3, 5] y) {
    h = Cast <to = 10> (x)
    b = Greater (x, zero)
    i = ArgMax <axis = 1> (x)
    s = Shape (x)
    n = NonZero (x)
    e = ReduceSum <keepdims = 0> (x)
    w = Cast <to = 16> (x)
    t = Cast <to = 8> (i)
    y = Relu (x)
}"""


def inferred_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = shape_inference.infer_shapes(model).graph
    return {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}


def really(model: onnx.ModelProto, names, feeds) -> dict[str, ObservedTensor]:
    """Return what nodes write as a session gives it."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    arrays = run_session(open_session(watched, Runtime(), Optimization.NONE), feeds)
    return {
        name: ObservedTensor(
            TensorProto.STRING if array.dtype == object else helper.np_dtype_to_tensor_dtype(array.dtype),
            array.shape,
        )
        for name, array in arrays.items()
    }


@pytest.mark.parametrize("known", [True, False], ids=["types known", "types unknown"])
def test_what_is_observed_is_what_a_session_gives(known):
    model = make(_MANY_TYPES, {"zero": np.float32(0)})
    names = [name for node in model.graph.node for name in node.output if name not in ("w", "t")]
    (feeds,) = samples_of(model, 1)
    observed = observe_tensors(model, inferred_types(model) if known else {"w": 0, "t": 0}, [feeds])
    assert {name: observed[name] for name in names} == really(model, names, feeds)
    if known:  # NumPy has neither, the runtime's Shape takes both
        assert observed["w"] == ObservedTensor(TensorProto.BFLOAT16, (2, 3, 5))
        assert observed["t"] == ObservedTensor(TensorProto.STRING, (2, 1, 5))


def test_a_shape_that_differs_between_samples_is_left_out():
    model = make("(float[2, 6] x, int64[2] s) => (float[a, b] y) { h = Relu (x) y = Reshape (h, s) }", {})
    feeds = [{"x": weight(2, 6), "s": np.array(shape)} for shape in ([3, 4], [4, 3])]
    observed = observe_tensors(model, inferred_types(model), feeds)
    assert observed == {"h": ObservedTensor(TensorProto.FLOAT, (2, 6))}
    assert observe_tensors(model, inferred_types(model), feeds[:1])["y"].shape == (3, 4)


def test_a_sequence_is_left_out_whether_or_not_inference_knows_it():
    text = (
        "(float[4, 3] x) => (float[4, 3] y) { q = SplitToSequence (x) y = ConcatFromSequence <axis = 0> (q) }"
    )
    model = make(text, {})
    for types in ({"q": TensorProto.UNDEFINED, "y": TensorProto.FLOAT}, {}):
        assert set(observe_tensors(model, types, samples_of(model, 1))) == {"y"}


def test_recorded_shapes_that_are_wrong_change_nothing():
    model = make("(float[2, 6] x) => (float[2, 6] y) { h = Relu (x) y = Neg (h) }", {})
    model.graph.value_info.append(helper.make_tensor_value_info("h", TensorProto.FLOAT, [7, 7]))
    observed = observe_tensors(model, {"h": TensorProto.FLOAT, "y": TensorProto.FLOAT}, samples_of(model, 1))
    assert {tensor.shape for tensor in observed.values()} == {(2, 6)}


def test_the_model_is_left_alone():
    model = make("(float[2, 6] x) => (float[2, 6] y) { h = Relu (x) y = Neg (h) }", {})
    before = model.SerializeToString(deterministic=True)
    observe_tensors(model, inferred_types(model), samples_of(model, 1))
    assert model.SerializeToString(deterministic=True) == before


def test_a_sample_that_cannot_be_run_is_an_error_in_one_line():
    model = make("(float[2, 6] x, int64[2] s) => (float[a, b] y) { y = Reshape (x, s) }", {})
    with pytest.raises(ModelError, match="cannot run the model on a sample: .*Reshape") as caught:
        observe_tensors(model, inferred_types(model), [{"x": weight(2, 6), "s": np.array([5, 5])}])
    assert "\n" not in str(caught.value)
