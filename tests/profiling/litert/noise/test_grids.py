import random

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import tflite_models
from tflite_models import OPS, Model, feeds

from profiling.litert.calibration import calibrate_litert
from profiling.litert.interpreter import run_model
from profiling.litert.load import parse_litert
from profiling.litert.modes import FP32, INT8, INT16, WEIGHT_INT8
from profiling.litert.noise.grids import grid_of, matched_ends, read_grids, rounded_constants
from profiling.litert.quantize import quantize_units
from profiling.litert.unit_graph import build_litert_graph

STATIC = [INT8, INT16]


def graph_of(model):
    return build_litert_graph(parse_litert(model.content(), "m"))


def ranges_of(graph):
    return calibrate_litert(graph.model, [feeds(graph.model, seed) for seed in range(4)])


@pytest.mark.parametrize("mode", STATIC)
def test_rounding_is_bit_equal_to_the_runtime_s(mode):
    model = Model()
    sizes = model.tensor("sizes", (2,), np.array([4000, 1], np.int32), "int32")
    model.give(model.op(OPS.RESHAPE, [model.input("x", (1, 4000)), sizes], [model.tensor("y", (4000, 1))]))
    graph = graph_of(model)
    quantized = quantize_units(graph, {0: mode}, ranges_of(graph))
    assert quantized.modes == (mode,)
    grids = read_grids(graph, quantized).tensors
    (x,), (y,) = graph.model.inputs.values(), graph.model.outputs.values()
    assert grids[x] == grids[y]
    beyond = {"x": feeds(graph.model, 9)["x"] * 3}
    expected = run_model(quantized.model, beyond)["y"]
    assert np.array_equal(grids[x].rounded(beyond["x"]).reshape(-1, 1), expected)
    assert 10 < len(np.unique(expected)) <= 1 << mode.activation_bits


@pytest.mark.parametrize("mode", STATIC)
def test_what_a_unit_writes_in_a_mixed_model_is_on_the_grid_of_all_in_that_mode(mode):
    graph = graph_of(tflite_models.branching())
    ranges, units = ranges_of(graph), range(len(graph.units))
    everywhere = read_grids(graph, quantize_units(graph, dict.fromkeys(units, mode), ranges)).tensors
    rng = random.Random(0)
    compared = set()
    for _ in range(10):
        mixed = quantize_units(graph, {unit: rng.choice([FP32, mode]) for unit in units}, ranges)
        here = read_grids(graph, mixed).tensors
        for unit in units:
            # Those that pass integers on have the grid of whatever came before, or is read behind them: the
            # quantizer lets a unit write on the grid that its only reader wants.
            if mixed.modes[unit] is not mode or graph.units[unit].scale_preserving:
                continue
            for tensor, _ in matched_ends(graph, mixed, unit, "outputs"):
                readers = [other for other in graph.units if graph.model.names[tensor] in other.inputs]
                if all(mixed.modes[other.index] is mode or not other.scale_preserving for other in readers):
                    assert here[tensor] == everywhere[tensor]
                    compared.add(tensor)
    assert len(compared) >= 7


@pytest.mark.parametrize("mode", STATIC)
@pytest.mark.parametrize("seed", range(6))
def test_scale_preserving_units_read_and_write_one_grid(mode, seed):
    graph = graph_of(tflite_models.random_graph(seed))
    quantized = quantize_units(graph, dict.fromkeys(range(len(graph.units)), mode), ranges_of(graph))
    for unit in graph.units:
        if unit.scale_preserving and quantized.modes[unit.index] is mode:
            found = {
                grid_of(quantized.model, after)
                for field in ("inputs", "outputs")
                for before, after in matched_ends(graph, quantized, unit.index, field)
                if graph.model.element_type(before).name == "float32"
            }
            assert len(found) == 1
            assert None not in found


def test_a_tensor_that_is_read_on_another_grid_is_told():
    graph = graph_of(tflite_models.branching())
    units = {unit.name: unit.index for unit in graph.units}
    everything = quantize_units(graph, dict.fromkeys(units.values(), INT8), ranges_of(graph))
    found = read_grids(graph, everything)
    tensor = graph.model.names.index("stem")
    wide = graph.model.names.index("wide")
    assert found.requantized(units["wide"]) == {tensor: found.tensors[wide]}
    assert found.tensors[tensor].scale < found.tensors[wide].scale
    assert not any(found.requantized(unit) for unit in units.values() if unit != units["wide"])


def test_weights_are_the_same_in_every_mode_of_their_bits():
    """Read back: int8's and int16's are those of weight_int8, which unpacks them for float activations."""
    graph = graph_of(tflite_models.branching())
    units, ranges = range(len(graph.units)), ranges_of(graph)
    weight_only = quantize_units(graph, dict.fromkeys(units, WEIGHT_INT8), ranges)
    static = [quantize_units(graph, dict.fromkeys(units, mode), ranges) for mode in STATIC]
    compared = 0
    for unit in units:
        unpacked = {
            before: grid_of_weights(weight_only.model, after)
            for before, after in matched_ends(graph, weight_only, unit, "inputs")
            if graph.model.is_constant(before) and not weight_only.model.is_constant(after)
        }
        for quantized in static:
            constants = rounded_constants(graph, quantized, unit)
            assert unpacked.keys() <= constants.keys()
            for tensor, expected in unpacked.items():
                np.testing.assert_allclose(constants[tensor], expected, rtol=1e-6)
                compared += 1
    assert compared == 2 * 4


def grid_of_weights(model, tensor):
    """Return the floats that an added operator unpacks from a weight, along its first or last axis."""
    source = int(model.operators[model.writers[tensor]].inputs[0])
    found = model.graph.tensors[source].quantization
    shape = [1] * len(model.shape(source))
    shape[found.quantizedDimension] = -1
    return model.constant(source) * np.asarray(found.scale, np.float32).reshape(shape)


@pytest.mark.parametrize("mode", STATIC)
def test_constants_come_back_within_half_a_step(mode):
    graph = graph_of(tflite_models.branching())
    quantized = quantize_units(graph, dict.fromkeys(range(len(graph.units)), mode), ranges_of(graph))
    for unit in range(len(graph.units)):
        for tensor, values in rounded_constants(graph, quantized, unit).items():
            exact = graph.model.constant(tensor)
            assert values.shape == exact.shape
            assert values.dtype == np.float32
            assert np.abs(values - exact).max() <= 0.502 * np.abs(exact).max() / 127
