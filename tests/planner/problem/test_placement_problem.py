from dataclasses import replace
from math import inf

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import LATENCY, NOISE, direct, small_problem
from strategies import problems

from planner.errors import ProblemError
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, Format
from planner.problem.units import Option, Vertex

MEMORY = Quantity(CostMetric.MEMORY, 0)


def test_another_limit_takes_the_place_of_those_on_the_same_quantity_only():
    problem = replace(small_problem(), limits=(Limit(MEMORY, 5), Limit(NOISE, 0.1), Limit(MEMORY, 9)))
    assert set(problem.with_limit(MEMORY, 7).limits) == {Limit(MEMORY, 7), Limit(NOISE, 0.1)}
    assert problem.with_limit(MEMORY, None).limits == (Limit(NOISE, 0.1),)
    other = Quantity(CostMetric.MEMORY, 1)
    assert set(problem.with_limit(other, 7).limits) == {*problem.limits, Limit(other, 7)}


def test_the_tightest_of_several_limits_counts_and_none_is_infinite():
    problem = replace(small_problem(), limits=(Limit(MEMORY, 9), Limit(MEMORY, 5)))
    assert problem.tightest_limit(CostMetric.MEMORY, 0) == 5
    assert problem.tightest_limit(CostMetric.MEMORY, 1) == inf
    assert problem.tightest_limit(CostMetric.MEMORY) == inf


def test_quantities_are_all_that_limits_and_objective_speak_of_each_once():
    terms = (ObjectiveTerm(LATENCY), ObjectiveTerm(NOISE))
    limits = (Limit(NOISE, 1), Limit(MEMORY, 1), Limit(NOISE, 2))
    problem = replace(small_problem(), limits=limits, objective=terms)
    assert problem.quantities == (NOISE, MEMORY, LATENCY)


@settings(max_examples=20, deadline=None)
@given(problems(max_units=4), st.data())
def test_a_choice_of_a_restricted_problem_is_the_same_plan_of_the_whole_one(problem, data):
    keep = [
        tuple(sorted(data.draw(st.sets(st.sampled_from(range(len(v.options))), min_size=1))))
        for v in problem.vertices
    ]
    few = problem.with_options(keep)
    options = tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in few.vertices)
    wires = tuple(data.draw(st.sampled_from((0, *flow.wires))) for flow in few.flows)
    choice = Choice(options, wires)
    assert oracle.price(few, choice) == oracle.price(problem, choice.lift_to_full(keep))


def test_a_choice_without_wires_sends_every_tensor_as_it_is():
    assert [Choice((0,)).wire(flow) for flow in range(3)] == [0, 0, 0]
    assert [Choice((0,), (0, 2, 0)).wire(flow) for flow in range(3)] == [0, 2, 0]


def test_the_seconds_of_a_route_are_the_sum_of_its_links():
    form = replace(direct("float", 0, ((0.0, 0.0), (0.0, 0.0))), link_s=(0.25, 0.5))
    ring = replace(form, routes=(((), (0, 1)), (None, ())))
    assert ring.seconds(0, 1) == 0.75
    assert ring.seconds(0, 0) == 0
    assert ring.seconds(1, 0) == inf
    home = ring.without_links()
    assert [home.seconds(a, b) for a in (0, 1) for b in (0, 1)] == [0, inf, inf, 0]


def test_a_tensor_exists_in_the_formats_that_have_a_noise_if_anybody_quantizes_it():
    forms = tuple(direct(name, kind, ((0.0,),)) for name, kind in (("float", 0), ("uint8", 1), ("half", 0)))
    asked = Flow("t", 0, (1,), forms, (0,), (0.0, 0.1))
    assert list(asked.formats) == [0, 1]
    assert list(asked.wires) == [2]
    never = Flow("t", 0, (1,), (forms[0], forms[2]))
    assert list(never.formats) == [0]
    assert list(never.wires) == [1]


FORMATS = (Format("float"), Format("uint8", (1,)), Format("uint16", (1, 2), has_integer_kernel=False))


@pytest.mark.parametrize(
    ("kernel_forced", "asks", "around", "turned"),
    [
        (True, 0, 1, True),
        (False, 0, 1, False),
        (False, 2, 1, True),  # the finer format runs in the coarser kernel
        (True, 1, 1, False),
        (True, 0, 2, False),  # no integer kernels of 16 bits
        (True, 1, 2, False),
        (True, 1, 0, False),
    ],
)
def test_the_runtime_makes_an_integer_kernel_of_what_lies_between_tensors_of_its_format(
    kernel_forced, asks, around, turned
):
    unit = Vertex("u", (Option(0, asks),), kernel_forced=kernel_forced)
    problem = PlacementProblem((Device("a"),), (unit,), (), formats=FORMATS)
    assert problem.forces_kernel(0, unit.options[0], around) is turned
    assert problem.has_kernels(unit.options[0]) is (asks == 1)
    assert unit.options[0].quantized is (asks > 0)


WRONG = -1.0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"devices": (Device("d", start_s=WRONG),)}, "device 'd'"),
        ({"devices": (Device("d", price_per_s=WRONG),)}, "device 'd'"),
        ({"links": (Link("l", 0, 0, WRONG),)}, "links"),
        ({"vertices": (Vertex("u", (Option(0, joules=WRONG),)),)}, "unit 'u'"),
        ({"vertices": (Vertex("u", (Option(0), Option(0, weight_bytes=WRONG))),)}, "unit 'u'"),
        ({"flows": (Flow("t", 0, (0,), (), noise_power=(0.0, WRONG)),)}, "tensor 't'"),
        ({"flows": (Flow("t", 0, (0,), (), quantize_s=((0.0,), (WRONG,))),)}, "tensor 't'"),
        ({"flows": (Flow("t", 0, (0,), (), enter_s=((WRONG,),)),)}, "tensor 't'"),
        (
            {"flows": (Flow("t", 0, (0,), (replace(direct("f", 0, ((0.0,),)), link_j=((0.0, WRONG),)),)),)},
            "tensor 't'",
        ),
        (
            {"flows": (Flow("t", 0, (0,), (replace(direct("f", 0, ((0.0,),)), decode_s=(WRONG,)),)),)},
            "tensor 't'",
        ),
        ({"limits": (Limit(LATENCY, WRONG),)}, "budget"),
        ({"objective": (ObjectiveTerm(LATENCY, WRONG),)}, "objective"),
    ],
)
def test_a_negative_number_is_refused_wherever_it_stands(changes, told):
    with pytest.raises(ProblemError, match=f"{told}: costs and budgets must be finite and >= 0, got -1"):
        PlacementProblem(**{"devices": (), "vertices": (), "flows": ()} | changes)


def test_only_who_quantizes_a_tensor_hands_on_a_scale():
    flow = Flow("t", 0, (1,), (), quantizers=(1,), inherits=True)
    with pytest.raises(ProblemError, match="tensor 't': only a producer that quantizes it hands on a scale"):
        PlacementProblem((), (), (flow,))


@pytest.mark.parametrize("key", ["limits", "objective"])
def test_a_makespan_needs_a_stage_for_each_start(key):
    span = Quantity(CostMetric.MAKESPAN)
    spoken = {"limits": (Limit(span, 1.0),), "objective": (ObjectiveTerm(span),)}[key]
    devices = (Device("a"), Device("b", start_s=0.1, contiguous=False))
    with pytest.raises(ProblemError, match="makespan: a device that is returned to at will has no stage"):
        PlacementProblem(devices, (), (), **{key: spoken})
    assert PlacementProblem(devices[:1], (), (), **{key: spoken}).quantities
