from dataclasses import replace
from math import inf

import pytest
from small_problems import direct, mesh

from planner.problem.cost_evaluation import Crossing, broken_limits, evaluate, flow_formats, is_feasible
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, Format
from planner.problem.units import Option, Vertex

CAMERA, HUB = 0, 1
UNITS = (
    Vertex("u0", (Option(CAMERA, 0, 0.1, 0.0, 100, 40, "fp32", 0.5),)),
    Vertex("u1", (Option(HUB, 1, 0.2, 0.003, 30, 20, "int8", 0.25), Option(HUB, 0, 0.3, 0.0, 90, 60))),
    Vertex("u2", (Option(HUB, 0, 0.4, 0.0, 50, 60), Option(CAMERA, 0, 0.7, 0.0, 50, 60))),
)
ENDS = tuple(Vertex(name, (Option(CAMERA),), is_terminal=True) for name in ("source", "sink"))
INT8_ON_HUB = Vertex("u", (Option(HUB, 1),))
ONLY_FORWARD = ((0.0, 0.03), (0.09, 0.0))
JOULES = (((0, 0), (0.01, 0.02)), ((0.05, 0.06), (0, 0)))
HALF = replace(
    direct("float16", 0, ((0.0, 0.02), (0.07, 0.0)), size=8),
    encode_s=(0.1, 0.008),
    decode_s=(0.009, 0.1),
    noise_power=0.0005,
)
NO = (0.0, 0.0)
FLOWS = (
    Flow("in", 3, (0,), (direct("float", 0, ONLY_FORWARD, size=100),)),
    Flow(
        "t0", 0, (1,),
        (direct("float", 0, ((0.0, 0.12), (0.12, 0.0)), size=100),
         direct("uint8", 1, ONLY_FORWARD, JOULES, size=25)),
        (0, 1), (0.0, 0.002), (NO, (0.005, 0.1)), (NO, (0.1, 0.1)),
        leave_s=(NO, (0.001, 0.1)), enter_s=(NO, (0.1, 0.002)),
    ),
    Flow(
        "t1", 1, (2,), (direct("float", 0, ONLY_FORWARD), direct("uint8", 1, ONLY_FORWARD)),
        (1,), (0.0, 0.9), (NO, (0.1, 0.1)), (NO, (0.1, 0.006)), inherits=True,
    ),
    Flow("out", 2, (4,), (direct("float", 0, ONLY_FORWARD, size=16), HALF)),
)  # fmt: skip
PROBLEM = PlacementProblem(
    (
        Device("camera", 0.01, 3.0, 1.0, 0.5),
        Device("hub", 0.02, 10.0, 2.0, 2.0, transfers_block=True),
    ),
    (*UNITS, *ENDS),
    FLOWS,
    (Link("up", 0, 1, 1e-3), Link("down", 1, 0)),
)
CHOICE = Choice((0, 0, 0, 0, 0), (0, 0, 0, 1))


def test_three_units_on_two_devices_cost_what_a_sum_by_hand_says():
    cost = evaluate(PROBLEM, CHOICE)
    assert cost.compute_s == pytest.approx((0.1, 0.2 + 0.4))
    assert cost.conversion_s == pytest.approx((0.005 + 0.009, 0.006 + 0.008))
    assert cost.stage_overhead_s == pytest.approx((0.01 + 0.001, 0.02 + 0.002))
    assert cost.busy_s == pytest.approx((0.125, 0.636))
    assert cost.link_s == pytest.approx((0.03, 0.07))
    assert cost.transfer_s == pytest.approx(0.1)
    assert cost.latency_s == cost.objective == pytest.approx(0.125 + 0.636 + 0.1)
    assert cost.makespan_s == pytest.approx(0.125 + 0.03 + 0.636 + 0.07)
    assert cost.period_s == pytest.approx(0.636 + 0.03 + 0.07)  # transfers block the hub
    assert cost.traffic_bytes == (25, 8)
    assert cost.noise_power == pytest.approx(0.003 + 0.002 + 0.0005)
    assert cost.memory_bytes == (140, 80 + 60)
    assert cost.energy_j == pytest.approx(
        (0.5 + 0.01 + (3 - 1) * 0.125 + 0.861, 0.25 + 0.02 + (10 - 2) * 0.636 + 2 * 0.861)
    )
    assert cost.money == pytest.approx(0.5 * 0.125 + 2 * 0.636 + 25 * 1e-3)
    assert cost.crossings == (Crossing(1, CAMERA, HUB, 1, 0.03), Crossing(3, HUB, CAMERA, 1, 0.07))
    assert cost.order == (CAMERA, HUB)
    assert cost.violations == ()
    assert is_feasible(PROBLEM, cost)


def test_a_value_is_of_the_whole_plan_or_of_one_device_or_link():
    cost = evaluate(PROBLEM, CHOICE)
    whole = {metric: cost.value(Quantity(metric)) for metric in CostMetric}
    assert whole == pytest.approx(
        {
            CostMetric.LATENCY: 0.861,
            CostMetric.MAKESPAN: 0.861,
            CostMetric.PERIOD: 0.736,
            CostMetric.ENERGY: 1.621 + 7.08,
            CostMetric.MEMORY: 280,
            CostMetric.TRAFFIC: 33,
            CostMetric.NOISE: 0.0055,
            CostMetric.MONEY: 1.3595,
        }
    )
    assert cost.value(Quantity(CostMetric.ENERGY, HUB)) == pytest.approx(7.08)
    assert cost.value(Quantity(CostMetric.MEMORY, CAMERA)) == 140
    assert cost.value(Quantity(CostMetric.TRAFFIC, 1)) == 8


def test_the_objective_is_the_weighted_sum():
    terms = (ObjectiveTerm(Quantity(CostMetric.LATENCY), 2.0), ObjectiveTerm(Quantity(CostMetric.TRAFFIC, 0)))
    cost = evaluate(replace(PROBLEM, objective=terms), CHOICE)
    assert cost.objective == pytest.approx(2 * 0.861 + 25)


def test_a_tensor_crosses_a_link_once_for_all_who_read_it_behind_it():
    """Over a hub both leaves receive the same message; its uplink carries it once."""
    links = (Link("up", 0, 1), Link("left", 1, 2), Link("right", 1, 3))
    routes = (((), (0,), (0, 1), (0, 2)), *((None,) * 4 for _ in range(3)))
    form = replace(direct("float", 0, ((0.0,),), size=10), link_s=(1.0, 0.1, 0.2), routes=routes)
    units = (Vertex("u", (Option(0),)), Vertex("v", (Option(2),)), Vertex("w", (Option(3),)))
    problem = PlacementProblem(
        tuple(Device(name) for name in "ahbc"), units, (Flow("t", 0, (1, 2), (form,)),), links
    )
    cost = evaluate(problem, Choice((0, 0, 0)))
    assert cost.link_s == (1.0, 0.1, 0.2)
    assert cost.latency_s == pytest.approx(1.3)
    assert cost.traffic_bytes == (10, 10, 10)
    assert [crossing.seconds for crossing in cost.crossings] == pytest.approx([1.1, 1.2])
    assert cost.makespan_s == pytest.approx(1.2)  # the two leaves wait for their own ways only


QUANTIZED = (NO, (0.4, 0.5)), (NO, (0.6, 0.7))


@pytest.mark.parametrize("wire", [0, 2])
def test_in_a_chain_the_last_answer_is_there_after_the_latency(wire):
    """The camera runs no unit, but switches what it sends and what it gets."""
    forms = (direct("float", 0, ONLY_FORWARD), direct("uint8", 1, ONLY_FORWARD), HALF)
    flows = (
        Flow("in", 1, (0,), forms, () if wire else (0,), (0.0, 0.0), *QUANTIZED),
        Flow("out", 0, (2,), forms, () if wire else (0,), (0.0, 0.0), *QUANTIZED),
    )
    unit = Vertex("u", (Option(HUB, 0 if wire else 1, 1.0),))
    devices = (Device("camera"), Device("hub", 0.02))
    cost = evaluate(PlacementProblem(devices, (unit, *ENDS), flows, mesh(2)), Choice((0, 0, 0), (wire, wire)))
    assert cost.busy_s[CAMERA] > 0
    assert cost.makespan_s == pytest.approx(cost.latency_s)


def test_a_device_that_only_switches_starts_once_for_all_that_it_sends_to_a_stage():
    forms = direct("float", 0, ONLY_FORWARD), direct("uint8", 1, ONLY_FORWARD)
    flows = tuple(Flow(name, 1, (0,), forms, (0,), (0.0, 0.0), *QUANTIZED) for name in "ab")
    devices = (Device("camera", 10.0), Device("hub"))
    cost = evaluate(PlacementProblem(devices, (INT8_ON_HUB, *ENDS), flows, mesh(2)), Choice((0, 0, 0)))
    assert cost.makespan_s == pytest.approx(10.0 + 2 * 0.4 + 2 * 0.03)
    assert cost.makespan_s == pytest.approx(cost.latency_s)


def test_without_a_way_a_plan_takes_for_ever_and_costs_no_finite_energy():
    lost = ((0.0, inf), (0.09, 0.0))
    flow = replace(FLOWS[1], forms=(direct("float", 0, lost), direct("uint8", 1, lost)))
    cost = evaluate(replace(PROBLEM, flows=(FLOWS[0], flow, *FLOWS[2:])), CHOICE)
    times = (cost.latency_s, cost.makespan_s, cost.period_s, cost.objective, *cost.energy_j)
    assert set(times) == {inf}
    assert not is_feasible(PROBLEM, cost)


def test_a_path_that_comes_back_to_a_device_of_one_stage_has_no_order():
    def flow(name, producer, consumer):
        return Flow(name, producer, (consumer,), (direct("float", 0, ONLY_FORWARD),))

    units = tuple(Vertex(f"u{i}", (Option(i % 2),)) for i in range(3))
    problem = PlacementProblem((Device("a"), Device("b")), units, (flow("s", 0, 1), flow("t", 1, 2)), mesh(2))
    cost = evaluate(problem, Choice((0, 0, 0)))
    assert cost.order is None
    assert cost.makespan_s == inf
    assert cost.latency_s == pytest.approx(0.12)
    assert not is_feasible(problem, cost)
    loose = replace(problem, devices=(replace(problem.devices[0], contiguous=False), problem.devices[1]))
    assert evaluate(loose, Choice((0, 0, 0))).order == (1,)


@pytest.mark.parametrize(
    ("vertices", "flow", "wire", "stages"),
    [
        ((ENDS[0], INT8_ON_HUB), replace(FLOWS[1], consumers=(1,), quantizers=(1,)), 0, (1, 1)),
        ((ENDS[0], INT8_ON_HUB),
         replace(FLOWS[1], consumers=(1,), quantizers=(1,), converts_at_consumer=True), 0, (0, 1)),
        ((INT8_ON_HUB, ENDS[1]), replace(FLOWS[1], quantizers=(0,)), 0, (1, 1)),
        ((Vertex("u", (Option(HUB),)), ENDS[1]), replace(FLOWS[3], producer=0, consumers=(1,)), 1, (1, 1)),
        ((Vertex("u", (Option(HUB),)), ENDS[1]), replace(FLOWS[3], producer=0, consumers=(1,)), 0, (0, 1)),
    ],
    ids=["quantized at the source", "quantized by the reader", "restored at the sink", "decoded at the sink",
         "as it is"],
)  # fmt: skip
def test_a_source_or_sink_that_changes_a_tensor_is_a_stage_that_starts(vertices, flow, wire, stages):
    cost = evaluate(replace(PROBLEM, vertices=vertices, flows=(flow,)), Choice((0, 0), (wire,)))
    starts = (stages[CAMERA] * 0.01, stages[HUB] * 0.02)
    assert cost.stage_overhead_s == pytest.approx(starts)


def test_limits_are_broken_by_what_is_above_them_beyond_the_tolerance():
    kept, broken = Limit(Quantity(CostMetric.TRAFFIC, 0), 25), Limit(Quantity(CostMetric.TRAFFIC), 32.9)
    problem = replace(PROBLEM, limits=(kept, broken))
    cost = evaluate(problem, CHOICE)
    assert broken_limits(problem, cost) == (broken,)
    assert not is_feasible(problem, cost)
    assert broken_limits(problem, cost, tolerance=0.01) == ()
    assert is_feasible(problem, cost, tolerance=0.01)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"together": ((0, 1),)}, "'u0' and its group are not on one device"),
        ({"apart": ((1, 2),)}, "'u1' and 'u2' share a device"),
        ({"vertices": (UNITS[0], replace(UNITS[1], coupled_with=(2,)), *PROBLEM.vertices[2:])},
         "'u1' is quantized alone"),
        (
            {"flows": (FLOWS[0], replace(FLOWS[1], quantizers=(0, 1, 2)), FLOWS[2], FLOWS[3]),
             "vertices": (replace(UNITS[0], kernel_forced=True), *UNITS[1:], *ENDS)},
            "'u0' would be computed in integers",
        ),
    ],
)  # fmt: skip
def test_a_rule_that_a_plan_breaks_is_named(changes, fault):
    problem = replace(PROBLEM, **changes)
    cost = evaluate(problem, CHOICE)
    assert cost.violations == (fault,)
    assert not is_feasible(problem, cost)


def test_a_tensor_takes_the_coarsest_format_that_suits_all_who_ask():
    formats = (Format("float"), Format("uint8", (1,)), Format("int8", (2,)), Format("uint16", (1, 2, 3)))
    flow = replace(FLOWS[1], noise_power=(0.0,) * 4, quantizers=(0, 1))
    problem = replace(PROBLEM, formats=formats)

    def asking(*kinds):
        return flow_formats(problem, flow, [Option(0, kind) for kind in kinds])

    assert asking(0, 0) == (0,)
    assert asking(0, 3) == (3,)
    assert asking(1, 3) == (1,)
    assert asking(2, 3) == (2,)
    assert asking(1, 2) == ()
    assert asking(3, 3) == (3,)
