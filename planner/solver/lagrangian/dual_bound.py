"""The prices of limited quantities at which the relaxation's bound is highest, and what it then proves.

Column generation over the limits (Dantzig and Wolfe, "Decomposition principle for linear programs",
Operations Research 8, 1960), its prices smoothed (Wentges, "Weighted Dantzig-Wolfe decomposition for linear
mixed-integer programming", International Transactions in Operational Research 4, 1997).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from planner.problem.cost_evaluation import Cost, evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit
from planner.solver.lagrangian.multipliers import Multipliers, multipliers_of
from planner.solver.lagrangian.relaxation import LagrangianRelaxation, Row
from planner.solver.lagrangian.restricted_master import Column, solve_restricted_master
from planner.solver.lagrangian.variable_elimination import Table

_SMOOTH = 0.5  # share of the best prices so far in the next ones tried
_CLOSE = 1e-6  # relative distance of bound and mixture at which the prices are final
_MOST_STATES = 3e7  # of a relaxation that is worth having
_KEPT = 1e-6  # relative; what exceeds a limit by less may still keep it
_HEAVY = 0.1  # of a limit; lighter options hardly break it
_STALLED = 12  # rounds without a better bound


@dataclass(frozen=True, slots=True)
class Bound:
    """What the relaxation proves.

    Parameters
    ----------
    value
        No plan within the limits has a lower objective; infinite if there is none.
    option_bounds
        Vertex -> option -> the same for plans with that option.
    best
        The best plan met on the way, if any, and its objective.
    rounds
        Prices tried.
    """

    value: float
    option_bounds: tuple[Table, ...]
    best: Choice | None
    objective: float
    rounds: int


def lower_bound(problem: PlacementProblem, time_limit_s: float, clock: Callable[[], float]) -> Bound | None:
    """Return a bound on a problem's objective, and on that of each option.

    None if none is to be had this way: the objective is a maximum of sums (makespan, period), or tensors join
    too many units at once.
    """
    objective = _objective(problem)
    if objective is None:
        return None
    search = _Search(problem, objective)
    return search.run(clock() + time_limit_s, clock) if search.is_worth_while else None


def _objective(problem: PlacementProblem) -> Multipliers | None:
    """Return the objective's prices; a memory in it counts its weights."""
    total: Multipliers | None = None
    for term in problem.objective:
        prices = multipliers_of(problem, term.quantity)
        if prices is None:
            return None
        own = prices.times(term.weight)
        total = own if total is None else total.plus(own)
    return total


def _rows(problem: PlacementProblem) -> list[Row]:
    """Return the limits as sums that are at most 1; maxima and limits of 0 are left out."""
    rows = []
    for limit in problem.limits:
        prices = multipliers_of(problem, limit.quantity)
        if prices is not None and limit.at_most > 0:
            peak = _peak(problem, limit) if limit.quantity.metric is CostMetric.MEMORY else None
            rows.append(Row(prices.times(1 / limit.at_most), peak, 1 / limit.at_most))
    return rows


def _peak(
    problem: PlacementProblem, limit: Limit, options: Sequence[int] | None = None
) -> tuple[int, int] | None:
    """Return the vertex that may have (with some options: has) the largest tensors on a device."""
    device = limit.quantity.of
    if device is None:
        return None
    held = {
        v: option.activation_bytes
        for v, vertex in enumerate(problem.vertices)
        for o, option in enumerate(vertex.options)
        if problem.physical_device(option.device) == device and (options is None or options[v] == o)
    }
    return (max(held, key=held.__getitem__), device) if held else None


class _Search:
    """The state of the search for prices."""

    def __init__(self, problem: PlacementProblem, objective: Multipliers) -> None:
        self._problem = problem
        self._rows = _rows(problem)
        self._relaxation = LagrangianRelaxation(problem, [Row(objective), *self._rows])
        self._memory = [x for x in problem.limits if x.quantity.metric is CostMetric.MEMORY and x.at_most > 0]
        self._met: list[tuple[list[float], list[int]]] = []  # prices and options of the choices met
        self._columns: list[Column] = []
        self._value, self._prices = -inf, [0.0] * len(self._rows)
        self._best: Choice | None = None
        self._objective = inf

    @property
    def is_worth_while(self) -> bool:
        """Whether one round takes seconds rather than minutes."""
        return self._relaxation.states <= _MOST_STATES

    def _leave_out(self) -> None:
        """Leave out the options that break a limit whatever the others are, where some weigh that much."""
        for place in range(1, 1 + len(self._rows)):
            if self._relaxation.max_contribution(place) > _HEAVY:
                alone = [float(place == row) for row in range(1 + len(self._rows))]
                least = self._relaxation.marginals(alone)
                self._relaxation.exclude_options([table > 1 + _KEPT for table in least])

    def run(self, deadline: float, clock: Callable[[], float]) -> Bound:
        """Try prices until the bound rises no more."""
        self._leave_out()
        trial, stalled, rounds = list(self._prices), 0, 0
        while True:
            rounds += 1
            least, options = self._relaxation.minimise([1.0, *trial])
            if least == inf:
                return Bound(inf, (), None, inf, rounds)
            value = least - sum(trial)
            stalled = 0 if value > self._value + _CLOSE * abs(self._value) else stalled + 1
            if value > self._value:
                self._value, self._prices = value, trial
            self._meet(options, trial)
            mixed, wanted = solve_restricted_master(self._columns)
            if mixed - self._value <= _CLOSE * abs(mixed) or stalled == _STALLED or clock() > deadline:
                break
            share = 0.0 if stalled % 2 else _SMOOTH  # smoothed prices that led nowhere are left
            self._prices = [*self._prices, *[0.0] * (len(wanted) - len(self._prices))]
            trial = [share * a + (1 - share) * b for a, b in zip(self._prices, wanted, strict=True)]
        at_least = self._relaxation.marginals([1.0, *self._prices])
        paid = sum(self._prices)
        return Bound(self._value, tuple(t - paid for t in at_least), self._best, self._objective, rounds)

    def _meet(self, options: list[int], prices: list[float]) -> None:
        """Remember a choice, and the largest unit on each device that is too small for it."""
        self._met.append((prices, options))
        choice, _ = self._relaxation.decode([1.0, *prices], options)
        cost = evaluate(self._problem, choice)
        if is_feasible(self._problem, cost) and cost.objective < self._objective:
            self._best, self._objective = choice, cost.objective
        self._columns.append(self._column(prices, options))
        added = [self._add_peak(limit, cost, options) for limit in self._memory]
        if any(added):
            self._columns = [self._column(*met) for met in self._met]

    def _column(self, prices: list[float], options: list[int]) -> Column:
        _, (cost, *spent) = self._relaxation.decode([1.0, *prices], options)
        return Column(cost, tuple(spent))

    def _add_peak(self, limit: Limit, cost: Cost, options: list[int]) -> bool:
        peak = _peak(self._problem, limit, options)
        known = any(row.peak == peak for row in self._rows)
        prices = multipliers_of(self._problem, limit.quantity)
        if cost.value(limit.quantity) <= limit.at_most or peak is None or known or prices is None:
            return False
        self._rows.append(Row(prices.times(1 / limit.at_most), peak, 1 / limit.at_most))
        self._relaxation.add_row(self._rows[-1])
        return True
