"""Nothing passes into a nested graph or to an output unseen, and numbers stay."""

import numpy as np
import onnx
import pytest
from text_models import assert_same, make, samples_of, weight

from profiling.onnx_io.subgraphs import outer_scope_inputs
from profiling.preparation.boundary_identities import expose_captures, write_outputs
from profiling.runtime.open_session import Runtime, open_session, run_session

_IF = """(float[2, 3] x, bool c) => (float[2, 3] y) {
    h = Relu (x)
    y = If (c) <
        then_branch = one () => (float[2, 3] a) { a = Add (h, h) },
        else_branch = two () => (float[2, 3] b) { t = Neg (h) b = Mul (t, x) }
    >
}"""


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def test_a_nested_graph_reads_only_identities_of_its_own():
    source = make(_IF, {})
    exposed = copied(source)
    expose_captures(exposed.graph)
    (choice,) = (node for node in exposed.graph.node if node.op_type == "If")
    identities = {node.output[0]: node.input[0] for node in exposed.graph.node if node.op_type == "Identity"}
    assert {identities[name] for name in outer_scope_inputs(choice)} == {"h", "x"}
    for taken in (True, False):
        assert_same(source, exposed, [{"x": weight(2, 3), "c": np.array(taken)}])


@pytest.mark.parametrize(
    "text",
    [
        "(float[2, 3] x) => (float[2, 3] y, float[3] w) { y = Add (x, w) }",
        "(float[2, 3] x) => (float[2, 3] y, float[2, 3] x) { y = Add (x, w) }",
        "(float[2, 3] x) => (float[2, 3] y, float[2, 3] x, float[3] w) { h = Relu (x) y = Add (h, w) }",
    ],
)
def test_outputs_are_written_by_a_node_or_are_inputs_that_no_node_reads_for_others(text):
    source = make(text, {"w": weight(3)})
    written = copied(source)
    write_outputs(written.graph)
    onnx.checker.check_model(written)
    inputs = {value.name for value in written.graph.input}
    outputs = {value.name for value in written.graph.output}
    assert not [n for n in written.graph.node if n.op_type != "Identity" and outputs.intersection(n.input)]
    by_nodes = {name for node in written.graph.node for name in node.output}
    assert outputs <= inputs | by_nodes
    for feeds in samples_of(source):
        expected, actual = (run_session(open_session(m, Runtime()), feeds) for m in (source, written))
        assert {name: array.tobytes() for name, array in expected.items()} == {
            name: array.tobytes() for name, array in actual.items()
        }


def test_nodes_for_inputs_that_are_outputs_come_in_the_order_of_the_inputs():
    names = [f"x{i}" for i in range(8)]
    ends = ", ".join(f"float[2] {name}" for name in names)
    text = f"({ends}) => ({ends}, float[2] y) {{ y = Sum ({', '.join(names)}) }}"
    model = make(text, {})
    write_outputs(model.graph)
    assert [node.input[0] for node in model.graph.node if node.op_type == "Identity"] == names
