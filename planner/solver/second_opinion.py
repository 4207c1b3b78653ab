"""A second solver's answer to a problem, to be compared with the first one's.

No solver of integer programs is right always: HiGHS was seen to prove false optima and to call feasible
problems infeasible, CBC to lose a row. They err on different problems.
"""

import time
from dataclasses import dataclass, replace

from planner.errors import SolverError
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.backends import run_cbc
from planner.solver.highs import run_highs
from planner.solver.milp.answer import decoded_choice
from planner.solver.milp.build_program import build_program
from planner.solver.milp.program import Program
from planner.solver.milp.warm_start import start_values
from planner.solver.pulp_call import Start, solve_status
from planner.solver.result import SolveStatus
from planner.solver.solver_options import Clock, SolverOptions

_MOST_FOR_CBC = 2000  # variables
_PRIMAL_SIMPLEX = 4  # of HiGHS; by default it is the dual one
_LEAST_TIME_S = 0.1  # so that a small program can end by itself


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What a second solver says.

    Parameters
    ----------
    is_infeasible
        Whether it proved that no plan keeps the limits.
    choice, objective
        The plan that it found, priced by the formulas; None if it found none in time.
    """

    is_infeasible: bool = False
    choice: Choice | None = None
    objective: float | None = None


def second_opinion(
    problem: PlacementProblem,
    options: SolverOptions,
    time_limit_s: float,
    start: Choice | None = None,
    clock: Clock = time.perf_counter,
) -> SecondOpinion:
    """Solve a problem over all its options with another solver than the options name, or in another way.

    A solver that is not here, fails, or answers with a plan that breaks a limit has no opinion.
    """
    keep = [tuple(range(len(vertex.options))) for vertex in problem.vertices]
    began = clock()
    program = build_program(problem)
    in_time = replace(options, time_limit_s=max(time_limit_s - (clock() - began), _LEAST_TIME_S))
    try:
        _run_second_solver(program, in_time, start_values(program, keep, start), clock)
    except SolverError:
        return SecondOpinion()
    status = solve_status(program.lp)
    if status is None or status is SolveStatus.INFEASIBLE:
        return SecondOpinion(is_infeasible=status is SolveStatus.INFEASIBLE)
    choice = decoded_choice(program)
    cost = evaluate(problem, choice)
    return (
        SecondOpinion(choice=choice, objective=cost.objective)
        if is_feasible(problem, cost)
        else SecondOpinion()
    )


def _run_second_solver(program: Program, options: SolverOptions, start: Start, clock: Clock) -> None:
    """Solve a program in place with another solver than the options name, or the same in another way.

    CBC takes small programs only: on large ones its preprocessing does not look at the clock.

    Raises
    ------
    SolverError
        If the solver is absent, or fails.
    """
    if options.name == "highs" and program.lp.numVariables() <= _MOST_FOR_CBC:
        run_cbc(program.lp, options, start, clock)
    elif options.name == "highs":
        run_highs(program.lp, options, start, clock, random_seed=1, simplex_strategy=_PRIMAL_SIMPLEX)
    else:
        run_highs(program.lp, options, start, clock)
