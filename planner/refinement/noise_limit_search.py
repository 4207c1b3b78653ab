"""Error budgets are not additive: search the noise limit under which the best plan keeps them all.

Plans are tried out on held-back data. While one breaks a budget the limit falls; once one keeps them, what
lies between is searched a few times more, so that no faster plan is missed for a limit that was too low.
Noise does not always grow with its sum: faster plans found regardless of it are tried out last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from planner.costs.noise_model import NoiseModel
from planner.plan.records import Metrics, Round
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.scenario.schema import BudgetSpec
from planner.solver.backends import SolverOptions
from planner.solver.result import SolveResult, replace_choice
from planner.solver.single_precision import unconstrained_noise_plans, uniform_precision_plans
from planner.solver.solve import solve
from planner.verification.error_budgets import cautious_noise, doubtful_budgets, has_error_budget

NOISE = Quantity(CostMetric.NOISE)
_STEP = 0.5  # of noise power, where measurement does not say how far to go
_MARGIN = 0.95  # below what proportionality asks for, since noise is not quite additive
_MOST_ROUNDS = 24
_MOST_LOOSENED = 3  # solves that look for a faster plan once one keeps the budgets
_CLOSE = 1.15  # limits whose ratio is smaller are not worth telling apart
_FARTHEST = 4.0  # how much a limit may rise at once
_HOPELESS = 3.0  # times the noise allowed: what is predicted to have more is not worth trying out
_UNRELATED = 2.0  # noise power of an answer that has nothing to do with the right one, but its size
_GAIN = 1e-3  # of the objective: what gains less is not either


@dataclass(frozen=True, slots=True)
class Tightened:
    """The best plan that keeps the budgets, and every round; `unmet` tells what no limit could mend.

    Parameters
    ----------
    problem
        With the limit under which the plan was found.
    """

    problem: PlacementProblem
    result: SolveResult
    rounds: tuple[Round, ...]
    unmet: tuple[str, ...] = ()

    @property
    def cost(self) -> Cost:
        """What the plan costs; there has to be one."""
        if self.result.choice is None:
            raise ValueError("there is no plan")
        return evaluate(self.problem, self.result.choice)


class Tightening:
    """The search for the right limit on the summed noise; what it learned serves other costs too.

    Parameters
    ----------
    try_out
        Builds the plan of a solve and returns its errors on the held-back data; called once per plan.
    law
        How summed noise becomes noise; by default it is the same.
    """

    def __init__(
        self,
        budget: BudgetSpec,
        options: SolverOptions,
        try_out: Callable[[SolveResult], Metrics],
        law: NoiseModel | None = None,
    ) -> None:
        self._budget = budget
        self._options = options
        self._try_out = try_out
        self._law = law or NoiseModel()
        self._rounds: dict[Choice, Round] = {}
        self._best: tuple[PlacementProblem, SolveResult] | None = None
        self._low: float | None = None  # the greatest limit that is known to keep the budgets
        self._high = inf  # the least sum that breaks one
        self._loosened = 0

    def solve(self, problem: PlacementProblem) -> Tightened:
        """Solve, measure on held-back data, and solve again with another limit while that is worth it."""
        searched = self._search(problem)
        return self._dare(searched) if has_error_budget(self._budget) else searched

    def _search(self, problem: PlacementProblem) -> Tightened:
        self._best = None
        limit = self._start()
        while True:
            problem = problem.with_limit(NOISE, None if limit == inf else limit)
            result = solve(problem, self._options)
            if result.choice is None or not has_error_budget(self._budget):
                return self._done(problem, result, ())
            cost = evaluate(problem, result.choice)
            tried = self._try(problem, result, result.choice)
            self._learn(problem, result, cost, kept=not tried.broken)
            limit = self._next_limit(problem, cost, tried.held_back)
            if limit is None:
                broken = doubtful_budgets(self._budget, tried.held_back)
                unmet = [f"{name} {value:.6g} instead of {least:.6g}" for name, least, value in broken]
                return self._done(problem, result, tuple(unmet))

    def prove(self, problem: PlacementProblem, choice: Choice) -> Tightened:
        """Return a plan that was tried out, with a bound under the limit that was found."""
        limit = self._start()
        problem = problem.with_limit(NOISE, None if limit == inf else limit)
        solved, objective = solve(problem, self._options), evaluate(problem, choice).objective
        self._best = problem, replace_choice(solved, choice, objective)
        return self._done(*self._best, ())

    def _try(self, problem: PlacementProblem, result: SolveResult, choice: Choice) -> Round:
        """Return what a plan shows on held-back data; each is tried out once."""
        if choice not in self._rounds:
            metrics = self._try_out(result)
            broken = [name for name, _, _ in doubtful_budgets(self._budget, metrics)]
            cost = evaluate(problem, choice)
            self._rounds[choice] = _round(_limit(problem), cost, metrics, broken, self._law)
        return self._rounds[choice]

    def _dare(self, searched: Tightened) -> Tightened:
        """Return the best that keeps the budgets: what was found, or a plan found regardless of noise."""
        free = searched.problem.with_limit(NOISE, None)
        least = inf if self._best is None else searched.result.objective or 0.0
        for result in unconstrained_noise_plans(free, self._options):
            choice, objective = result.choice, result.objective or 0.0
            if choice is None or objective >= least * (1 - _GAIN):
                break
            if self._keeps(free, result):
                self._best = searched.problem, replace_choice(searched.result, choice, objective)
                return self._done(*self._best, ())
        return searched

    def uniform_plans(self, problem: PlacementProblem, at_most: float) -> list[SolveResult]:
        """Return plans in one precision that keep all budgets, up to an objective, best first."""
        free = problem.with_limit(NOISE, None)
        found = uniform_precision_plans(free, self._options)
        return [
            result for result in found if (result.objective or 0.0) <= at_most and self._keeps(free, result)
        ]

    def _keeps(self, free: PlacementProblem, result: SolveResult) -> bool:
        """Return whether a plan keeps the error budgets, without trying out what has no hope."""
        if result.choice is None:
            return False
        if not has_error_budget(self._budget):
            return True
        if result.choice not in self._rounds and self._is_hopeless(evaluate(free, result.choice)):
            return False
        return not self._try(free, result, result.choice).broken

    def _is_hopeless(self, cost: Cost) -> bool:
        allowed = self._budget.noise_relative_rms
        expected = min(_UNRELATED, self._law.predict(cost.noise_power))
        return allowed is not None and expected > (_HOPELESS * allowed) ** 2

    def _start(self) -> float | None:
        if self._low is not None:
            return self._low
        allowed = self._budget.noise_relative_rms
        return None if allowed is None else self._law.invert(allowed**2)

    def _learn(self, problem: PlacementProblem, result: SolveResult, cost: Cost, *, kept: bool) -> None:
        """Remember what a plan says of the limits."""
        if not kept:
            self._high = min(self._high, cost.noise_power)
            return
        if self._best is None or (result.objective or 0.0) < (self._best[1].objective or 0.0):
            self._best = problem, result
        self._low = max(self._low or 0.0, problem.tightest_limit(CostMetric.NOISE))

    def _next_limit(self, problem: PlacementProblem, cost: Cost, metrics: Metrics) -> float | None:
        """Return the limit to try next; None if there is no need or no way to go on."""
        if self._best is not None:
            return None if _limit(problem) is None else self._looser(cost, metrics)
        if cost.noise_power == 0:
            return None
        last = len(self._rounds) >= _MOST_ROUNDS - 1
        return 0.0 if last else cost.noise_power * reduction_factor(self._budget, metrics)

    def _looser(self, cost: Cost, metrics: Metrics) -> float | None:
        """Return a greater limit that may keep the budgets too."""
        self._loosened += 1
        low = self._low or 0.0
        if self._loosened > _MOST_LOOSENED:
            return None
        if self._high < inf:
            return (low * self._high) ** 0.5 if self._high > low * _CLOSE else None
        allowed, got = self._budget.noise_relative_rms, cautious_noise(metrics)
        if allowed is None:
            return None
        room = min(_FARTHEST, _MARGIN * (allowed / got) ** 2) if got else _FARTHEST
        limit = max(low, cost.noise_power) * room
        return limit if limit > low * _CLOSE else None

    def _done(self, problem: PlacementProblem, result: SolveResult, unmet: tuple[str, ...]) -> Tightened:
        """Return the best plan, else the last one with what it breaks."""
        if self._best is None:
            return Tightened(problem, result, tuple(self._rounds.values()), unmet)
        problem, result = self._best
        rounds = [
            msgspec.structs.replace(one, delivered=choice == result.choice)
            for choice, one in self._rounds.items()
        ]
        return Tightened(problem, result, tuple(rounds))


def reduction_factor(budget: BudgetSpec, metrics: Metrics) -> float:
    """Return the factor by which the summed noise of a plan that breaks a budget should fall."""
    allowed, got = budget.noise_relative_rms, cautious_noise(metrics)
    if allowed is None or got <= allowed:
        return _STEP
    # Power grows with the square: aim where proportionality says the budget holds.
    return min(_MARGIN, _MARGIN * (allowed / got) ** 2)


def _limit(problem: PlacementProblem) -> float | None:
    limit = problem.tightest_limit(CostMetric.NOISE)
    return None if limit == inf else limit


def _round(
    limit: float | None, cost: Cost, metrics: Metrics, broken: Sequence[str], law: NoiseModel
) -> Round:
    return Round(
        noise_budget_rms=None if limit is None else law.predict(limit) ** 0.5,
        predicted_noise_rms=law.predict(cost.noise_power) ** 0.5,
        latency_s=cost.latency_s,
        held_back=metrics,
        broken=tuple(broken),
    )
