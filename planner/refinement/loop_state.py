"""What the closed loop knows: the current costs, and the plans that were timed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from planner.plan.configuration import Configuration, configuration_of
from planner.plan.plan_record import LoopRound, Metrics
from planner.problem.placement_problem import Choice
from planner.refinement.measured_models import JointSearchResult
from planner.refinement.noise_limit_search import SearchResult, SearchState
from planner.refinement.planning_problem import PlanningProblem
from profiling.latency.plan_timing import PlanTiming
from profiling.noise.noise_power import UNBOUNDED
from profiling.records.profile import LatencyProfile

# Plans that are solved for and timed: building and timing each takes longer than solving for it.
MOST_ROUNDS = 3
# Times the best objective: a plan in one precision that is predicted to be farther off is not timed.
# Predictions that no timing has corrected yet were seen 7 % low.
_TIMING_MARGIN = 1.1


class Solved:
    """What a solve found, for one model or for several."""

    __slots__ = ()
    found: SearchResult | JointSearchResult

    @property
    def is_plan(self) -> bool:
        """Whether there is a plan, and it keeps the error budgets of every model."""
        return self.found.result.choice is not None and not self.found.unmet

    @property
    def choice(self) -> Choice:
        """The solver's choice; there has to be a plan.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.found.result.choice is None:
            raise ValueError("there is no plan")
        return self.found.result.choice


@dataclass(frozen=True, slots=True)
class SolvedPlan(Solved):
    """What a solve found, and the problem under whose costs it did."""

    planning: PlanningProblem
    found: SearchResult

    @property
    def configuration(self) -> Configuration:
        """The choice in names; there has to be a plan."""
        return configuration_of(self.found.problem, self.choice)

    def with_calibrated_noise(self, metrics: Metrics) -> PlanningProblem:
        """Return what was solved, with a noise model that gives the noise that the plan shows."""
        noise_model = self.planning.noise_model.calibrated(
            self.found.cost.noise_power, min(metrics.noise_relative_rms**2, UNBOUNDED)
        )
        return replace(self.planning, noise_model=noise_model)


@dataclass(frozen=True, slots=True)
class TimedPlan:
    """A plan that was timed.

    Parameters
    ----------
    timings
        Device -> what it showed there, of devices that run on this machine.
    latency
        The costs that follow from it, by device.
    objective
        Of the plan under these costs.
    measured_part
        Of the objective: what follows from seconds that were measured.
    changes
        How often tensors change their precision or device.
    is_feasible
        Whether it keeps the limits under these costs.
    """

    choice: Choice
    configuration: Configuration
    timings: Mapping[str, PlanTiming]
    latency: Mapping[str, LatencyProfile]
    objective: float
    measured_part: float = 0.0
    changes: int = 0
    is_feasible: bool = True

    @property
    def standard_error(self) -> float:
        """Of the seconds that were timed, as a fraction of them."""
        return max(timing.standard_error for timing in self.timings.values())


@dataclass(frozen=True, slots=True)
class LoopState:
    """The current costs, the plans that were timed, and the state of the search for a noise limit."""

    latency: Mapping[str, LatencyProfile]
    search_state: SearchState = field(default_factory=SearchState)
    timed: tuple[TimedPlan, ...] = ()
    rounds: tuple[LoopRound, ...] = ()

    @property
    def best(self) -> TimedPlan:
        """The best plan so far, of those that keep the limits if some do; there has to be one."""
        return min(self.timed, key=lambda plan: (not plan.is_feasible, plan.objective))

    @property
    def timing_threshold(self) -> float:
        """The objective up to which a plan in one precision is worth timing."""
        return timing_threshold_of(self.best.objective)

    def was_timed(self, choice: Choice) -> bool:
        """Return whether a plan was timed."""
        return any(plan.choice == choice for plan in self.timed)

    def rounds_before(self, delivered: Choice) -> tuple[LoopRound, ...]:
        """Return all rounds, the last one of a plan that is delivered marked."""
        numbers = [number for number, plan in enumerate(self.timed) if plan.choice == delivered]
        return tuple(
            msgspec.structs.replace(one, delivered=number in numbers[-1:])
            for number, one in enumerate(self.rounds)
        )

    def asks_for_timing(self, solved: SolvedPlan) -> bool:
        """Return whether a plan is to be timed: it is new, and not too many were."""
        return solved.is_plan and len(self.timed) < MOST_ROUNDS and not self.was_timed(solved.choice)

    def with_last_correction(self) -> "LoopState":
        """Return the state whose current costs are those that follow from the last plan's timing."""
        return replace(self, latency=self.timed[-1].latency)


def timing_threshold_of(objective: float) -> float:
    """Return the objective up to which a plan in one precision is worth timing."""
    return _TIMING_MARGIN * objective
