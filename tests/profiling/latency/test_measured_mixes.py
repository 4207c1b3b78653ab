"""Which mixed models a profile times: each switch is in some of them, both ways."""

import itertools

import models
import pytest
from onnx import shape_inference

from profiling.graph.unit_graph import ModelGraph, build_graph
from profiling.latency.measured_mixes import mixes_of, planned_switches
from profiling.precision import Precision


def graph_of(body: str) -> ModelGraph:
    """Return the units of a model from x to y, nodes named after what they write."""
    header = '<ir_version: 8, opset_import: ["" : 17]> g (float[1, 4, 2, 2] x) => (float[1, 4, 2, 2] y) '
    model = models.with_weights(f"{header} <float[4, 4, 1, 1] w> {{ {body} }}")
    for node in model.graph.node:
        node.name = node.output[0]
    return build_graph(shape_inference.infer_shapes(model))


CONV = "Conv <kernel_shape = [1, 1]>"
INT8_MIXES = (Precision.FP32, Precision.INT8)


def test_mixed_models_do_not_switch_at_the_same_places_of_each_block():
    # Else what blocks of so many units have in common would be in each model, or in none.
    count = 40
    names = ["x", *(f"t{number}" for number in range(1, count)), "y"]
    body = " ".join(f"{after} = {CONV} ({before}, w)" for before, after in itertools.pairwise(names))
    mixes = [set(mix) for mix in mixes_of(graph_of(body), INT8_MIXES)[2:]]
    for one, inverse in zip(mixes[::2], mixes[1::2], strict=True):
        assert one ^ inverse == set(range(count))
    places = [[unit for unit in range(1, count) if (unit in mix) != (unit - 1 in mix)] for mix in mixes[::2]]
    assert sorted(itertools.chain(*places)) == [*range(1, count)]
    runs = {after - before for own in places for before, after in itertools.pairwise(own)}
    assert runs == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("between", range(1, 5))
def test_a_tensor_that_skips_units_is_a_switch_both_ways_in_some_models(between):
    ends, body = ["x", *(f"y{number}" for number in range(1, 12)), "y"], ""
    for number, (before, after) in enumerate(itertools.pairwise(ends)):
        names = [before, *(f"t{number}_{step}" for step in range(between))]
        body += f" s{number} = {CONV} ({before}, w)"
        body += "".join(f" {b} = {CONV} ({a}, w)" for a, b in itertools.pairwise(names))
        body += f" m{number} = {CONV} ({names[-1]}, w) {after} = Add (m{number}, s{number})"
    graph = graph_of(body)
    mixes = [set(mix) for mix in mixes_of(graph, INT8_MIXES)[2:]]
    for tensor in planned_switches(graph):
        for unit in tensor.consumers:
            if unit >= 0 <= tensor.producer:
                assert {(tensor.producer in mix, unit in mix) for mix in mixes} >= {
                    (True, False),
                    (False, True),
                }


@pytest.mark.parametrize("count", [1, 2, 3])
def test_tiny_graphs_have_no_model_twice(count):
    body = " ".join(f"t{number} = {CONV} (t{number - 1}, w)" for number in range(2, count))
    body = f"t1 = {CONV} (x, w) {body} y = {CONV} (t{count - 1}, w)" if count > 1 else f"y = {CONV} (x, w)"
    graph = graph_of(body)
    assert len(graph.units) == count
    mixes = [tuple(sorted(mix.items())) for mix in mixes_of(graph, (*INT8_MIXES, Precision.INT16))]
    assert len(set(mixes)) == len(mixes)
    assert [tuple(sorted(mix.items())) for mix in mixes_of(graph, (*INT8_MIXES, Precision.INT16))] == mixes
