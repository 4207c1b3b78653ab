from dataclasses import replace

import pytest
from made_records import made_latency
from scenario_texts import LIMITED

from planner.costs.device_costs import DeviceCosts
from planner.costs.formulation import formulate
from planner.costs.resource_budgets import limits_of
from planner.errors import ScenarioError
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.scenario.loader import load_scenario
from profiling.errors import ProfileError
from profiling.precision import Precision, Wire
from profiling.quantization.qdq_model import INT8, Scheme
from profiling.records.profile import (
    LatencyProfile,
    NoiseProfile,
    SwitchCost,
    TensorNoise,
    UnitCost,
    UnitNoise,
    WireCost,
)


def profiles(graph) -> tuple[LatencyProfile, dict[Precision, NoiseProfile]]:
    units = [UnitCost(u.name, p, 0.001 * (u.index + 1)) for u in graph.units for p in Precision]
    ends = [(Precision.FP32, p) for p in (Precision.INT8, Precision.INT16)]
    pairs = [*ends, *((to, source) for source, to in ends)]
    switches = [
        SwitchCost(t, *pair, 0.0002, measured=True) for t in graph.boundary_tensors() for pair in pairs
    ]
    wall = {Precision.FP32: sum(unit.seconds for unit in units if unit.precision is Precision.FP32)}
    latency = made_latency(
        wall_s=wall,
        units=tuple(units),
        switches=tuple(switches),
        wires=tuple(WireCost(wire, side, 1e-5, 1e-9) for wire in Wire for side in ("encode", "decode")),
    )
    noise = NoiseProfile(
        "",
        "",
        "",
        1,
        tuple(TensorNoise(t, 0.01) for t in graph.boundary_tensors()),
        tuple(UnitNoise(u.name, 0.001) for u in graph.units),
    )
    return latency, {Precision.INT8: noise, Precision.INT16: replace(noise, units=())}


def problem_of(residual, tmp_path, inputs="{}"):
    path = tmp_path / "s.yaml"
    path.write_text(LIMITED.replace("{INPUTS}", inputs))
    scenario = load_scenario(path)
    latency, noise = profiles(residual.graph)
    costs = {
        "camera": DeviceCosts.of(latency, noise, INT8),
        "server": DeviceCosts.of(latency, noise, INT8, 4.0),
    }
    return formulate(scenario, residual.graph, costs)


def test_a_unit_has_an_option_per_device_and_allowed_precision(residual, tmp_path):
    problem = problem_of(residual, tmp_path)
    first = problem.vertices[0]
    assert [(o.device, o.precision) for o in first.options] == [(0, "fp32"), (0, "int8"), (1, "fp32")]
    assert [o.seconds for o in first.options] == [0.001, 0.001, 0.00025]
    assert [o.noise_power for o in first.options] == [0, 0.001, 0]
    unit = residual.graph.units[0]
    assert [o.weight_bytes for o in first.options] == [
        unit.weight_bytes,
        unit.weight_bytes_int8,
        unit.weight_bytes,
    ]
    elements = 2 * 8 * 8 + 4 * 8 * 8
    assert [o.activation_bytes for o in first.options] == [4 * elements, elements, 4 * elements]


def test_tensors_cross_with_the_bytes_of_their_form(residual, tmp_path):
    flow = problem_of(residual, tmp_path).flows[1]
    assert [form.size_bytes for form in flow.forms] == [4 * 256, 256]
    assert flow.forms[0].seconds(0, 1) == pytest.approx(0.005 + 1024 / 1e6)
    assert flow.forms[1].seconds(0, 1) == pytest.approx(0.005 + 256 / 1e6)
    assert flow.forms[0].seconds(1, 0) == float("inf")
    assert flow.quantize_s[1] == (0.0002, 0.00005)
    assert flow.noise_power == (0.0, 0.01)


def test_source_and_sink_are_fixed_ends(residual, tmp_path):
    problem = problem_of(residual, tmp_path)
    source, sink = problem.vertices[-2:]
    assert (source.is_terminal, source.options[0].device) == (True, 0)
    assert (sink.is_terminal, sink.options[0].device) == (True, 1)
    assert problem.flows[0].producer == len(problem.vertices) - 2
    assert problem.flows[-1].consumers == (len(problem.vertices) - 1,)
    assert [problem.tightest_limit(CostMetric.MEMORY, device) for device in (0, 1)] == [2**20, float("inf")]
    assert problem.tightest_limit(CostMetric.LATENCY) == 0.1


def test_a_raw_input_weighs_what_the_scenario_says(residual, tmp_path):
    flow = problem_of(residual, tmp_path, "{x: {wire_bytes: 77}}").flows[0]
    assert [form.size_bytes for form in flow.forms] == [77, 77]
    assert flow.converts_at_consumer


def test_a_profile_without_a_unit_says_so(residual, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(LIMITED.replace("{INPUTS}", "{}"))
    latency, noise = profiles(residual.graph)
    costs = {"camera": DeviceCosts({}, {}, {}, {}), "server": DeviceCosts.of(latency, noise, INT8)}
    with pytest.raises(ProfileError, match="profile of device 'camera' has no fp32 time of unit"):
        formulate(load_scenario(path), residual.graph, costs)


def test_devices_whose_activations_differ_are_told_apart(residual, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(LIMITED.replace("{INPUTS}", "{}").replace(", precisions: [fp32]", ""))
    latency, noise = profiles(residual.graph)
    tensors = tuple(TensorNoise(t, 0.05) for t in residual.graph.boundary_tensors())
    louder = {Precision.INT8: replace(noise[Precision.INT8], tensors=tensors)}
    costs = {
        "camera": DeviceCosts.of(latency, louder, Scheme(symmetric=True)),
        "server": DeviceCosts.of(latency, noise, INT8, 4.0),
    }
    problem = formulate(load_scenario(path), residual.graph, costs)
    assert [(o.device, o.format) for o in problem.vertices[0].options] == [(0, 0), (0, 2), (1, 0), (1, 1)]
    assert [known.name for known in problem.formats] == ["float", "uint8", "int8"]
    assert problem.flows[1].noise_power == (0.0, 0.01, 0.05)


ENERGY = """
objective: OBJECTIVE
"""


def energy_problem(residual, tmp_path, objective):
    text = LIMITED.replace("{INPUTS}", "{}").replace(
        "latency_ms: 100", "latency_ms: 100, energy_j: {camera: 2}"
    )
    text = text.replace("{name: camera}", "{name: camera, active_watt: 3, idle_watt: 1}")
    text = text.replace("precisions: [fp32]}", "precisions: [fp32], active_watt: 30}")
    text = text.replace(
        "latency_ms: 5}", "latency_ms: 5, radio: {send_mw_per_mbit_per_s: 283.17, send_mw: 132.86}}"
    )
    path = tmp_path / "s.yaml"
    path.write_text(text + ENERGY.replace("OBJECTIVE", objective))
    scenario = load_scenario(path)
    latency, noise = profiles(residual.graph)
    costs = {
        "camera": DeviceCosts.of(latency, noise, INT8),
        "server": DeviceCosts.of(latency, noise, INT8, 4.0),
    }
    return formulate(scenario, residual.graph, costs)


def test_energy_comes_from_watts_and_from_the_radio_model(residual, tmp_path):
    problem = energy_problem(residual, tmp_path, "energy")
    assert [(device.active_w, device.idle_w) for device in problem.devices] == [(3.0, 1.0), (30.0, 0.0)]
    assert problem.tightest_limit(CostMetric.ENERGY, 0) == 2.0
    assert problem.objective == (ObjectiveTerm(Quantity(CostMetric.ENERGY)),)
    # 8 Mbit/s: (283.17 x 8 + 132.86) mW for as long as 1,024 bytes take.
    watts = (283.17 * 8 + 132.86) / 1e3
    assert problem.flows[1].forms[0].link_j[0] == pytest.approx((watts * 1024 / 1e6, 0.0))


def test_a_weighted_sum_is_relative_to_fp32_at_the_source(residual, tmp_path):
    problem = energy_problem(residual, tmp_path, "{latency: 0.25, energy: 0.75}")
    alone = [0] * len(problem.vertices)
    assert evaluate(problem, Choice(tuple(alone))).objective == pytest.approx(1.0)


def formulated(residual, tmp_path, *lines: str):
    path = tmp_path / "s.yaml"
    path.write_text(
        LIMITED.replace("{INPUTS}", "{}").replace(", precisions: [fp32]", "") + "\n".join(lines) + "\n"
    )
    latency, noise = profiles(residual.graph)
    costs = {
        "camera": DeviceCosts.of(latency, noise, INT8),
        "server": DeviceCosts.of(latency, noise, INT8, 4.0),
    }
    return formulate(load_scenario(path), residual.graph, costs)


def test_what_is_decided_already_leaves_no_other_option(residual, tmp_path):
    first, *_, last = (unit.name for unit in residual.graph.units)
    problem = formulated(
        residual,
        tmp_path,
        "placement:",
        "  pin: {'*': server}",
        f"  precision: {{'{last}': fp32}}",
    )
    assert {o.device for v in problem.vertices if not v.is_terminal for o in v.options} == {1}
    assert {o.precision for o in problem.vertices[len(residual.graph.units) - 1].options} == {"fp32"}
    problem = formulated(residual, tmp_path, "placement:", f"  pin: {{'*': server, '{first}': camera}}")
    assert [{o.device for o in v.options} for v in problem.vertices[:2]] == [{0}, {1}]


def test_groups_and_private_tensors_come_by_name(residual, tmp_path):
    names = [unit.name for unit in residual.graph.units]
    tensor = residual.graph.units[0].outputs[0]
    problem = formulated(
        residual,
        tmp_path,
        "placement:",
        f"  together: [['{names[0]}', '{names[2]}']]",
        f"  apart: [['{names[0]}', '{names[1]}']]",
        f"  private: ['{tensor}']",
    )
    assert problem.together == ((0, 2),)
    assert problem.apart == ((0, 1),)
    flow = next(flow for flow in problem.flows if flow.name == tensor)
    assert flow.forms[0].routes == (((), None), (None, ()))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pin: {conv9: camera}", "placement.pin: nothing is named 'conv9'"),
        ("together: [[nothing]]", "placement.together: nothing is named 'nothing'"),
        ("private: [t9]", "placement.private: nothing is named 't9'"),
        ("apart: [['*', '*']]", "placement.apart: .* cannot be apart from itself"),
    ],
)
def test_a_name_that_nothing_has_is_told(residual, tmp_path, line, message):
    with pytest.raises(ScenarioError, match=message):
        formulated(residual, tmp_path, "placement:", f"  {line}")


def test_every_budget_becomes_a_limit_in_si(residual, tmp_path):
    text = (
        "budget: {memory_mib: {camera: 1}, latency_ms: 100, makespan_ms: 50, throughput_per_s: 20, "
        "traffic_kib: {camera-server: 3}, money_per_request: 0.5, money_per_month: 100}"
    )
    path = tmp_path / "s.yaml"
    path.write_text(
        LIMITED.replace("{INPUTS}", "{}").replace("budget: {memory_mib: {camera: 1}, latency_ms: 100}", text)
        + "requests_per_month: 1000\n"
    )
    limits = {limit.quantity: limit.at_most for limit in limits_of(load_scenario(path))}
    assert limits == {
        Quantity(CostMetric.LATENCY): 0.1,
        Quantity(CostMetric.MAKESPAN): 0.05,
        Quantity(CostMetric.PERIOD): 0.05,
        Quantity(CostMetric.TRAFFIC, 0): 3 * 1024,
        Quantity(CostMetric.MONEY): 0.1,
        Quantity(CostMetric.MEMORY, 0): 2**20,
    }


@pytest.mark.parametrize("name", ["makespan", "throughput", "memory", "traffic", "noise", "money"])
def test_each_measure_can_be_the_objective(residual, tmp_path, name):
    problem = formulated(residual, tmp_path, f"objective: {name}")
    measure = CostMetric.PERIOD if name == "throughput" else CostMetric(name)
    assert problem.objective == (ObjectiveTerm(Quantity(measure)),)
    weighted = formulated(residual, tmp_path, f"objective: {{latency: 1, {name}: 2}}")
    assert [term.quantity.metric for term in weighted.objective] == [CostMetric.LATENCY, measure]


def test_a_name_counts_more_than_a_pattern_and_patterns_must_agree(residual, tmp_path):
    first = residual.graph.units[0].name
    for rules in (f"{{'{first}': camera, '*': server}}", f"{{'*': server, '{first}': camera}}"):
        problem = formulated(residual, tmp_path, "placement:", f"  pin: {rules}")
        assert {o.device for o in problem.vertices[0].options} == {0}
        assert {o.device for o in problem.vertices[1].options} == {1}
    with pytest.raises(ScenarioError, match="and another pattern say different things of"):
        formulated(residual, tmp_path, "placement:", f"  pin: {{'{first[:1]}*': camera, '*': server}}")
