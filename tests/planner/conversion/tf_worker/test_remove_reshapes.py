import onnx
from onnx import parser

from planner.conversion.tf_worker.remove_reshapes import remove_noop_reshapes


def test_reshapes_that_change_nothing_go_and_others_stay():
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[1,1,4,4] x) => (float[16] y, float[16] z)
        <int64[4] same = {1, 1, 4, 4}, int64[1] flat = {16}>
        { a = Reshape(x, same)  b = Reshape(a, same)  c = Relu(b)
          y = Reshape(c, flat)  z = Reshape(y, flat) }"""
    )
    remove_noop_reshapes(model)
    onnx.checker.check_model(model)
    assert [node.op_type for node in model.graph.node] == ["Relu", "Reshape", "Reshape"]
    assert model.graph.node[0].input[0] == "x"
    assert model.graph.node[2].output[0] == "z"
