"""The solvers behind pulp: each takes an integer program as it is and returns its proved bound."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import inf
from typing import Any

import highspy
import numpy as np
import pulp
from pulp.apis import coin_api

from planner.errors import SolverError, SolverFailure
from planner.solver.highs import QuietHighs
from planner.solver.result import SolveStatus
from profiling.directories import temporary_folder


@dataclass(frozen=True, slots=True)
class SolverOptions:
    """Which solver, and when it may stop.

    Parameters
    ----------
    name
        `highs` (embedded), `cbc`, or `gurobi`, `cplex`, `scip` where they are installed.
    time_limit_s, gap
        Stop after so long, or when the answer is proved to be within this fraction of the best.
    """

    name: str = "highs"
    time_limit_s: float = 60.0
    gap: float = 1e-6


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


Start = Mapping[pulp.LpVariable, float]
Clock = Callable[[], float]
_STATUS = {
    pulp.LpSolutionOptimal: SolveStatus.OPTIMAL,
    pulp.LpSolutionIntegerFeasible: SolveStatus.FEASIBLE,
    pulp.LpSolutionInfeasible: SolveStatus.INFEASIBLE,
}
_LEAST_TIME_S = 0.01  # HiGHS takes 0 for no limit in places


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


def solve_status(lp: pulp.LpProblem) -> SolveStatus | None:
    """Return what the solver knows; None if it found no plan and proved nothing.

    pulp's `status` is right only about infeasibility (a plan at a time limit is "Optimal" there); for CBC's
    "Integer infeasible" it alone is.
    """
    if lp.status == pulp.LpStatusInfeasible:
        return SolveStatus.INFEASIBLE
    return _STATUS.get(lp.sol_status)


def run_linear(lp: pulp.LpProblem) -> float:
    """Solve a program without integers with the embedded solver; its rows then have their duals."""
    _run(lp, _QuietSolver())
    return float(pulp.value(lp.objective))


class _QuietSolver(pulp.HiGHS):  # type: ignore[misc]
    """pulp's HiGHS with a model that prints nothing and runs on one thread.

    pulp would make the model itself and configure it by its own arguments.
    """

    def __init__(self, **options: float | str) -> None:
        super().__init__()
        self.options = options

    def createAndConfigureSolver(self, lp: pulp.LpProblem) -> None:  # noqa: N802
        """Make the model, with options as HiGHS names them."""
        lp.solverModel = QuietHighs()
        for option, value in self.options.items():
            lp.solverModel.setOptionValue(option, value)

    def callSolver(self, lp: pulp.LpProblem) -> None:  # noqa: N802
        """Run."""
        lp.solverModel.run_alone()


class _TimedHighs(_QuietSolver):
    """HiGHS with a solution to start from and a clock to end by, which pulp's own class cannot be given.

    Python answers signals between HiGHS's looks at the clock, since those are calls of Python.
    """

    def __init__(self, start: Start, clock: Clock, time_limit_s: float, **options: float | str) -> None:
        super().__init__(**options)
        self.start, self.clock = start, clock
        # From here on: to hand a large program over takes seconds as well.
        self.deadline = clock() + time_limit_s

    def _look(self, _kind: object, _message: str, _data: object, answer: Any, _user_data: object) -> None:
        answer.user_interrupt = self.clock() > self.deadline

    def createAndConfigureSolver(self, lp: pulp.LpProblem) -> None:  # noqa: N802
        """Make the model, which looks at the clock."""
        super().createAndConfigureSolver(lp)
        lp.solverModel.setCallback(self._look, None)
        lp.solverModel.startCallback(highspy.cb.HighsCallbackType.kCallbackMipInterrupt)

    def callSolver(self, lp: pulp.LpProblem) -> None:  # noqa: N802
        """Hand the solution over and run."""
        if self.start:
            places = np.array([variable.index for variable in self.start], dtype=np.int32)
            values = np.array(list(self.start.values()))
            lp.solverModel.setSolution(len(places), places, values)
        left_s = max(self.deadline - self.clock(), _LEAST_TIME_S)
        lp.solverModel.setOptionValue("time_limit", left_s)
        super().callSolver(lp)

    def findSolutionValues(self, lp: pulp.LpProblem) -> tuple[int, int]:  # noqa: N802
        """Take the solution over; pulp takes what was interrupted for solved."""
        statuses: tuple[int, int] = super().findSolutionValues(lp)
        if lp.solverModel.getObjectiveValue() < inf or statuses[0] == pulp.LpStatusInfeasible:
            return statuses
        return pulp.LpStatusNotSolved, pulp.LpSolutionNoSolutionFound


def run_highs(
    lp: pulp.LpProblem, options: SolverOptions, start: Start, clock: Clock, **changes: int
) -> float:
    """Solve with HiGHS and return its bound.

    One thread: two were slower in every case tried. No presolve: that of versions 1.12 to 1.15 runs
    for ever on some of these programs and calls others infeasible, and it saves no time on them.

    Parameters
    ----------
    changes
        Further options of HiGHS, as it names them.
    """
    solver = _TimedHighs(
        start,
        clock,
        options.time_limit_s,
        **changes,
        mip_rel_gap=options.gap,
        mip_abs_gap=1e-6,
        presolve="off",
        # Below the defaults (1e-6, 1e-7): limits are rows scaled to 1, which a plan must not visibly exceed.
        mip_feasibility_tolerance=1e-9,
        primal_feasibility_tolerance=1e-9,
    )
    _run(lp, solver)
    return float(lp.solverModel.getInfo().mip_dual_bound)


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
        _run(lp, solver)
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
            f"solver {options.name} is not here: pip install {package}, or use solver.name: highs"
        )
    for variable, value in start.items():
        variable.setInitialValue(value)
    _run(lp, solver)


def _run(lp: pulp.LpProblem, solver: pulp.LpSolver) -> None:
    try:
        lp.solve(solver)
    except pulp.PulpSolverError as exc:
        raise SolverFailure(f"the solver failed: {exc}") from exc


_SOLVERS: dict[str, Callable[[pulp.LpProblem, SolverOptions, Start, Clock], float]] = {
    "highs": run_highs,
    "cbc": run_cbc,
    "gurobi": _gurobi,
    "cplex": _cplex,
    "scip": _scip,
}
SOLVER_NAMES = tuple(_SOLVERS)
