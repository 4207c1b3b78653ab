"""What the closed loop for several models knows: each model's own state, and the joint plans timed."""

from dataclasses import dataclass, replace

from planner.problem.placement_problem import Choice
from planner.refinement.loop_state import (
    MOST_ROUNDS,
    LoopState,
    Solved,
    SolvedPlan,
    timing_threshold_of,
)
from planner.refinement.measured_models import JointSearchResult, MeasuredModels
from planner.refinement.planning_problem import PlanningProblem


@dataclass(frozen=True, slots=True)
class SolvedModels(Solved):
    """What a solve found for several models, and what was asked of each."""

    plannings: tuple[PlanningProblem, ...]
    found: JointSearchResult

    def part(self, model: int) -> SolvedPlan:
        """Return a model's part, as that of a solve for it alone."""
        return SolvedPlan(self.plannings[model], self.found.part(model))


@dataclass(frozen=True, slots=True)
class TimedModels:
    """A plan of several models that was timed.

    Parameters
    ----------
    objective
        Under the costs that it showed.
    measured_part
        Of the objective: what follows from seconds that were measured.
    """

    choice: Choice
    objective: float
    measured_part: float


@dataclass(frozen=True, slots=True)
class JointLoopState:
    """The state of each model's loop, and the plans of all that were timed."""

    states: tuple[LoopState, ...]
    timed: tuple[TimedModels, ...] = ()

    @classmethod
    def of(cls, models: MeasuredModels) -> "JointLoopState":
        """Return the state before anything was timed."""
        return cls(tuple(LoopState(one.latency) for one in models.measured))

    @property
    def best(self) -> int:
        """The number of the best plan so far; there has to be one."""
        return min(range(len(self.timed)), key=lambda number: self.timed[number].objective)

    @property
    def timing_threshold(self) -> float:
        """The objective up to which a plan in one precision is worth timing."""
        return timing_threshold_of(self.timed[self.best].objective)

    def was_timed(self, choice: Choice) -> bool:
        """Return whether a plan was timed."""
        return any(choice == plan.choice for plan in self.timed)

    def asks_for_timing(self, solved: SolvedModels) -> bool:
        """Return whether a plan is to be timed: it is new, and not too many were."""
        return solved.is_plan and len(self.timed) < MOST_ROUNDS and not self.was_timed(solved.choice)

    def with_last_correction(self) -> "JointLoopState":
        """Return the state whose current costs are those that follow from the last plan's timing."""
        return replace(self, states=tuple(state.with_last_correction() for state in self.states))

    def with_search_states(self, found: JointSearchResult) -> "JointLoopState":
        """Return the state with the states that a search ended in."""
        pairs = zip(self.states, found.states, strict=True)
        return replace(
            self, states=tuple(replace(state, search_state=search_state) for state, search_state in pairs)
        )
