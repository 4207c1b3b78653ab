"""Names of our own making: new in every role, the same in each run, and no number changes for them."""

import numpy as np
import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, parser

from profiling.onnx_io.subgraphs import all_nodes
from profiling.onnx_io.unique_names import (
    FreshNames,
    free_appended_names,
    name_nodes,
    name_open_outputs,
    names_of,
    rename_tensors,
)
from profiling.runtime.open_session import Runtime, open_session, run_session

BRANCH = """<ir_version: 8, opset_import: ["" : 17]>
g (float[2] x, bool c) => (float[2] y)
<float[2] w = {1, 2}>
{
  [twin] h = Add (x, w)
  [twin] y = If (c) <
    then_branch = t () => (float[2] a) { [twin] a = Add (h, w) },
    else_branch = e () => (float[2] b) { b = Neg (h) }
  >
}"""


def branching() -> onnx.ModelProto:
    return parser.parse_model(BRANCH)


def outputs(model: onnx.ModelProto) -> list[np.ndarray]:
    session = open_session(model, Runtime())
    feeds = [{"x": np.float32([1, -2]), "c": np.array(chosen)} for chosen in (True, False)]
    return [run_session(session, one)["y"] for one in feeds]


def test_every_role_and_depth_has_its_names_listed():
    assert set(names_of(branching().graph)) >= {"x", "c", "y", "w", "h", "a", "b", "twin", ""}


@given(st.lists(st.sampled_from(["x", "w", "h", "a", "b", "twin", "new", "new_2", "a_2"]), max_size=12))
def test_a_fresh_name_is_given_once_and_was_nobodys(wanted):
    graph = branching().graph
    fresh = FreshNames(graph)
    given_out = [fresh.of(name) for name in wanted]
    assert len(set(given_out)) == len(given_out)
    assert not set(given_out) & set(names_of(graph))
    assert all(new.startswith(old) for old, new in zip(wanted, given_out, strict=True))


def test_a_name_that_is_free_is_kept():
    fresh = FreshNames(branching().graph)
    assert [fresh.of("new"), fresh.of("new"), fresh.of("h")] == ["new", "new_2", "h_2"]


def test_renaming_tensors_reaches_nested_graphs_and_changes_no_number():
    model, renamed = branching(), branching()
    name_nodes(model.graph)
    name_nodes(renamed.graph)
    rename_tensors(renamed.graph, {"h": "middle", "w": "weight"})
    assert not {"h", "w"} & set(names_of(renamed.graph))
    for before, after in zip(outputs(model), outputs(renamed), strict=True):
        np.testing.assert_array_equal(before, after)


def test_nodes_of_nested_graphs_get_names_that_outer_ones_do_not_have():
    """The runtime inlines a branch whose condition is constant, and refuses two nodes of one name."""
    model = branching()
    name_nodes(model.graph)
    names = [node.name for node in all_nodes(model.graph)]
    assert all(names)
    assert len(set(names)) == len(names)
    assert model.graph.node[0].name == "twin"  # the first keeps it
    tensors = {"x", "c", "y", "w", "h", "a", "b"}
    assert not tensors & set(names)


def test_naming_nodes_twice_changes_nothing():
    model = branching()
    name_nodes(model.graph)
    once = model.SerializeToString(deterministic=True)
    name_nodes(model.graph)
    assert model.SerializeToString(deterministic=True) == once


def test_outputs_skipped_among_any_number_are_named_and_others_stay_skipped():
    split = helper.make_node("Split", ["x"], ["", "y"], axis=0)
    dropout = helper.make_node("Dropout", ["x"], ["z", ""])
    foreign = helper.make_node("Strange", ["x"], ["", "s"], domain="my.ops")
    graph = helper.make_graph([split, dropout, foreign], "g", [], [])
    name_open_outputs(graph)
    assert graph.node[0].output[1] == "y"
    assert graph.node[0].output[0]
    assert list(graph.node[1].output) == ["z", ""]
    assert list(graph.node[2].output) == ["", "s"]


def test_a_constant_named_like_the_scale_of_a_tensor_gives_way():
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y)
    <float[2] h_scale = {1, 2}> { h = Neg (x) y = Add (h, h_scale) }"""
    model, freed = parser.parse_model(text), parser.parse_model(text)
    free_appended_names(freed.graph)
    assert "h_scale" not in set(names_of(freed.graph))
    assert {"x", "h", "y"} <= set(names_of(freed.graph))
    feeds = {"x": np.float32([3, 4])}
    answers = [run_session(open_session(one, Runtime()), feeds)["y"] for one in (model, freed)]
    np.testing.assert_array_equal(*answers)


def test_an_output_keeps_its_name_and_what_it_seems_to_belong_to_gives_way():
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] h_scale)
    { h = Neg (x) h_scale = Abs (h) }"""
    graph = parser.parse_model(text).graph
    free_appended_names(graph)
    assert graph.output[0].name == graph.node[1].output[0] == "h_scale"
    assert graph.node[0].output[0] == graph.node[1].input[0] == "h/given"


def test_two_public_names_stay_though_one_seems_made_from_the_other():
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] x_scale)
    { x_scale = Neg (x) }"""
    graph = parser.parse_model(text).graph
    before = graph.SerializeToString(deterministic=True)
    free_appended_names(graph)
    assert graph.SerializeToString(deterministic=True) == before
