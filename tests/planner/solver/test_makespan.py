"""What a request waits for where stages overlap, and what it does not."""

import oracle
import pytest

from planner.problem.cost_evaluation import evaluate
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex
from planner.solver.backends import SolverOptions, run_solver
from planner.solver.milp.answer import decoded_choice
from planner.solver.milp.build_program import build_program

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
