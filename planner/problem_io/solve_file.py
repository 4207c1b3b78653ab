"""The flow of `plan solve`: PROBLEM.json -> problem -> solve -> answer, with a conflict if there is none."""

from pathlib import Path

from planner.peak_memory import peak_mib
from planner.problem_io.loader import load_problem
from planner.problem_io.solution import Answer, answer_of
from planner.solver.infeasibility import find_conflict
from planner.solver.solve import solve


def solve_file(path: Path) -> Answer:
    """Solve the problem of a file; if no answer keeps its limits, say which of them cannot hold together.

    Raises
    ------
    ProblemError
        If the file is no problem.
    SolverError
        If the solver ran out of time without an answer.
    """
    problem, options = load_problem(path)
    result = solve(problem, options)
    conflict = find_conflict(problem, options) if result.choice is None else None
    return answer_of(problem, result, peak_mib(), conflict)
