import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from profiling.onnx_io.unique_names import names_of
from profiling.runtime.open_session import Runtime, open_session
from profiling.several_runtimes.onnx_inputs import with_channels_last_inputs

LOOP = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[1,3,2,2] picture, float[2] meta) => (float[1,3,2,2] y, float[2] meta_out)
<int64 times = {3}, bool go = {1}> {
    start = Relu(picture)
    meta_out = Add(meta, meta)
    y = Loop(times, go, start) <body = steps (int64 number, bool on, float[1,3,2,2] before)
        => (bool on_out, float[1,3,2,2] after) {
        on_out = Identity(on)
        more = Add(before, picture)
        after = Add(more, start)
    }>
}
"""


def run(model, feeds):
    return open_session(model, Runtime()).run(None, feeds)


def test_a_model_with_nested_graphs_computes_the_same_of_inputs_with_channels_last():
    model = parser.parse_model(LOOP)
    changed = with_channels_last_inputs(model, ["picture"])
    onnx.checker.check_model(changed, full_check=True)
    rng = np.random.default_rng(0)
    picture, meta = rng.normal(size=(1, 3, 2, 2)).astype(np.float32), np.ones(2, np.float32)
    last = np.ascontiguousarray(np.transpose(picture, (0, 2, 3, 1)))
    for want, got in zip(
        run(model, {"picture": picture, "meta": meta}),
        run(changed, {"picture": last, "meta": meta}),
        strict=True,
    ):
        assert want.tobytes() == got.tobytes()


def test_inner_tensors_have_names_of_their_own():
    constant = numpy_helper.from_array(np.ones(2, np.float32), "c")
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Add", ["x", "c"], ["t"]), helper.make_node("Relu", ["t"], ["y"])]
    ends = [[value(name, TensorProto.FLOAT, [2])] for name in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "net", *ends, [constant]))
    changed = with_channels_last_inputs(model, [])
    assert {name for name in names_of(changed.graph) if name} == {"x", "y", "onnx/t", "onnx/c"}
    assert {name for name in names_of(model.graph) if name} == {"x", "y", "t", "c"}
