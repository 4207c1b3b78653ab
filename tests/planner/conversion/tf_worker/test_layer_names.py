import onnx
from onnx import parser

from planner.conversion.tf_worker.layer_names import name_by_layer


def graph(*names: str) -> onnx.ModelProto:
    """Return a chain of a Conv, an Add, a Relu and a Mul with given names."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[1,1,4,4] x) => (float[1,1,4,4] y)
        <float[1,1,1,1] w = {2.0}> { a = Conv(x, w)  b = Add(a, w)  c = Relu(b)  y = Mul(c, w) }"""
    )
    for node, name in zip(model.graph.node, names, strict=True):
        node.name = name
    return model


def test_nodes_are_named_by_the_longest_layer_they_lie_in():
    model = graph("enc/c/convolution", "enc/c/BiasAdd", "enc/r/Relu", "out/mul")
    name_by_layer(model, {"enc", "enc/c", "enc/r", "out"}, {})
    assert [n.name for n in model.graph.node] == ["enc/c/Conv", "enc/c/Add", "enc/r/Relu", "out/Mul"]
    assert [n.output[0] for n in model.graph.node] == ["enc/c/Conv:0", "enc/c/Add:0", "enc/r/Relu:0", "y"]
    onnx.checker.check_model(model)


def test_a_folded_convolution_gets_its_own_layer_back():
    model = graph("bn/batchnorm/mul_1", "bn/batchnorm/add_1", "relu/Relu", "out/mul")
    name_by_layer(model, {"conv", "bn", "relu", "out"}, {"bn/batchnorm/mul_1": "conv/convolution"})
    assert model.graph.node[0].name == "conv/Conv"


def test_a_node_of_the_converter_belongs_to_the_layer_in_front_of_it():
    model = graph("c/convolution", "const_fold__12", "r/Relu", "Mul__3")
    name_by_layer(model, {"c", "r"}, {})
    assert [n.name for n in model.graph.node] == ["c/Conv", "c/Add", "r/Relu", "r/Mul"]


def test_names_stay_apart():
    model = graph("c/one", "c/two", "c/three", "c/four")
    model.graph.node[1].op_type = model.graph.node[3].op_type = "Mul"
    name_by_layer(model, {"c"}, {})
    assert [n.name for n in model.graph.node] == ["c/Conv", "c/Mul", "c/Relu", "c/Mul_1"]


def test_without_layers_the_scopes_serve_without_calls_and_the_model_s_own():
    call = "StatefulPartitionedCall/PartitionedCall_1/"
    model = graph(*(f"{call}net_1/{rest}" for rest in ("a_1/conv", "a_1/add", "b_1/Relu", "c_1/mul")))
    name_by_layer(model, (), {})
    assert [n.name for n in model.graph.node] == ["a/Conv", "a/Add", "b/Relu", "c/Mul"]
