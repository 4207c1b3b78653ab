"""Calls HiGHS, and interprets its status: for integer programs, linear ones, and models made row by row.

It runs on one thread and without a word, whatever else has run it in this process.
"""

from math import inf
from typing import Any

import highspy
import numpy as np
import pulp

from planner.solver.pulp_call import Start, call_solver
from planner.solver.solver_options import Clock, SolverOptions

_LEAST_TIME_S = 0.01  # HiGHS takes 0 for no limit in places


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
    call_solver(lp, solver)
    return float(lp.solverModel.getInfo().mip_dual_bound)


def run_linear(lp: pulp.LpProblem) -> float:
    """Solve a program without integers with the embedded solver; its rows then have their duals."""
    call_solver(lp, _QuietSolver())
    return float(pulp.value(lp.objective))


class QuietHighs(highspy.Highs):
    """A model that computes on one thread and prints nothing, not even its version when it is made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        for option, value in (("output_flag", False), ("threads", 1)):
            self.setOptionValue(option, value)

    def enableCallbacks(self) -> None:  # noqa: N802 (of HiGHS, which calls it when a model is made)
        """Be quiet before: this is what prints."""
        self.setOptionValue("output_flag", False)  # noqa: FBT003
        super().enableCallbacks()  # type: ignore[no-untyped-call]

    def run_alone(self) -> None:
        """Run on one thread.

        All models of a process share HiGHS's threads, and it refuses to run on another number than those
        that are there.
        """
        self.run()
        if self.getModelStatus() == highspy.HighsModelStatus.kNotset:
            highspy.Highs.resetGlobalScheduler(True)  # noqa: FBT003 (of another library)
            self.run()

    @property
    def is_solved(self) -> bool:
        """Whether it has a proved optimum."""
        return bool(self.getModelStatus() == highspy.HighsModelStatus.kOptimal)


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
