import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
pytest.importorskip("litert_quantizer", reason="the extra litert is not installed")
import tflite_models
from tflite_models import Model, feeds
from tflite_noise import NoiseCase

from profiling.litert.cut import cut_out
from profiling.litert.interpreter import StageRunner
from profiling.litert.load import parse_litert
from profiling.litert.modes import INT8, INT16
from profiling.litert.noise.mode_parts import ModeParts
from profiling.litert.unit_graph import build_litert_graph


def overflowing():
    """Return a network with a channel of tiny weights, whose bias is too many of its steps for 32 bits."""
    model = Model(5)
    weights = model.rng.normal(size=(6, 1, 1, 4)).astype(np.float32)
    weights[2] = 1e-7
    bias = model.rng.normal(size=6).astype(np.float32)
    bias[2] = 2.0
    flow = model.input("image", (1, 6, 6, 4))
    flow = model.conv(flow, "broken", 6, weights=model.tensor("w", weights.shape, weights))
    model.graph.tensors[model.graph.operators[-1].inputs[2]].buffer = model.buffer(bias)
    return model.give(model.conv(flow, "scores", 5, relu=False))


def test_sums_that_overflow_are_noise_of_the_unit():
    graph = build_litert_graph(parse_litert(overflowing().content(), "m"))
    case = NoiseCase(graph, [feeds(graph.model, seed) for seed in range(6)], (INT8,))
    measured, modes = case.measured({0: INT8})
    assert modes[0] is INT8
    (row, _) = case.profiles[INT8].units
    assert measured > 0.01
    assert row.power == pytest.approx(measured, rel=0.05)


@pytest.mark.parametrize("mode", [INT8, INT16])
def test_a_unit_without_weights_or_another_grid_computes_what_the_float_one_does(mode):
    graph = build_litert_graph(parse_litert(tflite_models.branching().content(), "m"))
    case = NoiseCase(graph, [feeds(graph.model, seed) for seed in range(2)], (mode,))
    units = [u.index for u in graph.units if mode in case.possible[u.index].possible]
    parts = ModeParts(graph, mode, units, case.ranges)
    by_name = {unit.name: unit for unit in graph.units}
    names = ("joined", "one", "chances") if mode is INT8 else ("joined", "one")
    rng = np.random.default_rng(0)
    for name in names:
        unit = by_name[name]
        fed = {one: rng.normal(size=graph.tensors[one].shape).astype(np.float32) / 4 for one in unit.inputs}
        others = [n for other in graph.units if other is not unit for n in graph.operators[other.index]]
        exact = StageRunner(cut_out(graph.model, graph.operators[unit.index], others).content)(fed)
        for output, values in parts.unit(unit.index)(fed).items():
            assert np.array_equal(values, exact[output])
