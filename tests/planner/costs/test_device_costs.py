import json

import pytest
from made_records import SCENARIO, made_latency

from planner.costs.device_costs import DeviceCosts, device_costs
from planner.scenario.loader import parse_scenario
from profiling.precision import Precision, Wire
from profiling.quantization.qdq_model import INT8, INT8_REDUCED, Scheme
from profiling.records.profile import (
    NoiseProfile,
    SeamCost,
    SwitchCost,
    TensorNoise,
    UnitCost,
    UnitNoise,
    WireCost,
)

FP32, I8 = Precision.FP32, Precision.INT8
LATENCY = made_latency(
    wall_s={FP32: 0.011, I8: 0.005},
    unattributed_s={FP32: 0.001, I8: 0.0},
    units=(UnitCost("u", FP32, 0.008), UnitCost("v", FP32, 0.002), UnitCost("u", I8, 0.004)),
    switches=(SwitchCost("t", FP32, I8, 0.0006, measured=True),),
    start_s=0.0002,
    seams=(SeamCost("t", FP32, 0.0004, 0.0008, measured=True),),
    wires=(WireCost(Wire.FLOAT16, "encode", 1e-5, 2e-9), WireCost(Wire.FLOAT16, "decode", 3e-5, 4e-9)),
)  # fmt: skip


def noise(power: float) -> NoiseProfile:
    return NoiseProfile("", "", "int8", 1, (TensorNoise("t", power, 0.125),), (UnitNoise("u", 2 * power),))


def test_what_nothing_accounts_for_but_the_start_is_spread_over_the_units():
    costs = DeviceCosts.of(LATENCY, {I8: noise(0.5)}, INT8)
    assert costs.units["u", FP32] + costs.units["v", FP32] == pytest.approx(0.011 - 0.0002)
    assert costs.units["u", FP32] / costs.units["v", FP32] == pytest.approx(4)
    assert costs.units["u", I8] == pytest.approx(0.004)
    assert costs.start_s == 0.0002


def test_a_device_so_many_times_as_fast_takes_that_part_of_all_seconds_and_has_the_same_noise():
    slow, fast = (DeviceCosts.of(LATENCY, {I8: noise(0.5)}, INT8, speedup) for speedup in (1.0, 4.0))
    for name in ("units", "switches", "leave_s", "enter_s"):
        rows = getattr(slow, name)
        assert rows
        assert getattr(fast, name) == pytest.approx({key: value / 4 for key, value in rows.items()})
    assert (fast.start_s, fast.fp32_s) == pytest.approx((slow.start_s / 4, slow.fp32_s / 4))
    assert fast.wires[Wire.FLOAT16, "encode"] == pytest.approx((1e-5 / 4, 2e-9 / 4))
    assert fast.unit_noise == slow.unit_noise == {("u", I8): 1.0}
    assert fast.tensor_noise == slow.tensor_noise == {("t", I8): 0.5}
    assert fast.float16_noise == {"t": 0.125}


def test_a_wire_costs_its_start_and_each_element_on_both_sides(residual):
    costs = DeviceCosts.of(LATENCY, {}, INT8)
    tensor = residual.graph.units[0].outputs[0]
    count = residual.graph.tensors[tensor].elements
    assert costs.coding_s(tensor, Wire.FLOAT16, residual.graph) == pytest.approx(4e-5 + 6e-9 * count)


def test_each_device_has_the_noise_of_its_own_scheme_and_the_seconds_of_its_origin():
    devices = [
        {"name": "camera"},
        {"name": "gateway", "scaled_from": "camera", "speedup": 2.0},
        {"name": "server", "scaled_from": "gateway", "speedup": 5.0},
    ]
    scenario = parse_scenario(json.dumps(SCENARIO | {"devices": devices}).encode())
    symmetric = Scheme(symmetric=True)
    costs = device_costs(
        scenario,
        {"camera": LATENCY},
        {INT8: noise(0.5), INT8_REDUCED: noise(0.7), symmetric: noise(0.9)},
        {"camera": INT8, "gateway": INT8_REDUCED, "server": symmetric},
    )
    assert [costs[name].tensor_noise["t", I8] for name in ("camera", "gateway", "server")] == [0.5, 0.7, 0.9]
    assert [costs[name].symmetric for name in costs] == [False, False, True]
    assert [costs[name].fp32_s for name in costs] == pytest.approx([0.011, 0.0055, 0.0011])
