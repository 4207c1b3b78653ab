"""Every reader of a float weight has a copy of its own, nested graphs included; numbers stay."""

from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from text_models import assert_same, make, samples_of, weight

from profiling.onnx_io.external_weights import externalize, is_large
from profiling.onnx_io.subgraphs import free_variables, subgraphs
from profiling.preparation.weight_ownership import (
    copy_captured_weights,
    copy_shared_weights,
    drop_unread_weights,
)


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        node.name = f"n_{node.output[0]}"
    return copy


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("(float[8, 8] x) => (float[8, 8] y) { h = MatMul (x, w) y = MatMul (h, w) }", (8, 8)),
        ("(float[8, 8] x) => (float[8, 8] y) { h = MatMul (x, w) k = Add (h, w) y = MatMul (k, w) }", (8, 8)),
        ("(float[8, 8] x) => (float[8, 8] y) { y = Gemm (x, w, w) }", (8, 8)),
        ("(float[2, 8] x) => (float[2, 8] y) { y = LayerNormalization (x, w, w) }", (8,)),
    ],
)
def test_each_reader_and_each_role_has_a_copy(text, shape):
    source = make(text, {"w": weight(*shape)})
    changed = named(source)
    copy_shared_weights(changed.graph)
    onnx.checker.check_model(changed)
    weights = {init.name for init in changed.graph.initializer}
    reads = Counter(name for node in changed.graph.node for name in node.input if name in weights)
    assert set(reads.values()) == {1}
    uses = Counter(name for node in source.graph.node for name in node.input)["w"]
    assert len(reads) == uses
    assert_same(source, changed, samples_of(source))


def test_a_node_without_roles_reads_one_constant_twice():
    source = make(
        "(float[4] x) => (float[4] y) { h = Mul (x, w) k = Max (w, w) y = Add (h, k) }", {"w": weight(4)}
    )
    changed = named(source)
    copy_shared_weights(changed.graph)
    largest = next(node for node in changed.graph.node if node.op_type == "Max")
    assert largest.input[0] == largest.input[1] != "w"
    assert_same(source, changed, samples_of(source))


def test_integers_stay_shared_and_scalars_do_not():
    text = """(float[4, 3] x) => (float[4, 3] y) {
        h = Mul (x, k)
        r = Reshape (h, s)
        t = Mul (r, k)
        y = Reshape (t, s)
    }"""
    source = make(text, {"k": np.float32(2), "s": np.array([4, 3])})
    changed = named(source)
    copy_shared_weights(changed.graph)
    reads = Counter(name for node in changed.graph.node for name in node.input)
    weights = {init.name: reads[init.name] for init in changed.graph.initializer}
    assert sorted(weights.values()) == [1, 1, 2]
    assert weights["s"] == 2
    assert_same(source, changed, samples_of(source))


def test_nested_graphs_carry_what_they_read():
    text = """(float[2, 3] x, bool c) => (float[2, 3] y) {
        h = Add (x, w)
        y = If (c) <
            then_branch = one () => (float[2, 3] a) { a = Add (h, w) },
            else_branch = two () => (float[2, 3] b) { b = Mul (h, h) }
        >
    }"""
    source = make(text, {"w": weight(3)})
    changed = named(source)
    copy_captured_weights(changed.graph)
    (choice,) = (node for node in changed.graph.node if node.op_type == "If")
    assert [sorted(set(free_variables(body))) for body in subgraphs(choice)] == [["h"], ["h"]]
    for taken in (True, False):
        assert_same(source, changed, [{"x": weight(2, 3), "c": np.array(taken)}])


def test_a_large_weight_is_written_into_a_nested_graph():
    text = """(float[1, 512] x, bool c) => (float[1, 600] y) {
        y = If (c) <
            then_branch = one () => (float[1, 600] a) { a = MatMul (x, w) },
            else_branch = two () => (float[1, 600] b) { t = MatMul (x, w) b = Neg (t) }
        >
    }"""
    source = make(text, {"w": weight(512, 600)})
    changed = named(source)
    externalize(changed)
    copy_captured_weights(changed.graph)
    drop_unread_weights(changed.graph)
    assert not changed.graph.initializer
    for body in subgraphs(changed.graph.node[0]):
        (inner,) = body.initializer
        assert not is_large(inner)
        assert (numpy_helper.to_array(inner) == numpy_helper.to_array(source.graph.initializer[0])).all()


def test_what_nobody_reads_goes_and_outputs_stay():
    source = make(
        "(float[3] x) => (float[3] y, float[3] w) { y = Add (x, v) }",
        {"u": weight(3), "v": weight(3), "w": weight(3)},
    )
    drop_unread_weights(source.graph)
    assert [init.name for init in source.graph.initializer] == ["v", "w"]
