import json

import pytest
from made_records import SCENARIO

from planner.costs.device_costs import DeviceCosts
from planner.costs.whole_model import WholeModelPredictor, single_device_scenario
from planner.scenario.loader import parse_scenario
from profiling.precision import Precision

FP32, INT8 = Precision.FP32, Precision.INT8
OWN = parse_scenario(json.dumps(SCENARIO | {"wires": ["float16"], "precisions": ["fp32", "int8"]}).encode())


def predictor(graph, fp32_s: float = 0.02) -> WholeModelPredictor:
    """Unit n takes n + 1 ms in fp32 and half of that in int8; each switch 0.1 ms, the start 0.5 ms."""
    units = {(u.name, p): 1e-3 * (u.index + 1) * f for u in graph.units for p, f in ((FP32, 1), (INT8, 0.5))}
    switches = {(t, a, b): 1e-4 for t in graph.boundary_tensors() for a, b in ((FP32, INT8), (INT8, FP32))}
    alone = single_device_scenario(OWN, OWN.device("server"))
    return WholeModelPredictor(
        alone, graph, {"server": DeviceCosts(units, switches, {}, {}, False, fp32_s, 5e-4)}
    )


def test_everything_on_one_device_leaves_nothing_of_links_and_places():
    alone = single_device_scenario(OWN, OWN.device("server"))
    assert ([d.name for d in alone.devices], alone.source, alone.sink) == (["server"], "server", "server")
    assert (alone.links, alone.wires) == ((), ())
    assert alone.devices[0].precisions is None


@pytest.mark.parametrize(
    ("int8", "seconds"),
    [
        ((), 15e-3),
        ((0,), 15e-3 - 0.5e-3 + 2e-4),  # its input is quantized, its output brought back
        ((0, 1), 15e-3 - 1.5e-3 + 2e-4),  # nothing between them
        ((0, 3), 15e-3 - 2.5e-3 + 4e-4),
        ((0, 1, 2, 3, 4), 7.5e-3 + 2e-4),
    ],
)
def test_a_mix_takes_its_units_its_switches_and_the_start(residual, int8, seconds):
    known = predictor(residual.graph)
    mix = dict.fromkeys(int8, INT8)
    assert known.cost(mix).latency_s == pytest.approx(seconds + 5e-4)
    assert known.ratio_to_fp32(mix) == pytest.approx((seconds + 5e-4) / 0.02)


def test_without_seconds_of_the_fp32_model_nothing_is_said(residual):
    assert predictor(residual.graph, fp32_s=0.0).ratio_to_fp32({}) == 1.0


def test_a_device_that_never_computes_in_int8_needs_no_seconds_of_it(residual):
    """Noise of int8 units is known without them; a ratio of seconds is not."""
    graph = residual.graph
    units = {(unit.name, FP32): 1e-3 for unit in graph.units}
    noise = {(unit.name, INT8): 1.0 + unit.index for unit in graph.units}
    switches = {(t, a, b): 0.0 for t in graph.boundary_tensors() for a, b in ((FP32, INT8), (INT8, FP32))}
    alone = single_device_scenario(OWN, OWN.device("server"))
    costs = DeviceCosts(units, switches, noise, {}, fp32_s=0.02)
    known = WholeModelPredictor(alone, graph, {"server": costs})
    assert known.cost({0: INT8, 3: INT8}).noise_power == pytest.approx(1.0 + 4.0)
    assert known.ratio_to_fp32({0: INT8}) is None
    assert known.ratio_to_fp32({}) == pytest.approx(5e-3 / 0.02)
