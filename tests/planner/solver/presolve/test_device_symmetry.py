from dataclasses import replace
from itertools import pairwise

import oracle
import pytest
from hypothesis import given, settings
from small_problems import LATENCY, direct, mesh
from strategies import problems

from planner.problem.device_visits import with_visits
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.presolve.device_symmetry import are_interchangeable, interchangeable_devices

STEPS = ((0.0, 2.0, 2.0), (2.0, 0.0, 2.0), (2.0, 2.0, 0.0))
OPTIONS = tuple(Option(d, seconds=1.0, weight_bytes=3) for d in range(3))
UNITS = (Vertex("u0", OPTIONS), Vertex("u1", OPTIONS))
FLOW = Flow("t", 0, (1,), (direct("float", 0, STEPS, size=4),), leave_s=((0.1,) * 3,))
ALIKE = PlacementProblem((Device("a"), Device("b"), Device("c")), UNITS, (FLOW,), mesh(3))


def test_devices_that_differ_in_nothing_but_their_name_are_alike():
    assert interchangeable_devices(ALIKE) == [[0, 1, 2]]


def changed_form(**changes):
    return {"flows": (replace(FLOW, forms=(replace(FLOW.forms[0], **changes),)),)}


@pytest.mark.parametrize(
    "changes",
    [
        {"devices": (Device("a", start_s=0.1), *ALIKE.devices[1:])},
        {"devices": (Device("a", active_w=1.0), *ALIKE.devices[1:])},
        {"vertices": (Vertex("u0", (Option(0, seconds=0.5), *UNITS[0].options[1:])), UNITS[1])},
        {"vertices": (Vertex("u0", UNITS[0].options[1:]), UNITS[1])},
        {"vertices": (*UNITS, Vertex("end", (Option(0),), is_terminal=True))},
        {"limits": (Limit(Quantity(CostMetric.MEMORY, 0), 9.0),)},
        {"limits": (Limit(Quantity(CostMetric.TRAFFIC, 0), 9.0),)},
        {"objective": (ObjectiveTerm(Quantity(CostMetric.ENERGY, 0)),)},
        {"links": (replace(mesh(3)[0], price_per_byte=1.0), *mesh(3)[1:])},
        {"links": (*mesh(3)[1:], Link("x", 0, 0))},
        {"links": (*mesh(3), Link("visit_of", 0, 1))},
        {"flows": (replace(FLOW, leave_s=((0.2, 0.1, 0.1),)),)},
        changed_form(link_s=(1.0, *FLOW.forms[0].link_s[1:])),
        changed_form(link_j=((1.0, 0.0), *((0.0, 0.0),) * 5)),
        changed_form(encode_s=(0.3, 0.0, 0.0)),
        changed_form(routes=(((), None, (1,)), *FLOW.forms[0].routes[1:])),
    ],
)
def test_whatever_makes_the_first_device_another_one_leaves_it_alone(changes):
    problem = replace(ALIKE, **changes)
    assert not are_interchangeable(problem, 0, 1)
    assert not are_interchangeable(problem, 1, 0)


def test_limits_that_speak_of_all_devices_alike_leave_them_alike():
    memory = tuple(Limit(Quantity(CostMetric.MEMORY, d), 9.0) for d in range(3))
    assert interchangeable_devices(replace(ALIKE, limits=memory)) == [[0, 1, 2]]
    assert interchangeable_devices(replace(ALIKE, limits=memory[:2])) == [[0, 1], [2]]


def test_further_visits_are_in_no_class():
    assert interchangeable_devices(with_visits(ALIKE, [1, 1, 2])) == [[0, 1], [2]]


@settings(max_examples=40, deadline=None)
@given(problems(max_units=3))
def test_exchanging_devices_that_are_alike_changes_no_cost(problem):
    """But for which of them is named."""
    problem = replace(problem, limits=(), objective=(ObjectiveTerm(LATENCY),))
    for members in interchangeable_devices(problem):
        for a, b in pairwise(members):
            swapped = {a: b, b: a}
            for choice in list(oracle.choices(problem))[:30]:
                other = []
                for vertex, o in zip(problem.vertices, choice.options, strict=True):
                    own = vertex.options[o]
                    moved = replace(own, device=swapped.get(own.device, own.device))
                    other.append(vertex.options.index(moved))
                one, two = (oracle.price(problem, c) for c in (choice, Choice(tuple(other), choice.wires)))
                assert one.latency == pytest.approx(two.latency)
                assert one.money == pytest.approx(two.money)
                assert sorted(one.energy) == pytest.approx(sorted(two.energy))
