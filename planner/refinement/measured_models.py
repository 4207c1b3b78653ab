"""Several measured scenarios that are planned together, and the search for noise limits of all of them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from planner.costs.formulation import formulate_several
from planner.plan.plan_record import NoisyCosts
from planner.problem.cost_evaluation import evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import Limit, Quantity
from planner.problem.several_models import JointProblem
from planner.refinement.measured_scenario import MeasuredScenario
from planner.refinement.noise_limit_search import (
    GAIN,
    MOST_ROUNDS,
    NOISE,
    NoiseLimitSearch,
    SearchResult,
    SearchState,
    rounds_of,
)
from planner.refinement.planning_problem import PlanningProblem
from planner.refinement.unconstrained_noise import UnconstrainedNoisePlans
from planner.scenario.several_models import SeveralModels
from planner.solver.result import SolveResult, replace_choice
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions
from planner.verification.error_budgets import has_error_budget
from planner.verification.noisy_costs import noisiest
from profiling.records.profile import LatencyProfile

log = logging.getLogger(__name__)
Latencies = tuple[Mapping[str, LatencyProfile], ...]
NoiseLimits = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class MeasuredModels:
    """Everything that was measured of several models."""

    several: SeveralModels
    measured: tuple[MeasuredScenario, ...]

    @property
    def options(self) -> SolverOptions:
        """How their problems are solved."""
        return self.measured[0].options

    @property
    def noisy_costs(self) -> tuple[NoisyCosts, ...]:
        """Devices whose costs are noisy for one of the models."""
        return noisiest([one.noisy_costs for one in self.measured])

    @property
    def searches(self) -> tuple[NoiseLimitSearch, ...]:
        """How each model's limit on noise is searched."""
        return tuple(one.noise_limit_search for one in self.measured)

    def planning_problems(self, latencies: Latencies) -> tuple[PlanningProblem, ...]:
        """Return what is to be solved for each model under the current costs."""
        pairs = zip(self.measured, latencies, strict=True)
        return tuple(one.planning_problem(latency) for one, latency in pairs)

    def formulate(self, plannings: Sequence[PlanningProblem]) -> JointProblem:
        """Return the question as numbers."""
        return formulate_several(self.several, [planning.formulate() for planning in plannings])


@dataclass(frozen=True, slots=True)
class JointSearchResult:
    """The best plan that keeps the error budgets of all models.

    Parameters
    ----------
    joint
        Without limits on noise.
    limits
        Model -> the limit on its summed noise under which the plan was found.
    unconstrained
        The plans without these limits.
    unmet
        Error budgets that no limit could mend, as sentences.
    """

    joint: JointProblem
    limits: NoiseLimits
    result: SolveResult
    states: tuple[SearchState, ...]
    unconstrained: UnconstrainedNoisePlans
    unmet: tuple[str, ...] = ()

    @property
    def problem(self) -> PlacementProblem:
        """The problem with its limits on noise."""
        return with_noise_limits(self.joint, self.limits)

    def part(self, model: int) -> SearchResult:
        """Return a model's part of the plan, as that of a search for it alone."""
        free = self.joint.parts[model].problem
        problem = free.with_limit(NOISE, self.limits[model])
        choice = None if self.result.choice is None else self.joint.choice_of(model, self.result.choice)
        state = self.states[model]
        rounds = rounds_of(state, choice)
        unconstrained = UnconstrainedNoisePlans(free, self.unconstrained.options)
        result = replace(self.result, choice=choice)
        return SearchResult(problem, result, rounds, unconstrained, self.unmet, state)


def with_noise_limits(joint: JointProblem, limits: NoiseLimits) -> PlacementProblem:
    """Return the joint problem with a limit on the noise of each model; None where there is none."""
    problem = joint.problem
    for model, at_most in enumerate(limits):
        quantity = Quantity(NOISE.metric, model=model)
        limit = inf if at_most is None else joint.limit_of(model, Limit(NOISE, at_most)).at_most
        problem = problem.with_limit(quantity, None if limit == inf else limit)
    return problem


def search_noise_limits(
    models: MeasuredModels, joint: JointProblem, states: Sequence[SearchState]
) -> JointSearchResult:
    """Solve, try each model's part out, and solve again with other limits while that is worth it.

    Each model's limit moves as it would alone: down while its part breaks a budget, up once one kept them.
    """
    return _try_beyond_limits(models, _searched(models, joint, states))


def bound_under_limits(
    models: MeasuredModels, joint: JointProblem, choice: Choice, states: Sequence[SearchState]
) -> JointSearchResult:
    """Return a plan that was tried out, with a bound under the limits that were found."""
    limits = tuple(search.first_limit(s) for search, s in zip(models.searches, states, strict=True))
    solved = _solved(joint, limits, states, UnconstrainedNoisePlans(joint.problem, models.options))
    objective = evaluate(joint.problem, choice).objective
    return replace(solved, result=replace_choice(solved.result, choice, objective))


def _solved(
    joint: JointProblem,
    limits: NoiseLimits,
    states: Sequence[SearchState],
    unconstrained: UnconstrainedNoisePlans,
) -> JointSearchResult:
    """Return the best plan under limits."""
    if all(limit is None for limit in limits):
        return JointSearchResult(joint, limits, unconstrained.best, tuple(states), unconstrained)
    result = solve(with_noise_limits(joint, limits), unconstrained.options)
    return JointSearchResult(joint, limits, result, tuple(states), unconstrained)


def _searched(
    models: MeasuredModels, joint: JointProblem, states: Sequence[SearchState]
) -> JointSearchResult:
    best: JointSearchResult | None = None
    limits = tuple(search.first_limit(s) for search, s in zip(models.searches, states, strict=True))
    unconstrained = UnconstrainedNoisePlans(joint.problem, models.options)
    tried: set[NoiseLimits] = set()
    while True:
        tried.add(limits)
        last = _solved(joint, limits, states, unconstrained)
        if last.result.choice is None:
            return last if best is None else replace(best, states=tuple(states))
        steps = [_Step.of(models, last, model, state) for model, state in enumerate(last.states)]
        states = tuple(step.state for step in steps)
        last = replace(last, states=states, unmet=tuple(text for step in steps for text in step.broken))
        if not last.unmet and (best is None or _objective(last) < _objective(best)):
            best = last
        limits = tuple(step.following for step in steps)
        hopeless = any(step.is_hopeless for step in steps)
        if hopeless or limits in tried or len(tried) > MOST_ROUNDS * len(steps):
            return last if best is None else replace(best, states=states)


@dataclass(frozen=True, slots=True)
class _Step:
    """What trying out a model's part showed, and the limit on its noise to try next.

    Parameters
    ----------
    broken
        Error budgets that it broke, as sentences.
    is_hopeless
        Whether no noise is left to take away from it.
    """

    following: float | None
    state: SearchState
    broken: tuple[str, ...] = ()
    is_hopeless: bool = False

    @classmethod
    def of(cls, models: MeasuredModels, last: JointSearchResult, model: int, state: SearchState) -> "_Step":
        search, limit, part = models.searches[model], last.limits[model], last.part(model)
        choice = part.result.choice
        if choice is None or not has_error_budget(search.budget):
            return cls(limit, state)
        cost = part.cost
        trial, state = search.try_out(part.problem, choice, state)
        name = models.several.names[model]
        broken = tuple(f"{name}: {text}" for text in search.unmet(trial.held_back))
        state = state.learned(inf if limit is None else limit, cost.noise_power, kept=not broken)
        if broken and limit is not None and limit <= (state.highest_kept or 0.0):
            # Beside other limits of the other models, another plan came of a limit that seemed to keep all.
            state = replace(state, highest_kept=None)
        if state.highest_kept is None:
            following = search.tighter(cost, trial.held_back, state)
            return cls(following, state, broken, is_hopeless=following is None)
        following, state = search.looser(part.problem, cost, trial.held_back, state)
        kept = None if state.highest_kept == inf else state.highest_kept
        return cls(kept if following is None else following if following < inf else None, state, broken)


def _objective(searched: JointSearchResult) -> float:
    return searched.result.objective or 0.0


def _try_beyond_limits(models: MeasuredModels, searched: JointSearchResult) -> JointSearchResult:
    """Return the best that keeps the budgets: what was found, or a plan found regardless of noise."""
    searches = models.searches
    if not any(has_error_budget(search.budget) for search in searches):
        return searched
    has_plan = searched.result.choice is not None and not searched.unmet
    best = _objective(searched) if has_plan else inf
    for choice, objective in searched.unconstrained.below(best * (1 - GAIN)):
        keeps, states = keep_budgets(models, searched.joint, choice, searched.states)
        searched = replace(searched, states=states)
        if keeps:
            bounded = replace_choice(searched.result, choice, objective)
            return replace(searched, result=bounded, unmet=())
    return searched


def keep_budgets(
    models: MeasuredModels, joint: JointProblem, choice: Choice, states: Sequence[SearchState]
) -> tuple[bool, tuple[SearchState, ...]]:
    """Return whether each model's part of a plan keeps its error budgets, without trying out the hopeless."""
    found = list(states)
    for model, search in enumerate(models.searches):
        part = joint.parts[model].problem
        own = joint.choice_of(model, choice)
        keeps, found[model] = search.keeps(part, own, found[model])
        if not keeps:
            return False, tuple(found)
    return True, tuple(found)
