from dataclasses import replace

from small_problems import small_problem

from planner.solver.backends import run_solver
from planner.solver.milp.build_program import build_program
from planner.solver.milp.option_variables import groups_together
from planner.solver.solver_options import SolverOptions


def test_every_vertex_takes_exactly_one_of_its_options():
    program = build_program(small_problem())
    run_solver(program.lp, SolverOptions())
    for vertex, row in zip(program.problem.vertices, program.x, strict=True):
        taken = [round(x.value()) for x in row]
        assert len(taken) == len(vertex.options)
        assert sum(taken) == 1


def test_groups_that_share_a_vertex_are_one():
    problem = replace(small_problem(), together=((0, 1), (1, 2)))
    assert groups_together(problem) == [[0, 1, 2]]


def test_a_vertex_with_one_option_per_device_takes_the_variables_of_its_group():
    problem = small_problem()
    lone = tuple(
        replace(vertex, options=tuple({option.device: option for option in vertex.options}.values()))
        for vertex in problem.vertices
    )
    first, second = [v for v, vertex in enumerate(lone) if len(vertex.options) > 1][:2]
    program = build_program(replace(problem, vertices=lone, together=((first, second),)))
    by_device = {option.device: x for x, option in program.options(first)}
    assert [by_device[option.device] for option in lone[second].options] == program.x[second]
