import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
import tflite_models
from ai_edge_litert import schema_py_generated as schema
from tflite_models import OPS, TYPES, Model, feeds, run_file
from tflite_units import cut_units

from profiling.errors import ModelError
from profiling.litert.interpreter import run_chain
from profiling.litert.load import parse_litert
from profiling.litert.unit_graph import build_litert_graph


def graph_of(model):
    return build_litert_graph(parse_litert(model.content(), "m"))


def test_every_operator_is_a_unit_with_its_weights_and_tensors():
    graph = graph_of(tflite_models.branching())
    assert [unit.op_types for unit in graph.units][:3] == [("CONV_2D",), ("DEPTHWISE_CONV_2D",), ("CONV_2D",)]
    stem = graph.units[0]
    assert (stem.name, stem.inputs, stem.outputs) == ("stem", ("image",), ("stem",))
    assert stem.weight_bytes == 4 * (8 * 3 * 3 * 4 + 8)
    assert stem.weight_bytes_int8 < stem.weight_bytes / 2
    assert graph.tensors["stem"].shape == (1, 6, 6, 8)
    assert graph.tensors["stem"].size_bytes == 4 * 6 * 6 * 8
    assert graph.tensors["stem"].dtype == "float32"
    assert set(graph.dag.successors(0)) == {1, 2, 5}
    assert graph.outputs == ("logits", "chances", "joined")
    assert not any(unit.obstacle for unit in graph.units)


def test_what_keeps_a_state_is_one_unit():
    content = tflite_models.variables().content()
    graph = build_litert_graph(parse_litert(content, "m"))
    assert [len(unit.nodes) for unit in graph.units] == [5, 1]
    assert graph.units[0].obstacle == "CALL_ONCE runs a nested graph"
    sample = feeds(graph.model)
    stages = cut_units(graph, [[0], [1]])
    found = run_chain(graph.model, stages, sample)["chances"]
    assert np.array_equal(found, run_file(content, [sample["x"]])[0])


def stateful_beside_others():
    """Return a model whose state is read before and written behind operators that could stand alone."""
    model = Model()
    fed = model.input("x", (1, 4))
    resource = schema.VarHandleOptionsT(container=b"", sharedName=b"v")
    handle = model.op(OPS.VAR_HANDLE, [], [model.tensor("v", (), dtype=TYPES.RESOURCE)], resource)
    before = model.softmax(fed, "before")
    between = model.softmax(before, "between")
    read = model.op(
        OPS.READ_VARIABLE, [handle], [model.tensor("read", (1, 4))], schema.ReadVariableOptionsT()
    )
    total = model.add(between, read, "total")
    behind = model.softmax(total, "behind")
    model.op(OPS.ASSIGN_VARIABLE, [handle, behind], [], schema.AssignVariableOptionsT())
    return model.give(model.softmax(behind, "y"))


def test_what_lies_between_two_uses_of_a_state_belongs_to_it():
    graph = graph_of(stateful_beside_others())
    (state,) = [unit for unit in graph.units if len(unit.nodes) > 1]
    assert state.op_types == ("VAR_HANDLE", "READ_VARIABLE", "ADD", "SOFTMAX", "ASSIGN_VARIABLE")
    assert {unit.name for unit in graph.units if unit is not state} == {"before", "between", "y"}


def test_operators_that_cannot_be_quantized_say_why():
    model = tflite_models.branching()
    chances = model.graph.outputs[1]
    model.op(OPS.CUSTOM, [chances], [model.tensor("mine", (1, 5))], custom=b"Mine")
    model.op(OPS.CUSTOM, [chances], [model.tensor("flex", (1, 5))], custom=b"FlexDet")
    reasons = {unit.name: unit.obstacle for unit in graph_of(model).units}
    assert reasons["mine"] == "Mine is a custom operator"
    assert reasons["flex"] == "FlexDet is TensorFlow's own: it runs with the Flex delegate only"


def float16_weights(graph_output=False):
    model = Model()
    image = model.input("image", (1, 4, 4, 4))
    stored = model.tensor(
        "stored", (4, 1, 1, 4), model.rng.normal(size=(4, 1, 1, 4)).astype(np.float16), "float16"
    )
    weights = model.op(
        OPS.DEQUANTIZE, [stored], [model.tensor("w", (4, 1, 1, 4))], schema.DequantizeOptionsT()
    )
    one = model.conv(image, "one", 4, weights=weights)
    other = model.conv(one, "other", 4, weights=weights)
    return model.give(other, *([weights] if graph_output else []))


def test_what_unpacks_weights_goes_with_whoever_reads_them():
    content = float16_weights().content()
    graph = build_litert_graph(parse_litert(content, "m"))
    assert [unit.name for unit in graph.units] == ["one", "other"]
    assert [unit.weight_bytes for unit in graph.units] == [2 * 16 + 4 * 4, 4 * 4]
    assert all("fewer bits already" in unit.obstacle for unit in graph.units)
    sample = feeds(graph.model)
    stages = cut_units(graph, [[0], [1]])
    assert stages[1].inputs == ("one",)
    expected = run_file(content, [sample["image"]])[0]
    assert np.array_equal(run_chain(graph.model, stages, sample)["other"], expected)


def test_unpacked_weights_that_are_an_output_are_a_unit():
    content = float16_weights(graph_output=True).content()
    graph = build_litert_graph(parse_litert(content, "m"))
    assert [unit.name for unit in graph.units] == ["w", "one", "other"]
    sample = feeds(graph.model)
    found = run_chain(graph.model, cut_units(graph, [[0], [1], [2]]), sample)
    # Weights that are fed take another kernel than constant ones; the runtime itself gives the caller
    # what happens to lie in memory for such an output.
    expected = run_file(content, [sample["image"]])[0]
    assert np.allclose(found["other"], expected, rtol=1e-5, atol=1e-6)
    assert np.array_equal(found["w"], graph.model.constant(1).astype(np.float32))


def test_an_input_that_is_no_array_is_refused():
    model = Model()
    text = model.input("text", (1,), TYPES.STRING)
    with pytest.raises(ModelError, match="the input 'text' is of type string"):
        graph_of(model.give(text))


def test_an_empty_graph_has_no_units():
    model = Model()
    image = model.input("image", (1, 4))
    assert graph_of(model.give(image)).units == ()
