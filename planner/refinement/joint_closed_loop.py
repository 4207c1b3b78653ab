"""The closed loop for several models: each round times every model's part, then all are solved again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from planner.plan.configuration import configuration_of
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice
from planner.refinement.closed_loop import cost_error_after, with_correction, with_timing
from planner.refinement.joint_loop_state import JointLoopState, SolvedModels, TimedModels
from planner.refinement.measured_models import (
    MeasuredModels,
    bound_under_limits,
    keep_budgets,
    search_noise_limits,
)
from planner.refinement.ties import is_tied_with, measured_part, resolution_of
from profiling.latency.plan_timing import PlanTiming
from profiling.progress import Progress


def formulate_and_solve_models(
    models: MeasuredModels, state: JointLoopState
) -> tuple[JointLoopState, SolvedModels]:
    """Formulate and solve under the current costs."""
    plannings = models.planning_problems(tuple(one.latency for one in state.states))
    joint = models.formulate(plannings)
    found = search_noise_limits(models, joint, [one.search_state for one in state.states])
    return state.with_search_states(found), SolvedModels(plannings, found)


def refine_models(
    models: MeasuredModels, state: JointLoopState, solved: SolvedModels, progress: Progress
) -> tuple[JointLoopState, SolvedModels]:
    """Time each model's part and solve again with the costs that it showed; return the best one timed.

    A plan is not timed that the costs cannot tell from the best one that was.
    """
    while state.asks_for_timing(solved) and _is_better(models, state, solved):
        timings = _time_models(models, solved, solved.choice, progress)
        if not all(timings):
            break
        state = with_timings(models, state, solved, solved.choice, timings).with_last_correction()
        state, solved = formulate_and_solve_models(models, state)
    if solved.is_plan and state.timed:
        state = _time_uniform_models(models, state, solved, progress)
        if state.best != len(state.timed) - 1 or solved.choice != state.timed[state.best].choice:
            state, solved = _bound_best(models, state)
    return state, solved


def with_timings(
    models: MeasuredModels,
    state: JointLoopState,
    solved: SolvedModels,
    choice: Choice,
    timings: Sequence[Mapping[str, PlanTiming]],
) -> JointLoopState:
    """Return the state after each model's part of a plan was timed; the current costs stay."""
    states = tuple(
        with_timing(
            models.measured[model], one, solved.part(model), solved.found.joint.choice_of(model, choice), own
        )
        for model, (one, own) in enumerate(zip(state.states, timings, strict=True))
    )
    latencies = tuple(one.timed[-1].latency for one in states)
    joint = models.formulate(models.planning_problems(latencies))
    cost = evaluate(joint.problem, choice)
    plan = TimedModels(choice, cost.objective, measured_part(joint.problem, cost))
    return JointLoopState(states, (*state.timed, plan))


def _is_better(models: MeasuredModels, state: JointLoopState, solved: SolvedModels) -> bool:
    """Return whether a plan is predicted to be better than all timed ones, by more than costs can tell."""
    if not state.timed:
        return True
    errors = map(cost_error_after, models.measured, state.states)
    objective = solved.found.result.objective or 0.0
    return not is_tied_with(state.timed[state.best], objective, resolution_of(max(errors)))


def _time_uniform_models(
    models: MeasuredModels, state: JointLoopState, solved: SolvedModels, progress: Progress
) -> JointLoopState:
    """Time the plans in one precision that may be as good."""
    joint = solved.found.joint
    for result in solved.found.unconstrained.uniform:
        choice = result.choice
        if choice is None or (result.objective or 0.0) > state.timing_threshold or state.was_timed(choice):
            continue
        keeps, _ = keep_budgets(models, joint, choice, [one.search_state for one in state.states])
        timings = _time_models(models, solved, choice, progress) if keeps else [{}]
        if all(timings):
            state = with_timings(models, state, solved, choice, timings)
    return state


def _time_models(
    models: MeasuredModels, solved: SolvedModels, choice: Choice, progress: Progress
) -> list[dict[str, PlanTiming]]:
    """Time each model's part of a choice."""
    joint = solved.found.joint
    return [
        one.timings(configuration_of(joint.parts[model].problem, joint.choice_of(model, choice)), progress)
        for model, one in enumerate(models.measured)
    ]


def _bound_best(models: MeasuredModels, state: JointLoopState) -> tuple[JointLoopState, SolvedModels]:
    """Return the best plan that was timed, with a bound under the costs that it showed."""
    choice = state.timed[state.best].choice
    corrected = tuple(
        with_correction(measured, one, one.timed[state.best].timings)
        for measured, one in zip(models.measured, state.states, strict=True)
    )
    state = replace(state, states=corrected)
    plannings = models.planning_problems(tuple(one.latency for one in state.states))
    joint = models.formulate(plannings)
    found = bound_under_limits(models, joint, choice, [one.search_state for one in state.states])
    return state, SolvedModels(plannings, found)
