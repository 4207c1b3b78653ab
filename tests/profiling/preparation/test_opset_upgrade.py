"""Models of old operator sets give the same numbers in the new one."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from text_models import assert_same, make, samples_of, weight

from profiling.errors import ModelError
from profiling.onnx_io.external_weights import externalize
from profiling.onnx_io.load_model import MIN_OPSET, TARGET_OPSET, default_opset
from profiling.preparation.opset_upgrade import upgrade_opset

_OLD = {
    "clip by attributes": (
        9,
        "(float[2, 6] x) => (float[2, 6] y) { y = Clip <min = -0.5, max = 0.25> (x) }",
        {},
    ),
    "squeeze by attributes": (
        11,
        "(float[1, 2, 1, 6] x) => (float[2, 6] y) { y = Squeeze <axes = [0, 2]> (x) }",
        {},
    ),
    "softmax over all behind an axis": (
        11,
        "(float[2, 3, 4] x) => (float[2, 3, 4] y) { y = Softmax <axis = 1> (x) }",
        {},
    ),
    "sum by attributes": (
        11,
        "(float[2, 3, 4] x) => (float[2, 4] y) { y = ReduceSum <axes = [1], keepdims = 0> (x) }",
        {},
    ),
    "split by attribute": (
        11,
        "(float[2, 6] x) => (float[2, 2] y, float[2, 4] z) { y, z = Split <axis = 1, split = [2, 4]> (x) }",
        {},
    ),
    "gemm": (
        9,
        "(float[2, 6] x) => (float[2, 5] y) { h = Gemm (x, w, b) y = Dropout <ratio = 0.5> (h) }",
        {"w": weight(6, 5), "b": weight(5)},
    ),
}


@pytest.mark.parametrize("name", _OLD)
def test_numbers_stay(name):
    opset, text, constants = _OLD[name]
    source = make(text, constants, opset=opset)
    upgraded = upgrade_opset(source)
    assert default_opset(upgraded) == TARGET_OPSET
    assert_same(source, upgraded, samples_of(source))


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(
    ("opset", "operator", "scales"),
    [
        (9, "Upsample", (1, 1, 3, 2)),
        (9, "Upsample", (1, 1, 1.5, 2.5)),
        (10, "Resize", (1, 1, 1.5, 2.5)),
        (10, "Resize", (1, 1, 0.5, 0.6)),
        (10, "Resize", (1, 1, 1, 0.3)),
    ],
)
def test_resizes_keep_the_coordinates_of_their_opset(opset, operator, scales, mode):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "s"], ["y"], mode=mode)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 10, 10])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.float32(scales), "s")],
    )
    source = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=5)
    assert_same(source, upgrade_opset(source), samples_of(source))


def test_a_resize_with_coordinates_of_its_own_keeps_them():
    text = (
        "(float[1, 1, 4, 4] x) => (float[1, 1, 8, 8] y) "
        '{ y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, r, s) }'
    )
    source = make(text, {"r": np.float32([]), "s": np.float32([1, 1, 2, 2])}, opset=11)
    assert_same(source, upgrade_opset(source), samples_of(source))


def test_weights_outside_the_model_come_back():
    text = "(float[1, 512] x) => (float[1, 600] y) { y = MatMul (x, w) }"
    source = make(text, {"w": weight(512, 600)}, opset=9)
    upgraded = onnx.ModelProto()
    upgraded.CopyFrom(source)
    externalize(upgraded)
    large = upgraded.graph.initializer[0].SerializeToString(deterministic=True)
    upgraded = upgrade_opset(upgraded)
    assert upgraded.graph.initializer[0].SerializeToString(deterministic=True) == large
    assert [value.name for value in upgraded.graph.input] == ["x"]


@pytest.mark.parametrize("opset", [MIN_OPSET, TARGET_OPSET, 21])
def test_a_model_that_is_new_enough_is_handed_back(opset):
    source = make("(float[2, 6] x) => (float[2, 6] y) { y = Relu (x) }", {}, opset=opset)
    assert upgrade_opset(source) is source


def test_an_operator_without_an_adapter_is_an_error():
    source = make("(float[2, 6] x) => (float[2, 6] y) { y = Relu (x) }", {}, opset=9)
    source.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ModelError, match=f"opset 9 cannot be converted to {TARGET_OPSET}"):
        upgrade_opset(source)
