from dataclasses import replace

import pytest
from hypothesis import given, settings
from small_problems import small_problem
from strategies import problems

from planner.problem.placement_problem import Choice
from planner.solver.backends import run_solver
from planner.solver.milp.answer import decoded_choice
from planner.solver.milp.build_program import build_program
from planner.solver.milp.warm_start import start_values
from planner.solver.pulp_call import solve_status
from planner.solver.result import SolveStatus
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions

FREE = replace(small_problem(), limits=(), together=(), apart=())


def everything(problem) -> list[range]:
    return [range(len(vertex.options)) for vertex in problem.vertices]


@settings(max_examples=20, deadline=None)
@given(problems(max_units=3))
def test_the_values_of_a_plan_are_read_back_as_that_plan_once_the_program_has_them(problem):
    found = solve(problem)
    if found.choice is None:
        return
    program = build_program(problem)
    start = start_values(program, everything(problem), found.choice)
    for variable, value in start.items():
        variable.bounds(value, value)
    run_solver(program.lp, SolverOptions())
    assert solve_status(program.lp) is SolveStatus.OPTIMAL
    assert decoded_choice(program).options == found.choice.options
    assert program.lp.objective.value() / program.scale == pytest.approx(found.objective, rel=1e-6, abs=1e-9)


def test_a_plan_whose_options_were_left_out_is_no_start():
    program = build_program(FREE)
    keep = everything(FREE)
    assert start_values(program, keep, None) == {}
    keep[0] = range(1, 6)
    assert start_values(build_program(FREE.with_options(keep)), keep, Choice((0, 0, 0, 0, 0))) == {}


def test_each_unit_and_each_wire_has_one_value_of_one():
    program = build_program(FREE)
    start = start_values(program, everything(FREE), Choice((2, 4, 4, 0, 0), (0, 2, 0, 0)))
    for row in program.x:
        assert sum(start[x] for x in row) == 1
    assert {number: start[x] for number, x in program.w[1].items()} == {0: 0.0, 2: 1.0}


def test_where_options_are_left_out_the_plans_own_are_counted_among_those_that_stay():
    keep = everything(FREE)
    keep[0] = range(1, 6)
    few = FREE.with_options(keep)
    program = build_program(few)
    start = start_values(program, keep, Choice((2, 4, 4, 0, 0)))
    assert [start[x] for x in program.x[0]] == [0, 1, 0, 0, 0]
    assert few.vertices[0].options[1] == FREE.vertices[0].options[2]
