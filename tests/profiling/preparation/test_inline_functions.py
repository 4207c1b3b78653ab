"""Functions unfold to as many nodes as were counted, and to the same numbers."""

import onnx
import pytest
from onnx import parser
from text_models import assert_same, samples_of

from profiling.errors import ModelError
from profiling.onnx_io.subgraphs import all_nodes
from profiling.preparation.inline_functions import inline_functions, unfolded_nodes

_HEAD = '<ir_version: 8, opset_import: ["" : 17, "f" : 1]> '
_FUNCTION = '<domain: "f", opset_import: ["" : 17, "f" : 1]> '


def doubling(depth: int) -> onnx.ModelProto:
    """Return a model whose function calls another one twice, and so on."""
    functions = "".join(
        f"{_FUNCTION} f{i} (a) => (c) {{ b = f.f{i + 1} (a) c = f.f{i + 1} (b) }} " for i in range(depth)
    )
    last = f"{_FUNCTION} f{depth} (a) => (c) {{ b = Relu (a) c = Neg (b) }}"
    graph = "g (float[4] x) => (float[4] y) { h = f.f0 (x) k = Abs (h) y = f.f0 (k) } "
    return parser.parse_model(_HEAD + graph + functions + last)


@pytest.mark.parametrize("depth", range(5))
def test_the_count_is_that_of_the_unfolded_model(depth):
    source = doubling(depth)
    inlined = inline_functions(source)
    assert not inlined.functions
    assert len(list(all_nodes(inlined.graph))) == unfolded_nodes(source) == 1 + 2 * 2 * 2**depth
    assert_same(source, inlined, samples_of(source))


def test_calls_inside_nested_graphs_count():
    text = """g (float[4] x, bool c) => (float[4] y) {
        y = If (c) <
            then_branch = one () => (float[4] a) { a = f.f0 (x) },
            else_branch = two () => (float[4] b) { b = Neg (x) }
        >
    } """
    function = f"{_FUNCTION} f0 (a) => (c) {{ b = Relu (a) c = Neg (b) }}"
    source = parser.parse_model(_HEAD + text + function)
    assert unfolded_nodes(source) == 4
    assert len(list(all_nodes(inline_functions(source).graph))) == 4


def test_billions_of_nodes_are_counted_and_refused_at_once():
    assert unfolded_nodes(doubling(60)) == 1 + 4 * 2**60
    with pytest.raises(ModelError, match=r"unfold to 4\.61e\+18 nodes, more than 1,000,000"):
        inline_functions(doubling(60))


def test_functions_that_call_each_other_in_a_circle_are_refused():
    text = "g (float[4] x) => (float[4] y) { y = f.one (x) } "
    functions = (
        f"{_FUNCTION} one (a) => (b) {{ b = f.two (a) }} {_FUNCTION} two (a) => (b) {{ b = f.one (a) }}"
    )
    with pytest.raises(ModelError, match="circle"):
        unfolded_nodes(parser.parse_model(_HEAD + text + functions))


def test_a_model_without_functions_is_copied():
    source = parser.parse_model(_HEAD + "g (float[4] x) => (float[4] y) { y = Relu (x) }")
    inlined = inline_functions(source)
    assert inlined == source
    inlined.graph.node[0].op_type = "Neg"
    assert source.graph.node[0].op_type == "Relu"
