"""Quantizers that a model came with keep their numbers, and stand in nobody's way."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from text_models import make, samples_of, weight

from profiling.on_device.create_session import Optimization
from profiling.onnx_io.unique_names import names_of
from profiling.preparation.given_quantization import (
    copy_dequantizers,
    name_zero_points,
    rename_given_quantization,
)
from profiling.runtime.open_session import Runtime, open_session, run_session


def assert_bit_equal(source: onnx.ModelProto, changed: onnx.ModelProto) -> None:
    onnx.checker.check_model(changed)
    for feeds in samples_of(source):
        expected, actual = (
            run_session(open_session(model, Runtime(), Optimization.NONE), feeds)
            for model in (source, changed)
        )
        assert list(expected) == list(actual)
        assert all(expected[name].tobytes() == actual[name].tobytes() for name in expected)


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def typed_by_attribute(scale: np.ndarray, *elem_types: int) -> onnx.ModelProto:
    nodes = []
    for i, elem_type in enumerate(elem_types):
        nodes += [
            helper.make_node("QuantizeLinear", ["x", "s"], [f"q{i}"], output_dtype=elem_type, axis=1),
            helper.make_node("DequantizeLinear", [f"q{i}", "s"], [f"y{i}"], axis=1),
        ]
    ends = [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, [2, 4]) for i in range(len(elem_types))]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])],
        ends,
        [numpy_helper.from_array(scale, "s")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("scale", [np.float32(0.05), np.float32([0.1, 0.2, 0.3, 0.4])], ids=["one", "each"])
def test_a_zero_point_tells_the_type_that_an_attribute_told(scale):
    elem_types = [TensorProto.INT8, TensorProto.UINT8, TensorProto.INT8, TensorProto.UINT16]
    source = typed_by_attribute(scale, *elem_types)
    changed = copied(source)
    name_zero_points(changed)
    assert_bit_equal(source, changed)
    constants = {init.name: init for init in changed.graph.initializer}
    quantizers = [node for node in changed.graph.node if node.op_type == "QuantizeLinear"]
    assert [constants[node.input[2]].data_type for node in quantizers] == elem_types
    assert quantizers[0].input[2] == quantizers[2].input[2]  # one for all of a type
    assert not any(a.name == "output_dtype" for node in quantizers for a in node.attribute)


def test_a_scale_that_is_computed_keeps_the_attribute():
    source = typed_by_attribute(np.float32(0.05), TensorProto.INT8)
    source.graph.node.insert(0, helper.make_node("Abs", ["t"], ["s"]))
    source.graph.initializer[0].name = "t"
    changed = copied(source)
    name_zero_points(changed)
    assert changed == source


QDQ = """(float[2, 4] x) => (float[2, 4] y, float[2, 4] z) {
    q = QuantizeLinear (x, s, o)
    d = DequantizeLinear (q, s, o)
    y = Relu (d)
    h = Add (d, d)
    z = Mul (h, y)
}"""
_CONSTANTS = {"s": np.float32(0.03), "o": np.int8(3)}


def test_names_of_given_quantizers_are_others_afterwards():
    source = make(QDQ, _CONSTANTS)
    for node in source.graph.node:
        node.name = f"n_{node.output[0]}"
    changed = copied(source)
    rename_given_quantization(changed.graph)
    assert_bit_equal(source, changed)
    assert not {"q", "d", "s", "o", "n_q", "n_d"} & set(names_of(changed.graph))
    assert {"x", "y", "z", "h", "n_y"} <= set(names_of(changed.graph))


def test_outputs_of_given_quantizers_keep_their_names():
    text = """(float[2, 4] x) => (int8[2, 4] q, float[2, 4] d) {
        q = QuantizeLinear (x, s, o)
        d = DequantizeLinear (q, s, o)
    }"""
    source = make(text, _CONSTANTS)
    changed = copied(source)
    rename_given_quantization(changed.graph)
    assert_bit_equal(source, changed)


def test_every_reader_has_a_dequantizer_of_its_own():
    source = make(QDQ, _CONSTANTS)
    for node in source.graph.node:
        node.name = f"n_{node.output[0]}"
    changed = copied(source)
    copy_dequantizers(changed.graph)
    assert_bit_equal(source, changed)
    written = [node.output[0] for node in changed.graph.node if node.op_type == "DequantizeLinear"]
    readers = {name: sum(name in node.input for node in changed.graph.node) for name in written}
    assert list(readers.values()) == [1, 1]  # of the Relu, and of the Add, which reads it twice


def test_a_dequantizer_that_is_an_output_stays_one():
    text = QDQ.replace("float[2, 4] z)", "float[2, 4] z, float[2, 4] d)")
    source = make(text, _CONSTANTS)
    for node in source.graph.node:
        node.name = f"n_{node.output[0]}"
    changed = copied(source)
    copy_dequantizers(changed.graph)
    assert_bit_equal(source, changed)
    assert "d" not in [name for node in changed.graph.node for name in node.input]


def test_a_dequantizer_that_is_an_output_and_has_one_reader_is_written_for_both():
    text = """(float[2, 4] x) => (float[2, 4] d, float[2, 4] y) {
        q = QuantizeLinear (x, s, o)
        d = DequantizeLinear (q, s, o)
        y = Relu (d)
    }"""
    source = make(text, _CONSTANTS)
    changed = copied(source)
    copy_dequantizers(changed.graph)
    assert_bit_equal(source, changed)
    assert [node.op_type for node in changed.graph.node].count("DequantizeLinear") == 2


def test_a_weight_that_two_nodes_read_dequantized_comes_with_each():
    text = """(float[2, 4] x) => (float[2, 4] y) {
        w = DequantizeLinear (i, s, o)
        h = MatMul (x, w)
        y = MatMul (h, w)
    }"""
    source = make(text, _CONSTANTS | {"i": np.int8(40 * weight(4, 4))})
    changed = copied(source)
    copy_dequantizers(changed.graph)
    assert_bit_equal(source, changed)
    first, second = (node.input[1] for node in changed.graph.node if node.op_type == "MatMul")
    assert first != second
