"""Integer programs over some options of each vertex, and what their solver's claims are worth.

A solver that fails, or denies a plan at hand, is no longer trusted: its program then proves nothing.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from math import inf

from planner.errors import SolverFailure
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.solver.backends import run_solver
from planner.solver.confirmation import confirmed_cost, is_among, is_contradicted
from planner.solver.device_order import DeviceOrder
from planner.solver.heuristics.incumbent import Incumbent
from planner.solver.lagrangian.serial_devices import SerialDevices
from planner.solver.milp.answer import decoded_choice
from planner.solver.milp.build_program import build_program
from planner.solver.milp.warm_start import start_values
from planner.solver.pulp_call import solve_status
from planner.solver.result import SolveStatus
from planner.solver.solver_options import Clock, SolverOptions

log = logging.getLogger(__name__)

# Seconds of an integer program over all options until its solver ends in time (HiGHS builds its first cuts
# without a look at the clock), as a multiple of those of pricing one plan, per option of a vertex.
_PROGRAM_RATIO = 200.0
_BUILDS = 3.0  # times the seconds in which a program is built, until its solver may first look at the clock
# The same where a makespan is minimised: a program of 41,000 variables took 9 s to build, and then 47 s at a
# limit of 36, for a bound of 0.
_BUILDS_OF_MAKESPANS = 6.0


class RestrictedPrograms:
    """Solves a problem over some of its options, and betters the incumbent on the way."""

    def __init__(
        self, problem: PlacementProblem, options: SolverOptions, incumbent: Incumbent, clock: Clock
    ) -> None:
        self._problem, self._options, self._best, self._clock = problem, options, incumbent, clock
        self.size = (0, 0)  # variables and constraints of the last one; 0 before the first
        self.is_distrusted = False  # whether the solver failed, or denied a plan at hand
        self.serial_devices: SerialDevices | None = None  # what branches where a makespan is minimised

    def are_affordable(self, keep: Sequence[Sequence[int]]) -> bool:
        """Return whether there is time for a program over some options."""
        share = sum(len(kept) for kept in keep) / self._best.options_count
        return self._best.is_affordable(_PROGRAM_RATIO * share)

    def solve(
        self,
        keep: Sequence[Sequence[int]],
        device_order: DeviceOrder,
        most_s: float = inf,
        serial: frozenset[int] = frozenset(),
    ) -> float:
        """Solve the integer program over some options, remember a better plan; return the proved bound.

        Parameters
        ----------
        device_order
            Pairs of devices of which the first runs first, as far as that is decided.
        most_s
            Seconds after which it ends, if there are more left.
        serial
            Devices that run a unit which is on every path: plans of which this is not true are left out.

        Raises
        ------
        SolverFailure
            If the solver fails where no plan is at hand, nor soon found.
        """
        try:
            return self._solve(keep, device_order, most_s, serial)
        except SolverFailure as exc:
            if self._best.choice is None:
                self._best.construct_soon()
            if self._best.choice is None:
                raise
            log.warning("%s; the best plan so far has %.9g", exc, self._best.objective)
        self.is_distrusted = True
        return 0.0

    def _solve(
        self,
        keep: Sequence[Sequence[int]],
        device_order: DeviceOrder,
        most_s: float,
        serial: frozenset[int],
    ) -> float:
        if not self._best.has_time:
            return 0.0
        began = time.perf_counter()
        program = build_program(self._problem.with_options(keep), self._makespan(), device_order, serial)
        built_s = time.perf_counter() - began
        self.size = (program.lp.numVariables(), program.lp.numConstraints())
        builds = _BUILDS if self.serial_devices is None else _BUILDS_OF_MAKESPANS
        is_late = self._best.choice is not None and self._best.left_s < builds * built_s
        if is_late and most_s == inf:
            self._best.improve()  # what is left of the time is of more use there
        if is_late or not self._best.has_time:
            return 0.0
        time_limit_s = max(min(self._best.left_s, most_s), self._best.least_time_s)
        options = replace(self._options, time_limit_s=time_limit_s)
        began = time.perf_counter()
        start = start_values(program, keep, self._best.choice)
        scaled_bound = run_solver(program.lp, options, start, self._clock)
        status = solve_status(program.lp)
        log.info(
            "%s: %d variables, %d constraints, %s, scaled bound %.9g, %.2f s",
            options.name,
            *self.size,
            status or "no plan in time",
            scaled_bound / program.scale,
            time.perf_counter() - began,
        )
        if status is SolveStatus.INFEASIBLE:
            return self._denied("no plan") if self._is_among(keep, device_order, serial) else inf
        if status is None:  # out of time without a plan; the bound holds all the same
            return scaled_bound / program.scale
        choice = decoded_choice(program).lift_to_full(keep)
        cost = confirmed_cost(self._problem, choice, self._options.name)
        self._best.take(choice, cost.objective)
        bound = scaled_bound / program.scale
        if self._is_among(keep, device_order, serial) and is_contradicted(bound, self._best.objective):
            return self._denied(f"a bound of {bound:.9g}")
        return bound

    def _is_among(
        self,
        keep: Sequence[Sequence[int]],
        device_order: DeviceOrder,
        serial: frozenset[int],
    ) -> bool:
        """Return whether the plan at hand has only some options of each vertex, and runs in an order."""
        if self._best.choice is None or not is_among(self._problem, self._best.choice, keep, device_order):
            return False
        return self.serial_devices is None or self.serial_devices.holds(serial, self._best.choice.options)

    def _denied(self, claim: str) -> float:
        """Return the bound that needs no proof, 0: the solver's claim contradicts the plan at hand."""
        log.warning(
            "%s proves %s, but there is a plan with %.9g", self._options.name, claim, self._best.objective
        )
        self.is_distrusted = True
        return 0.0

    def _makespan(self) -> float:
        """Return seconds of a makespan that no better plan exceeds."""
        terms = self._problem.objective
        # Only where the makespan alone is minimised does a plan's objective bound it.
        if self._best.choice is None or [t.quantity for t in terms] != [Quantity(CostMetric.MAKESPAN)]:
            return inf
        return self._best.objective / terms[0].weight if terms[0].weight else inf
