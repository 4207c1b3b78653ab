"""Error budgets are not additive: search the noise limit under which the best plan keeps them all.

Plans are tried out on held-back data. While one breaks a budget the limit falls; once one keeps them, what
lies between is searched a few times more, so that no faster plan is missed for a limit that was too low.
Noise does not always grow with its sum: faster plans found regardless of it are tried out last.

What was tried out is a value, `SearchState`: each step takes one and returns the next.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from types import MappingProxyType

import msgspec

from planner.costs.noise_saturation import NoiseModel
from planner.errors import OutOfTimeError
from planner.plan.plan_record import Metrics, Round
from planner.problem.cost_evaluation import Cost, evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.refinement.unconstrained_noise import UnconstrainedNoisePlans
from planner.scenario.budget_schema import BudgetSpec
from planner.solver.result import SolveResult, replace_choice
from planner.solver.solve import solve
from planner.solver.solver_options import SolverOptions
from planner.verification.error_budgets import cautious_noise, doubtful_budgets, has_error_budget

log = logging.getLogger(__name__)
NOISE = Quantity(CostMetric.NOISE)
# Where a budget on answers breaks, no formula says how far noise has to fall. Halving its power takes ten
# plans to a thousandth of it.
_STEP = 0.5
# Aims a little below what proportionality asks for: noise is not quite additive, and a plan that misses its
# budget by a percent costs one more round.
_MARGIN = 0.95
# Trying a plan out builds and runs it, which takes seconds. After 23 plans, 1e-7 of the power if each halved
# it, the last one is fp32.
MOST_ROUNDS = 24
# Each further solve halves, on a logarithmic scale, the span between what keeps the budgets and what breaks
# them: three leave an eighth of it.
_MOST_LOOSENED = 3
# Limits nearer than this differ by 7 % in rms; another solve and trial for less than that is not worth while.
_CLOSE = 1.15
# One plan's noise is a guess about another's: where a budget seems to leave room, a limit rises fourfold in
# power (twice in rms) at most, and the next plan is measured before it rises further.
_MOST_RAISED = 4.0
# Plans beyond the limit are tried out since networks may answer chaotically, so that predictions err. What is
# predicted to have three times the rms allowed is not worth its seconds.
_HOPELESS = 3.0
# An answer that has nothing to do with the right one, but its size: |a - b|^2 = |a|^2 + |b|^2, twice the
# signal's power. No plan is expected to have more noise.
_UNRELATED = 2.0
GAIN = 1e-3  # of the objective; less is within what timing a plan twice differs by


@dataclass(frozen=True, slots=True)
class SearchState:
    """What plans that were tried out have shown. It does not depend on seconds, so it serves other costs too.

    Parameters
    ----------
    rounds
        Every plan that was tried out, in order, with its errors on the held-back data.
    highest_kept
        The greatest limit on summed noise power that is known to keep the budgets; None if none is.
    lowest_broken
        The least summed noise power that breaks one.
    loosened
        How often a greater limit was tried once one kept the budgets.
    """

    rounds: Mapping[Choice, Round] = field(default_factory=lambda: MappingProxyType({}))
    highest_kept: float | None = None
    lowest_broken: float = inf
    loosened: int = 0

    def tried(self, choice: Choice, trial: Round) -> "SearchState":
        """Return the state with one more plan that was tried out."""
        return replace(self, rounds=MappingProxyType({**self.rounds, choice: trial}))

    def learned(self, limit: float, summed: float, *, kept: bool) -> "SearchState":
        """Return the state after a plan, found under a limit, kept the budgets or broke one."""
        if kept:
            return replace(self, highest_kept=max(self.highest_kept or 0.0, limit))
        return replace(self, lowest_broken=min(self.lowest_broken, summed))


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The best plan that keeps the budgets, and what the search has seen.

    Parameters
    ----------
    problem
        With the limit under which the plan was found.
    rounds
        Every plan that was tried out; the delivered one is marked.
    unconstrained
        The problem's plans without its limit on noise.
    unmet
        Budgets that no limit could mend, as sentences.
    """

    problem: PlacementProblem
    result: SolveResult
    rounds: tuple[Round, ...]
    unconstrained: UnconstrainedNoisePlans
    unmet: tuple[str, ...] = ()
    state: SearchState = field(default_factory=SearchState)

    @property
    def cost(self) -> Cost:
        """What the plan costs; there has to be one.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.result.choice is None:
            raise ValueError("there is no plan")
        return evaluate(self.problem, self.result.choice)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A plan, the problem whose limit it was found under, and the plans without the limit."""

    problem: PlacementProblem
    result: SolveResult
    unconstrained: UnconstrainedNoisePlans


@dataclass(frozen=True, slots=True)
class NoiseLimitSearch:
    """How the limit on summed noise is searched: fixed for one scenario.

    Parameters
    ----------
    errors_of
        Builds the plan that a choice stands for and returns its errors on the held-back data; called once
        per plan.
    noise_model
        How summed noise becomes noise; by default it is the same.
    """

    budget: BudgetSpec
    options: SolverOptions
    errors_of: Callable[[PlacementProblem, Choice], Metrics]
    noise_model: NoiseModel = field(default_factory=NoiseModel)

    def solve_and_try_out(self, problem: PlacementProblem, state: SearchState) -> SearchResult:
        """Solve, try out, and solve again with another limit while that is worth it."""
        unconstrained = UnconstrainedNoisePlans(problem.with_limit(NOISE, None), self.options)
        if not has_error_budget(self.budget):
            found = self._solved(unconstrained, self.first_limit(state), state)
            return SearchResult(found.problem, found.result, (), unconstrained, state=state)
        return self._try_beyond_limit(self._search(unconstrained, state))

    def bound_for(self, problem: PlacementProblem, choice: Choice, state: SearchState) -> SearchResult:
        """Return a plan that was tried out, with a bound under the limit that was found."""
        unconstrained = UnconstrainedNoisePlans(problem.with_limit(NOISE, None), self.options)
        solved = self._solved(unconstrained, self.first_limit(state), state)
        objective = evaluate(solved.problem, choice).objective
        return _delivered(replace(solved, result=replace_choice(solved.result, choice, objective)), state)

    def uniform_precision_plans(
        self,
        unconstrained: UnconstrainedNoisePlans,
        measured: PlacementProblem,
        at_most: float,
        state: SearchState,
    ) -> tuple[list[SolveResult], SearchState]:
        """Return plans in one precision that keep all budgets, up to an objective, best first.

        Parameters
        ----------
        measured
            The problem with costs that no plan's timing has corrected. An objective counts under the costs
            where it is less: what one plan showed of a unit need not hold in another.
        """
        plans = []
        for result in unconstrained.uniform:
            choice = result.choice
            objectives = [result.objective or 0.0]
            objectives += [evaluate(measured, choice).objective] if choice is not None else []
            if min(objectives) <= at_most:
                kept, state = self.keeps(unconstrained.problem, result.choice, state)
                plans += [result] if kept else []
        return plans, state

    def _solved(
        self, unconstrained: UnconstrainedNoisePlans, limit: float | None, state: SearchState
    ) -> _Candidate:
        """Return the best plan under a limit; where time is short, from plans that were tried out."""
        if limit is None:
            return _Candidate(unconstrained.problem, unconstrained.best, unconstrained)
        limited = unconstrained.problem.with_limit(NOISE, limit)
        try:
            result = solve(limited, self.options)
        except OutOfTimeError:
            known = [choice for choice in state.rounds if is_feasible(limited, evaluate(limited, choice))]
            if not known:
                raise
            result = solve(limited, self.options, known)
        return _Candidate(limited, result, unconstrained)

    def _search(self, unconstrained: UnconstrainedNoisePlans, state: SearchState) -> SearchResult:
        best: _Candidate | None = None
        limit = self.first_limit(state)
        while True:
            last = self._solved(unconstrained, limit, state)
            limited, choice = last.problem, last.result.choice
            if choice is None:
                return _finished(best, last, (), state)
            trial, state = self.try_out(limited, choice, state)
            cost = evaluate(limited, choice)
            state = state.learned(
                limited.tightest_limit(CostMetric.NOISE), cost.noise_power, kept=not trial.broken
            )
            if not trial.broken and (best is None or _objective(last) < _objective(best)):
                best = last
            if best is not None:
                following, state = self.looser(limited, cost, trial.held_back, state)
            else:
                following = self.tighter(cost, trial.held_back, state)
            if following is None:
                return _finished(best, last, self.unmet(trial.held_back), state)
            limit = following if following < inf else None

    def unmet(self, metrics: Metrics) -> tuple[str, ...]:
        """Return the budgets that a plan breaks, as sentences."""
        broken = doubtful_budgets(self.budget, metrics)
        return tuple(f"{name} {value:.6g} instead of {allowed:.6g}" for name, allowed, value in broken)

    def try_out(
        self, problem: PlacementProblem, choice: Choice, state: SearchState
    ) -> tuple[Round, SearchState]:
        """Return what a plan shows on held-back data; each is tried out once."""
        if choice in state.rounds:
            return state.rounds[choice], state
        metrics = self.errors_of(problem, choice)
        limit, cost = _limit(problem), evaluate(problem, choice)
        trial = Round(
            noise_budget_rms=None if limit is None else self.noise_model.predict(limit) ** 0.5,
            predicted_noise_rms=self.noise_model.predict(cost.noise_power) ** 0.5,
            latency_s=cost.latency_s,
            held_back=metrics,
            broken=tuple(name for name, _, _ in doubtful_budgets(self.budget, metrics)),
        )
        log.info(
            "plan %d tried out: noise %.4g, predicted %.4g, %.6g s, breaks %s",
            len(state.rounds) + 1,
            metrics.noise_relative_rms,
            trial.predicted_noise_rms,
            trial.latency_s,
            ", ".join(trial.broken) or "nothing",
        )
        return trial, state.tried(choice, trial)

    def _try_beyond_limit(self, searched: SearchResult) -> SearchResult:
        """Return the best that keeps the budgets: what was found, or a plan found regardless of noise."""
        state = searched.state
        kept = any(trial.delivered for trial in searched.rounds)
        best_objective = (searched.result.objective or 0.0) if kept else inf
        unconstrained = searched.unconstrained
        for choice, objective in unconstrained.below(best_objective * (1 - GAIN)):
            keeps, state = self.keeps(unconstrained.problem, choice, state)
            if keeps:
                bounded = replace_choice(searched.result, choice, objective)
                return _delivered(_Candidate(searched.problem, bounded, unconstrained), state)
        return replace(searched, state=state)

    def keeps(
        self, free: PlacementProblem, choice: Choice | None, state: SearchState
    ) -> tuple[bool, SearchState]:
        """Return whether a plan keeps the error budgets, without trying out what has no hope."""
        if choice is None:
            return False, state
        if not has_error_budget(self.budget):
            return True, state
        if choice not in state.rounds and self._is_hopeless(evaluate(free, choice)):
            return False, state
        trial, state = self.try_out(free, choice, state)
        return not trial.broken, state

    def _is_hopeless(self, cost: Cost) -> bool:
        allowed = self.budget.noise_relative_rms
        expected = min(_UNRELATED, self.noise_model.predict(cost.noise_power))
        return allowed is not None and expected > (_HOPELESS * allowed) ** 2

    def first_limit(self, state: SearchState) -> float | None:
        """Return a limit known to keep the budgets, else the one that the noise model predicts to."""
        allowed = self.budget.noise_relative_rms
        if state.highest_kept is not None:
            limit = state.highest_kept
        else:
            limit = inf if allowed is None else self.noise_model.invert(allowed**2)
        return limit if limit < inf else None  # noise that saturates keeps some budgets at any sum

    def tighter(self, cost: Cost, metrics: Metrics, state: SearchState) -> float | None:
        """Return a lower limit; None if there is no noise left to take away."""
        if cost.noise_power == 0:
            return None
        last = len(state.rounds) >= MOST_ROUNDS - 1
        return 0.0 if last else cost.noise_power * reduction_factor(self.budget, metrics)

    def looser(
        self, problem: PlacementProblem, cost: Cost, metrics: Metrics, state: SearchState
    ) -> tuple[float | None, SearchState]:
        """Return a greater limit that may keep the budgets too; None if that is not worth a solve."""
        if _limit(problem) is None:
            return None, state
        state = replace(state, loosened=state.loosened + 1)
        low, high = state.highest_kept or 0.0, state.lowest_broken
        if state.loosened > _MOST_LOOSENED:
            return None, state
        if high < inf:
            return ((low * high) ** 0.5 if high > low * _CLOSE else None), state
        allowed, noise = self.budget.noise_relative_rms, cautious_noise(metrics)
        if allowed is None:
            return None, state
        room = min(_MOST_RAISED, _MARGIN * (allowed / noise) ** 2) if noise else _MOST_RAISED
        limit = max(low, cost.noise_power) * room
        return (limit if limit > low * _CLOSE else None), state


def reduction_factor(budget: BudgetSpec, metrics: Metrics) -> float:
    """Return the factor by which the summed noise power of a plan that breaks a budget should fall.

    Noise power is proportional to its sum to first order, so a budget on noise says where it would hold.
    """
    allowed, noise = budget.noise_relative_rms, cautious_noise(metrics)
    if allowed is None or noise <= allowed:
        return _STEP
    return min(_MARGIN, _MARGIN * (allowed / noise) ** 2)


def _finished(
    best: _Candidate | None, last: _Candidate, unmet: Sequence[str], state: SearchState
) -> SearchResult:
    """Return the best plan, else the last one with what it breaks."""
    if best is not None:
        return _delivered(best, state)
    rounds = tuple(state.rounds.values())
    return SearchResult(last.problem, last.result, rounds, last.unconstrained, tuple(unmet), state)


def _delivered(plan: _Candidate, state: SearchState) -> SearchResult:
    rounds = rounds_of(state, plan.result.choice)
    return SearchResult(plan.problem, plan.result, rounds, plan.unconstrained, state=state)


def rounds_of(state: SearchState, delivered: Choice | None) -> tuple[Round, ...]:
    """Return every plan that was tried out, the delivered one marked."""
    return tuple(
        msgspec.structs.replace(trial, delivered=choice == delivered)
        for choice, trial in state.rounds.items()
    )


def _objective(plan: _Candidate) -> float:
    return plan.result.objective or 0.0


def _limit(problem: PlacementProblem) -> float | None:
    limit = problem.tightest_limit(CostMetric.NOISE)
    return None if limit == inf else limit
