"""What a request waits for where stages overlap, and what it does not."""

from dataclasses import replace

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import problems

from planner.problem.cost_evaluation import evaluate
from planner.problem.device_visits import with_visits
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.backends import run_solver
from planner.solver.milp.answer import decoded_choice
from planner.solver.milp.build_program import build_program
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

MAKESPAN = ObjectiveTerm(Quantity(CostMetric.MAKESPAN))


def input_that_is_converted(*units_at_the_source: Vertex) -> PlacementProblem:
    """Return an input that crosses in 1 s instead of 10 s; its device needs 2 s to convert it."""
    routes = ((), (0,)), (None, ())
    forms = (
        WireForm("float", 0, 8, (10.0,), routes),
        WireForm("half", 0, 4, (1.0,), routes, encode_s=(2.0, 0.0), decode_s=(0.0, 0.5)),
    )
    unit = Vertex("u", (Option(1, seconds=1.0),))
    return PlacementProblem(
        (Device("a"), Device("b")),
        (unit, Vertex("source", (Option(0),), is_terminal=True), *units_at_the_source),
        (Flow("in", 1, (0,), forms),),
        (Link("a-b", 0, 1),),
        objective=(MAKESPAN,),
    )


@pytest.mark.parametrize(
    ("units", "makespan_s"),
    [
        # Where a unit runs beside it, the conversion is part of that stage, and nobody waits for a stage.
        ((Vertex("beside", (Option(0, seconds=0.25),)),), 2.5),
        # Where none runs, it is on the tensor's way.
        ((), 4.5),
    ],
)
def test_the_conversion_at_a_source_is_in_its_stage_or_on_the_way(units, makespan_s):
    problem = input_that_is_converted(*units)
    program = build_program(problem)
    assert run_solver(program.lp, SolverOptions()) / program.scale == pytest.approx(makespan_s)
    assert evaluate(problem, decoded_choice(program)).makespan_s == pytest.approx(makespan_s)
    assert oracle.best(problem) == pytest.approx(makespan_s)


def star(units: list[tuple[int, float]], edges: list[tuple[int, int]], *devices: Device) -> PlacementProblem:
    """Return units (device, seconds) whose tensors take 1 s on each link: all lead over device 0.

    Parameters
    ----------
    edges
        (unit that writes, unit that reads); -1 is a source and -2 a sink, both on device 0.
    """
    around = range(1, len(devices))
    links = [(d, 0) for d in around] + [(0, d) for d in around]
    routes = tuple(
        tuple(
            () if a == b else tuple(links.index(pair) for pair in ((a, 0), (0, b)) if pair in links)
            for b in range(len(devices))
        )
        for a in range(len(devices))
    )
    ends = {-1: len(units), -2: len(units) + 1}
    readers: dict[int, list[int]] = {}
    for a, b in edges:
        readers.setdefault(ends.get(a, a), []).append(ends.get(b, b))
    form = WireForm("float", 0, 1, (1.0,) * len(links), routes)
    return PlacementProblem(
        devices,
        (
            *(Vertex(f"u{u}", (Option(d, seconds=s),)) for u, (d, s) in enumerate(units)),
            *(Vertex(name, (Option(0),), is_terminal=True) for name in ("source", "sink")),
        ),
        tuple(Flow(f"t{a}", a, tuple(row), (form,)) for a, row in readers.items()),
        tuple(Link(f"{a}-{b}", a, b) for a, b in links),
        objective=(MAKESPAN,),
    )


HUB, FREE_HUB = Device("hub"), Device("hub", contiguous=False)
BLOCKED = Device("accelerator", transfers_block=True)


@pytest.mark.parametrize(
    ("problem", "makespan_s"),
    [
        # Two units at once, then one that waits for the longer of them.
        (star([(0, 2.0), (0, 3.0), (0, 1.0)], [(0, 2), (1, 2)], FREE_HUB), 4.0),
        (star([(0, 2.0), (0, 3.0), (0, 1.0)], [(0, 2), (1, 2)], HUB), 6.0),
        # There and back again: 2 + 1 there, 4, 1 back, 3; the unit beside it does not wait.
        (star([(0, 2.0), (1, 4.0), (0, 3.0), (0, 5.0)], [(0, 1), (1, 2)], FREE_HUB, Device("a")), 11.0),
        # Two tensors come to a blocked stage one after another, and it sends its one: 3 + 2 + 4 + 1 + 0.5.
        (star([(0, 2.0), (0, 3.0), (1, 4.0), (0, 0.5)], [(0, 2), (1, 2), (2, 3)], FREE_HUB, BLOCKED), 10.5),
        # Without blocking each is on its way for itself: 3 + 1 + 4 + 1 + 0.5.
        (
            star([(0, 2.0), (0, 3.0), (1, 4.0), (0, 0.5)], [(0, 2), (1, 2), (2, 3)], FREE_HUB, Device("a")),
            9.5,
        ),
        # A tensor that two blocked stages read is sent once, and received by each: 2 + 1, 1 + 4.
        (star([(1, 2.0), (2, 4.0), (3, 4.0)], [(0, 1), (0, 2)], HUB, BLOCKED, BLOCKED, BLOCKED), 8.0),
        # Both ends of a link blocked: the tensor is in both stages, 2 + 1, 1 + 4.
        (star([(0, 2.0), (1, 4.0)], [(0, 1)], replace(BLOCKED, name="hub"), BLOCKED), 8.0),
        # What a blocked device only forwards is on the tensor's way.
        (star([(1, 2.0), (2, 4.0), (0, 5.0)], [(0, 1)], BLOCKED, Device("a"), Device("b")), 8.0),
        # Its sources send before its stage: 1, 5 here, and 1, 4 there.
        (star([(0, 5.0), (1, 4.0)], [(-1, 1), (-1, 0)], BLOCKED, Device("a")), 6.0),
        # Its sinks receive after its stage: 5, 1.
        (star([(0, 5.0), (1, 1.0)], [(1, -2), (-1, 0)], BLOCKED, Device("a")), 6.0),
    ],
)
def test_the_makespan_counts_what_waits_and_what_is_blocked(problem, makespan_s):
    program = build_program(problem)
    assert oracle.best(problem) == pytest.approx(makespan_s)
    assert evaluate(problem, Choice((0,) * len(problem.vertices))).makespan_s == pytest.approx(makespan_s)
    assert run_solver(program.lp, SolverOptions()) / program.scale == pytest.approx(makespan_s)
    assert solve(problem).objective == pytest.approx(makespan_s)


def test_two_visits_of_a_device_do_not_overlap():
    problem = with_visits(star([(0, 2.0), (0, 3.0)], [], HUB), [2])
    # With a visit for each, the second one waits.
    assert evaluate(problem, Choice((0, 1, 0, 0))).makespan_s == pytest.approx(5.0)
    assert oracle.best(problem) == pytest.approx(5.0)
    assert solve(problem).objective == pytest.approx(5.0)


@st.composite
def overlapping(draw) -> PlacementProblem:
    """Problems of a makespan, some with a device that runs units at any time; many devices are blocked."""
    problem = draw(problems(max_units=4))
    devices = list(problem.devices)
    if draw(st.booleans()) and all(device.visit_of is None for device in devices):
        d = draw(st.integers(0, len(devices) - 1))
        devices[d] = replace(devices[d], contiguous=False)
    devices = [device if device.contiguous else replace(device, start_s=0.0) for device in devices]
    return replace(problem, devices=tuple(devices), limits=problem.limits[:1], objective=(MAKESPAN,))


@settings(max_examples=60, deadline=None)
@given(overlapping(), st.data())
def test_any_choice_has_the_makespan_of_the_formulas(problem, data):
    options = tuple(data.draw(st.integers(0, len(v.options) - 1)) for v in problem.vertices)
    wires = tuple(data.draw(st.sampled_from((0, *flow.wires))) for flow in problem.flows)
    choice = Choice(options, wires)
    priced = evaluate(problem, choice).makespan_s
    assert priced == pytest.approx(oracle.price(problem, choice).makespan, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(overlapping())
def test_the_least_makespan_is_that_of_enumeration(problem):
    least, result = oracle.best(problem), solve(problem)
    assert (result.choice is None) == (least is None)
    if least is not None:
        assert result.objective == pytest.approx(least, rel=1e-6, abs=1e-9)
        assert result.bound <= least * (1 + 1e-6) + 1e-9
