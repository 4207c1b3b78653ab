"""The solvers by name; CBC, Gurobi, CPLEX and SCIP are called here, HiGHS in `highs`.

Each takes an integer program as it is and returns its proved bound.
"""

import re
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

import pulp
from pulp.apis import coin_api

from planner.errors import SolverError
from planner.solver.highs import run_highs
from planner.solver.pulp_call import Start, call_solver
from planner.solver.solver_options import Clock, SolverOptions
from profiling.directories import temporary_folder

# Solver -> the packages that decide its answers, where they are installed.
_PACKAGES = {
    "highs": ("pulp", "highspy"),
    "cbc": ("pulp",),
    "gurobi": ("pulp", "gurobipy"),
    "cplex": ("pulp", "cplex"),
    "scip": ("pulp", "pyscipopt"),
}


def solver_versions(name: str) -> dict[str, str]:
    """Return the packages of a solver and their versions; empty for those that are not here."""
    versions = {}
    for package in _PACKAGES.get(name, ()):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = ""
    return versions


def run_solver(
    lp: pulp.LpProblem,
    options: SolverOptions,
    start: Start | None = None,
    clock: Clock = time.perf_counter,
) -> float:
    """Solve a program in place and return the proved bound of its objective.

    Parameters
    ----------
    start
        Values of some variables that a solution is known to have.
    clock
        Returns seconds. Where it jumps ahead, HiGHS ends as at its time limit; others do at that only.

    Returns
    -------
    float
        In the unit of the program's objective. `lp` then has the solution: `solve_status` says what it is,
        `milp.answer` reads it.

    Raises
    ------
    SolverError
        If the solver is unknown or absent.
    SolverFailure
        If it fails.
    """
    if options.name not in _SOLVERS:
        raise SolverError(f"no solver {options.name!r}; choose one of {', '.join(_SOLVERS)}")
    return _SOLVERS[options.name](lp, options, start or {}, clock)


def run_cbc(lp: pulp.LpProblem, options: SolverOptions, start: Start, _clock: Clock) -> float:
    """Solve with CBC; its bound stands only in its log, unless it proved the optimum."""
    with temporary_folder("cbc-") as folder:
        # pulp does not hand CBC's bound on.
        log = folder / "cbc.log"
        solver = pulp.COIN_CMD(
            msg=False,
            path=coin_api.pulp_cbc_path,
            gapRel=options.gap,
            gapAbs=1e-6,
            timeLimit=options.time_limit_s,
            logPath=str(log),
            warmStart=bool(start),
        )
        for variable, value in start.items():
            variable.setInitialValue(value)
        if not solver.available():
            raise SolverError("solver cbc: no cbc program found; use solver.name: highs")
        call_solver(lp, solver)
        bound_line = re.search(r"^Lower bound:\s+(\S+)", log.read_text() if log.is_file() else "", re.M)
    if bound_line:
        return float(bound_line[1])
    if lp.sol_status != pulp.LpSolutionOptimal:
        return 0.0
    value = float(pulp.value(lp.objective) or 0.0)
    return value - options.gap * abs(value)


def _gurobi(lp: pulp.LpProblem, options: SolverOptions, start: Start, _clock: Clock) -> float:
    """Solve with Gurobi, where its package and a licence are."""
    _solve_installed(pulp.GUROBI, "gurobipy", lp, options, start)
    return float(lp.solverModel.ObjBound)


def _scip(lp: pulp.LpProblem, options: SolverOptions, start: Start, _clock: Clock) -> float:
    """Solve with SCIP, where its package is."""
    _solve_installed(pulp.SCIP_PY, "pyscipopt", lp, options, start)
    return float(lp.solverModel.getDualbound())


def _cplex(lp: pulp.LpProblem, options: SolverOptions, start: Start, _clock: Clock) -> float:
    """Solve with CPLEX, where its package and a licence are."""
    _solve_installed(pulp.CPLEX_PY, "cplex", lp, options, start)
    return float(lp.solverModel.solution.MIP.get_best_objective())


def _solve_installed(
    solver_class: type[pulp.LpSolver], package: str, lp: pulp.LpProblem, options: SolverOptions, start: Start
) -> None:
    """Solve with a solver that the user has installed."""
    solver = solver_class(
        msg=False, gapRel=options.gap, timeLimit=options.time_limit_s, warmStart=bool(start)
    )
    if not solver.available():
        raise SolverError(
            f"solver {options.name} is not here: pip install {package}, or use highs (--solver highs; "
            "in a file, solver.name)"
        )
    for variable, value in start.items():
        variable.setInitialValue(value)
    call_solver(lp, solver)


_SOLVERS: dict[str, Callable[[pulp.LpProblem, SolverOptions, Start, Clock], float]] = {
    "highs": run_highs,
    "cbc": run_cbc,
    "gurobi": _gurobi,
    "cplex": _cplex,
    "scip": _scip,
}
SOLVER_NAMES = tuple(_SOLVERS)
