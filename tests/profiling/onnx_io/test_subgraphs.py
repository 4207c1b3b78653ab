"""What nested graphs take from outside, held against the runtime: it runs exactly what needs these names."""

import numpy as np
import onnx
import pytest
from onnx import helper, parser

from profiling.onnx_io.subgraphs import (
    all_initializers,
    all_inputs,
    all_nodes,
    free_variables,
    outer_scope_inputs,
    rename_outer_inputs,
    subgraphs,
)
from profiling.runtime.open_session import Runtime, open_session, run_session

NESTED = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x, bool c) => (float[2] y)
{
  h = Neg (x)
  u = Abs (x)
  y = If (c) <
    then_branch = outer_then () => (float[2] t) {
      own = Add (h, h)
      t = If (c) <
        then_branch = inner_then () => (float[2] a) { a = Add (own, u) },
        else_branch = inner_else () => (float[2] b) { b = Neg (x) }
      >
    },
    else_branch = outer_else () => (float[2] e) { e = Identity (h) }
  >
}"""
LOOP = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x, int64 n, bool c) => (float[2] y)
{
  step = Abs (x)
  y = Loop (n, c, x) <
    body = once (int64 i, bool before, float[2] state) => (bool after, float[2] next) {
      after = Identity (before)
      next = Add (state, step)
    }
  >
}"""


def node_of(text: str, op_type: str) -> onnx.NodeProto:
    graph = parser.parse_model(text).graph
    return next(node for node in graph.node if node.op_type == op_type)


@pytest.mark.parametrize(
    ("text", "op_type", "captured"),
    [(NESTED, "If", {"h", "u", "x", "c"}), (LOOP, "Loop", {"step"}), (NESTED, "Neg", set())],
    ids=["if in if", "loop", "plain"],
)
def test_captured_names_are_those_of_outer_tensors_only(text, op_type, captured):
    node = node_of(text, op_type)
    names = outer_scope_inputs(node)
    assert set(names) == captured
    assert len(names) == len(set(names))


def test_what_a_node_reads_is_its_inputs_and_what_it_captures_each_once():
    node = node_of(NESTED, "If")
    assert all_inputs(node)[0] == "c"
    assert sorted(all_inputs(node)) == ["c", "h", "u", "x"]
    clip = helper.make_node("Clip", ["x", "", "most"], ["y"])
    assert all_inputs(clip) == ("x", "most")


def test_a_graph_without_one_captured_tensor_is_refused_by_the_runtime():
    """Each name counts: the runtime misses a tensor that we would leave out."""
    model = parser.parse_model(NESTED)
    node = next(node for node in model.graph.node if node.op_type == "If")
    for name in outer_scope_inputs(node):
        cut = parser.parse_model(NESTED)
        kept = [n for n in cut.graph.node if name not in n.output]
        del cut.graph.node[:]
        cut.graph.node.extend(kept)
        inputs = [value for value in cut.graph.input if value.name != name]
        del cut.graph.input[:]
        cut.graph.input.extend(inputs)
        with pytest.raises(Exception, match="cannot load the model"):
            open_session(cut, Runtime())


def test_a_branch_that_hands_on_an_outer_tensor_reads_it():
    branch = helper.make_graph([], "b", [], [helper.make_tensor_value_info("outer", 1, [2])])
    assert list(free_variables(branch)) == ["outer"]


def test_inputs_and_initializers_of_a_nested_graph_hide_outer_ones():
    branch = helper.make_graph(
        [helper.make_node("Add", ["fed", "weight"], ["s"]), helper.make_node("Add", ["s", "outer"], ["y"])],
        "b",
        [helper.make_tensor_value_info("fed", 1, [1])],
        [helper.make_tensor_value_info("y", 1, [1])],
        [helper.make_tensor("weight", 1, [1], [1.0])],
    )
    assert list(free_variables(branch)) == ["outer"]
    rename_outer_inputs(branch, {"fed": "a", "weight": "b", "s": "c", "outer": "d"})
    assert [list(node.input) for node in branch.node] == [["fed", "weight"], ["s", "d"]]


def test_renaming_what_is_captured_changes_no_number():
    model = parser.parse_model(NESTED)
    feeds = [{"x": np.float32([1, -2]), "c": np.array(chosen)} for chosen in (True, False)]
    before = [run_session(open_session(model, Runtime()), one)["y"] for one in feeds]
    names = {"h": "h2", "u": "u2"}
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
        for subgraph in subgraphs(node):
            rename_outer_inputs(subgraph, names)
    assert {"h2", "u2"} <= {name for node in model.graph.node for name in all_inputs(node)}
    for one, expected in zip(feeds, before, strict=True):
        np.testing.assert_array_equal(run_session(open_session(model, Runtime()), one)["y"], expected)


def test_graphs_in_a_list_count_like_single_ones():
    branches = [helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], name, [], []) for name in "ab"]
    node = helper.make_node("Choose", ["i"], ["y"], domain="my.ops", branches=branches)
    assert [graph.name for graph in subgraphs(node)] == ["a", "b"]
    assert all_inputs(node) == ("i", "x")


def test_every_depth_is_walked():
    model = parser.parse_model(NESTED)
    assert sorted(node.op_type for node in all_nodes(model.graph)) == sorted(
        ["Neg", "Abs", "If", "Add", "If", "Add", "Neg", "Identity"]
    )
    outer = next(node for node in model.graph.node if node.op_type == "If")
    inner = next(node for node in subgraphs(outer)[0].node if node.op_type == "If")
    for depth, node in enumerate((outer, inner)):
        subgraphs(node)[0].initializer.append(helper.make_tensor(f"deep{depth}", 1, [1], [0.0]))
    assert [init.name for init in all_initializers(outer)] == ["deep0", "deep1"]
