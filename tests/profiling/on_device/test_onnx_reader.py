import onnx
import pytest
from onnx import TensorProto, helper

from profiling.on_device.onnx_reader import read_nodes


def as_onnx_reads_them(model: onnx.ModelProto) -> list[tuple[str, str, list[str], list[str]]]:
    return [(node.name, node.op_type, list(node.input), list(node.output)) for node in model.graph.node]


def test_nodes_are_read_as_onnx_reads_them(residual, tmp_path):
    model = residual.graph.model
    onnx.save(model, tmp_path / "m.onnx")
    assert read_nodes(tmp_path / "m.onnx") == as_onnx_reads_them(model)


def test_names_of_any_length_and_script_optional_inputs_and_attributes_of_all_kinds_are_read(tmp_path):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    long = "n" * 40_000  # its length takes three bytes
    nodes = [
        helper.make_node("Clip", ["x", "", "größe"], [long], name="größe/1"),
        helper.make_node("Foo", [long], ["y", "z"], domain="own", a=1.5, b=-7, c="s", d=[1.0, 2.0], e=[3, 4]),
    ]
    size = helper.make_tensor("größe", TensorProto.FLOAT, [], [6.0])
    model = helper.make_model(helper.make_graph(nodes, "g", [x], [], [size]))
    onnx.save(model, tmp_path / "m.onnx")
    assert read_nodes(tmp_path / "m.onnx") == as_onnx_reads_them(model)
    assert read_nodes(tmp_path / "m.onnx")[1].name == ""


def test_nodes_of_nested_graphs_are_not_those_of_the_model(tmp_path):
    inner = helper.make_graph([helper.make_node("Abs", ["x"], ["b"])], "inner", [], [])
    branch = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    onnx.save(helper.make_model(helper.make_graph([branch], "g", [], [])), tmp_path / "m.onnx")
    assert read_nodes(tmp_path / "m.onnx") == [("", "If", ["c"], ["y"])]


@pytest.mark.parametrize("weights", [0, 1, 10_000])
def test_weights_between_the_nodes_are_passed_over(weights, tmp_path):
    values = helper.make_tensor("w", TensorProto.FLOAT, [weights], [0.0] * weights)
    node = helper.make_node("Identity", ["w"], ["y"], name="last")
    onnx.save(helper.make_model(helper.make_graph([node], "g", [], [], [values])), tmp_path / "m.onnx")
    assert read_nodes(tmp_path / "m.onnx") == [("last", "Identity", ["w"], ["y"])]
