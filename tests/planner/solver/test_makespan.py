"""What a request waits for where stages overlap, and what it does not."""

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


def test_no_stage_waits_for_the_conversion_at_its_source():
    """An input that crosses in 1 s instead of 10 s; its device needs 2 s to convert it, beforehand."""
    routes = ((), (0,)), (None, ())
    forms = (
        WireForm("float", 0, 8, (10.0,), routes),
        WireForm("half", 0, 4, (1.0,), routes, encode_s=(2.0, 0.0), decode_s=(0.0, 0.5)),
    )
    problem = PlacementProblem(
        (Device("a"), Device("b")),
        (Vertex("u", (Option(1, seconds=1.0),)), Vertex("source", (Option(0),), is_terminal=True)),
        (Flow("in", 1, (0,), forms),),
        (Link("a-b", 0, 1),),
        objective=(MAKESPAN,),
    )
    program = build_program(problem)
    assert run_solver(program.lp, SolverOptions()) / program.scale == pytest.approx(2.5)
    assert evaluate(problem, decoded_choice(program)).makespan_s == pytest.approx(2.5)
