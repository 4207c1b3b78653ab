"""The multipliers of the limits at which the relaxation's bound is highest, and what it then proves.

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
from planner.solver.lagrangian.linear_quantity import Multipliers, multipliers_of
from planner.solver.lagrangian.relaxation import LagrangianRelaxation, LinearRow
from planner.solver.lagrangian.restricted_master import Column, solve_restricted_master
from planner.solver.lagrangian.variable_elimination import Table

# Share of the best multipliers so far in the next ones: it damps their oscillation (Wentges), more of it
# makes the steps short.
_SMOOTH = 0.5
_CLOSE = 1e-6  # relative distance of bound and mixture at which the multipliers are final
_MOST_STATES = 3e7  # numbers per minimisation, so that a round takes seconds; beyond, no bound is tried
_KEPT = 1e-6  # relative; what exceeds a limit by less may still keep it
_HEAVY = 0.1  # of a limit; to look for lighter options that break it is not worth a marginal
_STALLED = 12  # rounds without a better bound, every other one of them without smoothing


@dataclass(frozen=True, slots=True)
class Bound:
    """What the relaxation proves.

    Parameters
    ----------
    value
        No plan within the limits has a lower objective; infinite if there is none.
    option_bounds
        Vertex -> option -> the same for plans with that option; each array has shape [options].
    best, objective
        The best plan met on the way and its objective; None and infinite if there was none.
    rounds
        Multipliers tried.
    """

    value: float
    option_bounds: tuple[Table, ...]
    best: Choice | None
    objective: float
    rounds: int


def lower_bound(problem: PlacementProblem, time_limit_s: float, clock: Callable[[], float]) -> Bound | None:
    """Return a bound on a problem's objective, and on that of each option.

    None if there is none of this kind: the objective is a maximum of sums (makespan, period), or tensors join
    too many units at once.

    Parameters
    ----------
    time_limit_s
        Seconds of `clock` after which no further multipliers are tried.
    """
    objective = _objective(problem)
    if objective is None:
        return None
    search = _PriceSearch(problem, objective)
    return search.run(clock() + time_limit_s, clock) if search.is_worth_while else None


def _objective(problem: PlacementProblem) -> Multipliers | None:
    """Return the objective's multipliers; a memory in it counts its weights."""
    total: Multipliers | None = None
    for term in problem.objective:
        multipliers = multipliers_of(problem, term.quantity)
        if multipliers is None:
            return None
        weighted = multipliers.times(term.weight)
        total = weighted if total is None else total.plus(weighted)
    return total


def _rows(problem: PlacementProblem) -> list[LinearRow]:
    """Return the limits as sums that are at most 1; maxima and limits of 0 are left out."""
    rows = []
    for limit in problem.limits:
        multipliers = multipliers_of(problem, limit.quantity)
        if multipliers is not None and limit.at_most > 0:
            peak = _largest_activation(problem, limit) if limit.quantity.metric is CostMetric.MEMORY else None
            rows.append(LinearRow(multipliers.times(1 / limit.at_most), peak, 1 / limit.at_most))
    return rows


def _largest_activation(
    problem: PlacementProblem, limit: Limit, options: Sequence[int] | None = None
) -> tuple[int, int] | None:
    """Return the vertex that may have (with some options: has) the largest tensors on a device."""
    device = limit.quantity.of
    if device is None:
        return None
    activations = {
        v: option.activation_bytes
        for v, vertex in enumerate(problem.vertices)
        for o, option in enumerate(vertex.options)
        if problem.physical_device(option.device) == device and (options is None or options[v] == o)
    }
    return (max(activations, key=activations.__getitem__), device) if activations else None


class _PriceSearch:
    """The state of the search for multipliers."""

    def __init__(self, problem: PlacementProblem, objective: Multipliers) -> None:
        self._problem = problem
        self._rows = _rows(problem)
        self._relaxation = LagrangianRelaxation(problem, [LinearRow(objective), *self._rows])
        self._memory = [x for x in problem.limits if x.quantity.metric is CostMetric.MEMORY and x.at_most > 0]
        self._choices: list[tuple[list[float], list[int]]] = []  # prices and options of the choices met
        self._columns: list[Column] = []
        self._value, self._prices = -inf, [0.0] * len(self._rows)
        self._best: Choice | None = None
        self._objective = inf

    @property
    def is_worth_while(self) -> bool:
        """Whether one round takes seconds rather than minutes."""
        return self._relaxation.states <= _MOST_STATES

    def _exclude_breaking_options(self) -> None:
        """Leave out the options that break a limit whatever the others are, where some weigh that much."""
        for row in range(1, 1 + len(self._rows)):
            # With this row alone weighed, a marginal is the least that a plan with the option uses.
            if self._relaxation.max_contribution(row) > _HEAVY:
                weights = [float(other == row) for other in range(1 + len(self._rows))]
                least = self._relaxation.marginals(weights)
                self._relaxation.exclude_options([table > 1 + _KEPT for table in least])

    def run(self, deadline: float, clock: Callable[[], float]) -> Bound:
        """Try multipliers until the bound rises no more."""
        self._exclude_breaking_options()
        trial, stalled, rounds = list(self._prices), 0, 0
        while True:
            rounds += 1
            least, options = self._relaxation.minimise([1.0, *trial])
            if least == inf:
                return Bound(inf, (), None, inf, rounds)
            value = least - sum(trial)
            # Steps that gain next to nothing count as none, or the search would creep.
            stalled = 0 if value > self._value + _CLOSE * abs(self._value) else stalled + 1
            if value > self._value:
                self._value, self._prices = value, trial
            self._add_choice(options, trial)
            mixture, best_prices = solve_restricted_master(self._columns)
            if mixture - self._value <= _CLOSE * abs(mixture) or stalled == _STALLED or clock() > deadline:
                break
            smoothing = 0.0 if stalled % 2 else _SMOOTH  # smoothed prices that led nowhere are left
            # A row that was added on the way had no multiplier yet.
            self._prices = [*self._prices, *[0.0] * (len(best_prices) - len(self._prices))]
            trial = [
                smoothing * a + (1 - smoothing) * b for a, b in zip(self._prices, best_prices, strict=True)
            ]
        # Each limit is a sum that is at most 1, so that its multiplier comes off the weighted sum.
        marginals = self._relaxation.marginals([1.0, *self._prices])
        constant = sum(self._prices)
        return Bound(self._value, tuple(t - constant for t in marginals), self._best, self._objective, rounds)

    def _add_choice(self, options: list[int], prices: list[float]) -> None:
        """Add a choice as a column, and a row for each memory limit that its largest unit breaks.

        A memory's peak is a maximum over units. As a row of the relaxation it counts one unit's activations;
        rows for those that turn out to be the largest are added as they are met.
        """
        self._choices.append((prices, options))
        choice, _ = self._relaxation.decode([1.0, *prices], options)
        cost = evaluate(self._problem, choice)
        if is_feasible(self._problem, cost) and cost.objective < self._objective:
            self._best, self._objective = choice, cost.objective
        self._columns.append(self._column(prices, options))
        added = [self._add_peak(limit, cost, options) for limit in self._memory]
        # The columns met before have to say what they use of the new rows.
        if any(added):
            self._columns = [self._column(*prices_and_options) for prices_and_options in self._choices]

    def _column(self, prices: list[float], options: list[int]) -> Column:
        _, (cost, *usage) = self._relaxation.decode([1.0, *prices], options)
        return Column(cost, tuple(usage))

    def _add_peak(self, limit: Limit, cost: Cost, options: list[int]) -> bool:
        peak = _largest_activation(self._problem, limit, options)
        is_there = any(row.peak == peak for row in self._rows)
        multipliers = multipliers_of(self._problem, limit.quantity)
        if cost.value(limit.quantity) <= limit.at_most or peak is None or is_there or multipliers is None:
            return False
        self._rows.append(LinearRow(multipliers.times(1 / limit.at_most), peak, 1 / limit.at_most))
        self._relaxation.add_row(self._rows[-1])
        return True
