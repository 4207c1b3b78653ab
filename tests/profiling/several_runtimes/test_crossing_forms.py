import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from profiling.runtime.open_session import Runtime, open_session
from profiling.several_runtimes.crossing_forms import (
    Adapter,
    Affine,
    End,
    adapter_seconds,
    affine_of,
    with_adapters,
)

FLOAT = TensorProto.FLOAT
AXES = (0, 2, 3, 1)


def run(nodes, constants, source, target, value):
    graph = helper.make_graph(list(nodes), "adapter", [source.value], [target.value], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (found,) = open_session(model, Runtime()).run(None, {source.name: value})
    return found


def there_and_back(adapter, value):
    crossed = run(*adapter.giving(), adapter.own, adapter.crossing, value)
    return crossed, run(*adapter.taking(), adapter.crossing, adapter.own, crossed)


@given(st.floats(1e-6, 1e3), st.integers(-128, 127), st.floats(-1e-6, 1e-6))
@settings(max_examples=40, deadline=None)
def test_all_integers_come_back_as_they_were(scale, zero_point, rounding):
    own = Affine(float(np.float32(scale)), zero_point + 128, TensorProto.UINT8)
    crossing = Affine(float(np.float32(scale * (1 + rounding))), zero_point, TensorProto.INT8)
    adapter = Adapter(
        End("own", (1, 4, 8, 8), own.elem_type, own),
        End("crossing", (1, 8, 8, 4), crossing.elem_type, crossing),
        AXES,
    )
    every = np.arange(256).astype(np.uint8).reshape(1, 4, 8, 8)
    crossed, back = there_and_back(adapter, every)
    np.testing.assert_array_equal(back, every)
    np.testing.assert_array_equal(crossed, (np.transpose(every, AXES).astype(int) - 128).astype(np.int8))


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), AXES, (0, 3, 1, 2)])
def test_floats_cross_bit_for_bit(axes):
    value = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
    moved = np.transpose(value, axes)
    adapter = Adapter(End("own", value.shape, FLOAT), End("crossing", moved.shape, FLOAT), axes)
    crossed, back = there_and_back(adapter, value)
    np.testing.assert_array_equal(crossed, moved)
    np.testing.assert_array_equal(back, value)


def stage():
    """Return a stage that doubles `a` and gives what is read, and due, as `b`."""
    values = [helper.make_tensor_value_info(name, FLOAT, (1, 2, 3, 4)) for name in "ab"]
    nodes = [helper.make_node("Add", ["a", "a"], ["b"])]
    graph = helper.make_graph(nodes, "stage", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("kept", [[], ["b"]])
def test_a_stage_takes_and_gives_tensors_as_they_cross(kept):
    affine = Affine(0.5, 3, TensorProto.INT8)
    taking = Adapter(End("a", (1, 2, 3, 4), FLOAT), End("a there", (1, 3, 4, 2), FLOAT), AXES)
    end = End("b", (1, 2, 3, 4), FLOAT)
    giving = [
        Adapter(end, End("b there", (1, 3, 4, 2), TensorProto.INT8, affine), AXES),
        Adapter(end, End("b exact", (1, 3, 4, 2), FLOAT), AXES),
    ]
    made = with_adapters(stage(), [taking], giving, kept)
    onnx.checker.check_model(made, full_check=True)
    session = open_session(made, Runtime())
    names = [output.name for output in session.get_outputs()]
    assert names == [*kept, "b there", "b exact"]
    value = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    found = dict(zip(names, session.run(None, {"a there": value}), strict=True))
    np.testing.assert_array_equal(found["b exact"], 2 * value)
    np.testing.assert_array_equal(found["b there"], np.rint(2 * value / 0.5).astype(int) + 3)
    if kept:
        np.testing.assert_array_equal(np.transpose(found["b"], AXES), 2 * value)


@pytest.mark.parametrize("repeated", [1, 4])
def test_integers_stand_for_what_their_quantizer_says(repeated):
    shape = () if repeated == 1 else (repeated,)
    constants = [
        numpy_helper.from_array(np.full(shape, 0.25, np.float32), "s"),
        numpy_helper.from_array(np.full(shape, 7, np.uint8), "z"),
    ]
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"])], "g", [], [], constants
    )
    assert affine_of(helper.make_model(graph), "q") == Affine(0.25, 7, TensorProto.UINT8)


def test_adapters_take_seconds():
    adapter = Adapter(End("own", (1, 2, 3), FLOAT), End("crossing", (1, 3, 2), FLOAT), (0, 2, 1))
    give, take = adapter_seconds({"key": adapter}, Runtime())["key"]
    assert give >= 0
    assert take >= 0
