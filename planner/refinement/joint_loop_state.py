"""The closed loop for several models: each round times every model's part, then all are solved again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from planner.refinement.loop_state import (
    MOST_ROUNDS,
    LoopState,
    Solved,
    SolvedPlan,
    corrected,
    timing_threshold_of,
)
from planner.refinement.measured_models import (
    JointSearchResult,
    MeasuredModels,
    bound_under_limits,
    search_noise_limits,
)
from planner.refinement.planning_problem import PlanningProblem
from profiling.latency.plan_corrections import PlanTiming


@dataclass(frozen=True, slots=True)
class SolvedModels(Solved):
    """What a solve found for several models, and what was asked of each."""

    plannings: tuple[PlanningProblem, ...]
    found: JointSearchResult

    def part(self, model: int) -> SolvedPlan:
        """Return a model's part, as that of a solve for it alone."""
        return SolvedPlan(self.plannings[model], self.found.part(model))


@dataclass(frozen=True, slots=True)
class JointLoopState:
    """The state of each model's loop, and the plans of all that were timed, with their objectives."""

    states: tuple[LoopState, ...]
    timed: tuple[tuple[Choice, float], ...] = ()

    @classmethod
    def of(cls, models: MeasuredModels) -> "JointLoopState":
        """Return the state before anything was timed."""
        return cls(tuple(LoopState(one.latency) for one in models.measured))

    @property
    def best(self) -> int:
        """The number of the best plan so far; there has to be one."""
        return min(range(len(self.timed)), key=lambda number: self.timed[number][1])

    @property
    def timing_threshold(self) -> float:
        """The objective up to which a plan in one precision is worth timing."""
        return timing_threshold_of(self.timed[self.best][1])

    def was_timed(self, choice: Choice) -> bool:
        """Return whether a plan was timed."""
        return any(choice == timed for timed, _ in self.timed)

    def asks_for_timing(self, solved: SolvedModels) -> bool:
        """Return whether a plan is to be timed: it is new, and not too many were."""
        return solved.is_plan and len(self.timed) < MOST_ROUNDS and not self.was_timed(solved.choice)

    def with_timing(
        self,
        models: MeasuredModels,
        solved: SolvedModels,
        choice: Choice,
        timings: Sequence[Mapping[str, PlanTiming]],
    ) -> "JointLoopState":
        """Return the state after each model's part of a plan was timed; the current costs stay."""
        states = tuple(
            state.with_timing(
                models.measured[model], solved.part(model), solved.found.joint.choice_of(model, choice), own
            )
            for model, (state, own) in enumerate(zip(self.states, timings, strict=True))
        )
        latencies = tuple(state.timed[-1].latency for state in states)
        joint = models.formulate(models.planning_problems(latencies))
        objective = evaluate(joint.problem, choice).objective
        return JointLoopState(states, (*self.timed, (choice, objective)))

    def with_last_correction(self) -> "JointLoopState":
        """Return the state whose current costs are those that follow from the last plan's timing."""
        return replace(self, states=tuple(state.with_last_correction() for state in self.states))

    def with_best_correction(self) -> "JointLoopState":
        """Return the state whose current costs are corrected by the best plan's timing as well."""
        return replace(
            self,
            states=tuple(
                replace(state, latency=corrected(state.latency, state.timed[self.best].timings))
                for state in self.states
            ),
        )

    def with_search_states(self, found: JointSearchResult) -> "JointLoopState":
        """Return the state with the states that a search ended in."""
        pairs = zip(self.states, found.states, strict=True)
        return replace(
            self, states=tuple(replace(state, search_state=search_state) for state, search_state in pairs)
        )


def solve_models(models: MeasuredModels, state: JointLoopState) -> tuple[JointLoopState, SolvedModels]:
    """Formulate and solve under the current costs."""
    plannings = models.planning_problems(tuple(one.latency for one in state.states))
    joint = models.formulate(plannings)
    found = search_noise_limits(models, joint, [one.search_state for one in state.states])
    return state.with_search_states(found), SolvedModels(plannings, found)


def bound_best(models: MeasuredModels, state: JointLoopState) -> tuple[JointLoopState, SolvedModels]:
    """Return the best plan that was timed, with a bound under the costs that it showed."""
    choice = state.timed[state.best][0]
    state = state.with_best_correction()
    plannings = models.planning_problems(tuple(one.latency for one in state.states))
    joint = models.formulate(plannings)
    found = bound_under_limits(models, joint, choice, [one.search_state for one in state.states])
    return state, SolvedModels(plannings, found)
