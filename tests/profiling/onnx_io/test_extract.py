"""Parts of a model compute the tensors of the whole, and hold nothing else."""

import models
import numpy as np
import onnx
import pytest
from onnx import checker, numpy_helper, parser

from profiling.on_device.create_session import Optimization
from profiling.onnx_io import external_weights
from profiling.onnx_io.external_weights import check_model, externalize, is_large
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.onnx_io.subgraphs import all_inputs
from profiling.runtime.open_session import Runtime, open_session, run_session

CAPTURING = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x, bool c) => (float[2] y)
<float[2] w = {1, 2}, float[2] unread = {0, 0}>
{
  h = Add (x, w)
  z = Neg (x)
  r = If (c) <
    then_branch = t () => (float[2] a) { a = Add (h, w) },
    else_branch = e () => (float[2] b) { b = Neg (h) }
  >
  y = Add (r, z)
}"""


def typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the type of every tensor."""
    return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def test_every_cut_of_a_chain_gives_the_bits_of_the_whole():
    model = typed(models.residual())
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 2, 8, 8)).astype(np.float32)}
    names = [node.output[0] for node in model.graph.node]
    extractor = SubmodelExtractor(model)
    whole = extractor.extract(["x"], names)
    every = run_session(open_session(whole, Runtime(), Optimization.BASIC), feeds)
    weights = {init.name for init in model.graph.initializer}
    for node in model.graph.node:
        inputs = [name for name in all_inputs(node) if name not in weights]
        part = extractor.extract(inputs, list(node.output))
        checker.check_model(part)
        assert [n.op_type for n in part.graph.node] == [node.op_type]
        fed = {name: feeds[name] if name in feeds else every[name] for name in inputs}
        got = run_session(open_session(part, Runtime(), Optimization.BASIC), fed)
        assert got[node.output[0]].tobytes() == every[node.output[0]].tobytes()


def test_what_a_branch_captures_comes_along():
    part = SubmodelExtractor(typed(parser.parse_model(CAPTURING))).extract(["x", "c"], ["r"])
    checker.check_model(part)
    assert [node.op_type for node in part.graph.node] == ["Add", "If"]
    assert [init.name for init in part.graph.initializer] == ["w"]
    feeds = {"x": np.float32([1, 2]), "c": np.array(True)}
    np.testing.assert_array_equal(run_session(open_session(part, Runtime()), feeds)["r"], [3, 6])


def test_what_a_branch_captures_may_be_fed():
    part = SubmodelExtractor(typed(parser.parse_model(CAPTURING))).extract(["h", "c"], ["r"])
    assert [node.op_type for node in part.graph.node] == ["If"]
    feeds = {"h": np.float32([1, 2]), "c": np.array(False)}
    np.testing.assert_array_equal(run_session(open_session(part, Runtime()), feeds)["r"], [-1, -2])


def test_types_are_those_of_the_tensors_inside_once_each():
    part = SubmodelExtractor(typed(parser.parse_model(CAPTURING))).extract(["x", "c"], ["y", "h"])
    assert [value.name for value in part.graph.output] == ["y", "h"]
    inner = [value.name for value in part.graph.value_info]
    assert sorted(inner) == ["r", "z"]
    assert part.opset_import[0].version == 17
    assert part.ir_version == 8


def test_equal_parts_are_equal_bytes():
    """Hashes of parts are keys of the cache, in other processes too."""
    texts = [
        SubmodelExtractor(typed(models.branches()))
        .extract(["x"], ["y"])
        .SerializeToString(deterministic=True)
        for _ in range(2)
    ]
    assert texts[0] == texts[1]
    part = onnx.load_from_string(texts[0])
    order = [name for node in part.graph.node for name in node.input]
    assert [init.name for init in part.graph.initializer] == sorted(
        {init.name for init in part.graph.initializer}, key=order.index
    )


def test_large_weights_stay_outside(monkeypatch):
    monkeypatch.setattr(external_weights, "LARGE_BYTES", 64)
    model = typed(models.residual())
    inside = {init.name: numpy_helper.to_array(init) for init in model.graph.initializer}
    externalize(model)
    first = model.graph.node[0]
    part = SubmodelExtractor(model).extract(["x"], list(first.output))
    check_model(part)
    large = [init for init in part.graph.initializer if is_large(init)]
    assert [init.name for init in large] == [first.input[1]]
    np.testing.assert_array_equal(external_weights.read_array(large[0]), inside[first.input[1]])


def test_an_end_of_unknown_type_is_an_error_of_the_caller():
    extractor = SubmodelExtractor(parser.parse_model(CAPTURING))
    with pytest.raises(KeyError, match="r"):
        extractor.extract(["x", "c"], ["r"])
