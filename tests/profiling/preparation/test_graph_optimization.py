"""Folding keeps the operators that the quantization tool takes."""

import numpy as np
import pytest
from models import with_weights
from onnx import numpy_helper

from profiling.on_device.create_session import Optimization
from profiling.preparation.graph_optimization import fold_constants
from profiling.runtime.open_session import Runtime, open_session

_AT_ONCE = """
<ir_version: 8, opset_import: ["" : 17]>
focus (float[1, 3, 8, 8] x) => (float[1, 12, 4, 4] y)
<int64[2] p00, int64[2] p01, int64[2] p10, int64[2] p11, int64[2] ends, int64[2] axes, int64[2] steps>
{ s0 = Slice (x, p00, ends, axes, steps)
  s1 = Slice (x, p10, ends, axes, steps)
  s2 = Slice (x, p01, ends, axes, steps)
  s3 = Slice (x, p11, ends, axes, steps)
  y = Concat <axis = 1> (s0, s1, s2, s3) }
"""
# As YOLOX does it: rows first, then columns.
_BY_AXIS = """
<ir_version: 8, opset_import: ["" : 17]>
focus (float[1, 3, 8, 8] x) => (float[1, 12, 4, 4] y)
<int64[1] zero, int64[1] one, int64[1] end, int64[1] two, int64[1] three>
{ even = Slice (x, zero, end, two, two)
  odd = Slice (x, one, end, two, two)
  s0 = Slice (even, zero, end, three, two)
  s1 = Slice (odd, zero, end, three, two)
  s2 = Slice (even, one, end, three, two)
  s3 = Slice (odd, one, end, three, two)
  y = Concat <axis = 1> (s0, s1, s2, s3) }
"""
_DENSE = """
<ir_version: 8, opset_import: ["" : 17]>
dense (float[2, 3, 4] x) => (float[2, 3, 5] y) <float[4, 5] w, float[5] b>
{ product = MatMul (x, w)
  y = Add (product, b) }
"""
_GROUPS = """
<ir_version: 10, opset_import: ["" : 21]>
groups (float[1, 8, 6, 6] x) => (float[1, 8, 6, 6] y) <float[8] scale, float[8] bias>
{ h = Abs (x)
  y = GroupNormalization <num_groups = 2> (h, scale, bias) }
"""
_NUMBERS = {
    "p00": [0, 0], "p01": [0, 1], "p10": [1, 0], "p11": [1, 1], "ends": [2**40, 2**40], "axes": [2, 3],
    "steps": [2, 2], "zero": [0], "one": [1], "two": [2], "three": [3], "end": [2**40],
}  # fmt: skip


@pytest.mark.parametrize("text", [_AT_ONCE, _BY_AXIS])
def test_slices_stay_slices(text):
    model = with_weights(text)
    for tensor in model.graph.initializer:
        number = np.array(_NUMBERS[tensor.name], np.int64)
        tensor.CopyFrom(numpy_helper.from_array(number, tensor.name))
    folded = fold_constants(model)
    kinds = [node.op_type for node in model.graph.node]
    assert sorted(node.op_type for node in folded.graph.node) == sorted(kinds)
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    given, made = (
        open_session(m, Runtime(), Optimization.BASIC).run(None, feeds)[0] for m in (model, folded)
    )
    assert given.tobytes() == made.tobytes()


def test_constants_that_folding_adds_have_names_that_the_runtime_does_not_give():
    model = with_weights(_DENSE)
    folded = fold_constants(model)
    named = {init.name for init in model.graph.initializer}
    added = {init.name for init in folded.graph.initializer} - named
    assert "Gemm" in {node.op_type for node in folded.graph.node}
    assert added
    # The runtime's own are a word, with `_token_N` behind it where it is taken.
    assert all("/" in name for name in added)


@pytest.mark.parametrize("other", ["bias", "dense/MatMulAddFusion"])
def test_what_a_node_is_fused_into_has_its_name(other):
    model = with_weights(_DENSE.replace("[2, 3, 4]", "[3, 4]").replace("[2, 3, 5]", "[3, 5]"))
    for node, name in zip(model.graph.node, ("dense", other), strict=True):
        node.name = name
    (gemm,) = fold_constants(model).graph.node
    assert (gemm.op_type, gemm.name) == ("Gemm", "dense")


def test_what_follows_from_shapes_alone_is_folded_in_operators_that_the_runtime_writes_out():
    model = with_weights(_GROUPS)
    folded = fold_constants(model)
    kinds = {node.op_type for node in folded.graph.node}
    assert "GroupNormalization" not in kinds
    assert not kinds & {"Shape", "Cast", "Concat"}
    feeds = {"x": np.random.default_rng(0).normal(size=(1, 8, 6, 6)).astype(np.float32)}
    given, made = (open_session(m, Runtime()).run(None, feeds)[0] for m in (model, folded))
    assert made == pytest.approx(given, abs=1e-5)
