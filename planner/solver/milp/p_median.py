"""Which few of many candidates serve all customers at the least cost: the p-median problem, exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import pulp

from planner.errors import SolverError
from planner.solver.backends import run_solver
from planner.solver.solver_options import SolverOptions

_INTEGRAL = 0.5


@dataclass(frozen=True, slots=True)
class MedianAnswer:
    """Candidates that are opened.

    Parameters
    ----------
    opened
        Their numbers, ascending.
    mean
        Weighted sum of the served customers' least costs.
    unserved
        Weight of the customers that no opened candidate can serve.
    is_proved
        Whether no other few candidates are better.
    """

    opened: tuple[int, ...]
    mean: float
    unserved: float
    is_proved: bool


def p_median(
    costs: Sequence[Sequence[float]], weights: Sequence[float], most: int, options: SolverOptions
) -> MedianAnswer:
    """Return at most `most` candidates that leave the least weight unserved and, among those, cost least.

    Parameters
    ----------
    costs
        Customer -> candidate -> its cost, >= 0; infinite where it cannot serve.
    weights
        Of each customer, above 0.

    Raises
    ------
    SolverError
        If the solver fails.

    Examples
    --------
    >>> p_median([[1.0, 5.0, 2.0], [5.0, 1.0, 2.0]], [0.5, 0.5], 1, SolverOptions()).opened
    (2,)
    >>> p_median([[1.0, 5.0, 2.0], [5.0, 1.0, 2.0]], [0.5, 0.5], 2, SolverOptions()).opened
    (0, 1)
    """
    served = [c for c, row in enumerate(costs) if min(row, default=inf) < inf]
    if not served:
        return MedianAnswer((), 0.0, sum(weights), is_proved=True)
    total = sum(weights)
    # First as much weight as possible is served, at any cost, and then as cheaply as possible.
    coverage = _Program([costs[c] for c in served], [weights[c] / total for c in served], most)
    coverage.minimise_unserved(options)
    program = _Program([costs[c] for c in served], [weights[c] / total for c in served], most)
    is_proved = program.minimise_cost(coverage.unserved_customers, options) and coverage.is_proved
    opened = _needed(program.opened, costs)
    least = [min((row[k] for k in opened), default=inf) for row in costs]
    return MedianAnswer(
        opened,
        sum(w * cost for w, cost in zip(weights, least, strict=True) if cost < inf),
        sum(w for w, cost in zip(weights, least, strict=True) if cost == inf),
        is_proved,
    )


def _needed(opened: Sequence[int], costs: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Return the opened candidates that are some customer's best one."""
    best = {min(opened, key=lambda k: row[k]) for row in costs if min(row[k] for k in opened) < inf}
    return tuple(sorted(best))


class _Program:
    """Variables and rows: who is opened, who serves whom, and who is not served."""

    def __init__(self, costs: Sequence[Sequence[float]], weights: Sequence[float], most: int) -> None:
        self._costs, self._weights = costs, weights
        self.is_proved = False
        self._lp = pulp.LpProblem("p_median", pulp.LpMinimize)
        count = len(costs[0])
        self._open = [self._lp.add_variable(f"open_{k}", cat="Binary") for k in range(count)]
        self._skip = [self._lp.add_variable(f"skip_{c}", 0, 1) for c in range(len(costs))]
        self._serve = {
            (c, k): self._lp.add_variable(f"serve_{c}_{k}", 0)
            for c, row in enumerate(costs)
            for k, cost in enumerate(row)
            if cost < inf
        }
        self._lp.addConstraint(pulp.lpSum(self._open) <= most, "most")
        for c in range(len(costs)):
            own = [self._serve[c, k] for k in range(count) if (c, k) in self._serve]
            self._lp.addConstraint(pulp.lpSum([*own, self._skip[c]]) == 1, f"once_{c}")
        for (c, k), variable in self._serve.items():
            self._lp.addConstraint(variable <= self._open[k], f"opened_{c}_{k}")

    def minimise_unserved(self, options: SolverOptions) -> None:
        """Open those with which the least weight is left unserved."""
        largest = max(self._weights)
        pairs = zip(self._skip, self._weights, strict=True)
        self._run([(variable, weight / largest) for variable, weight in pairs], options)

    def minimise_cost(self, unserved: Sequence[int], options: SolverOptions) -> bool:
        """Open those that cost least while no more weight is left unserved than some customers have."""
        largest = max(self._weights)
        pairs = zip(self._skip, self._weights, strict=True)
        allowed = sum(self._weights[c] for c in unserved) / largest
        self._lp.addConstraint(
            pulp.LpAffineExpression([(v, w / largest) for v, w in pairs]) <= allowed + 1e-9, "unserved"
        )
        # What a served customer pays at least says nothing of who is opened, but of who is left out.
        least = {c: self._weights[c] * min(row) for c, row in enumerate(self._costs)}
        terms = [(self._serve[c, k], self._weights[c] * self._costs[c][k] - least[c]) for c, k in self._serve]
        if unserved:
            terms += [(self._skip[c], -saved) for c, saved in least.items()]
        scale = max(abs(value) for _, value in terms) or 1.0
        return self._run([(variable, value / scale) for variable, value in terms], options)

    def _run(self, terms: list[tuple[pulp.LpVariable, float]], options: SolverOptions) -> bool:
        self._lp.setObjective(pulp.LpAffineExpression([(v, value) for v, value in terms if value]))
        run_solver(self._lp, options)
        if self._lp.sol_status not in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible):
            raise SolverError("the solver found no plans to hold")
        self.is_proved = self._lp.sol_status == pulp.LpSolutionOptimal
        return self.is_proved

    @property
    def opened(self) -> list[int]:
        """Who is opened."""
        return [k for k, variable in enumerate(self._open) if (variable.value() or 0.0) > _INTEGRAL]

    @property
    def unserved_customers(self) -> list[int]:
        """Who is not served."""
        opened = set(self.opened)
        return [c for c, row in enumerate(self._costs) if all(row[k] == inf for k in opened)]
