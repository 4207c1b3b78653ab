"""The multipliers of the limits at which the relaxation's bound is highest, and what it then proves.

Column generation over the limits (Dantzig and Wolfe, "Decomposition principle for linear programs",
Operations Research 8, 1960), its prices smoothed (Wentges, "Weighted Dantzig-Wolfe decomposition for linear
mixed-integer programming", International Transactions in Operational Research 4, 1997).
"""

from dataclasses import dataclass, replace
from math import inf

from planner.problem.placement_problem import Choice
from planner.solver.device_order import goes_against
from planner.solver.lagrangian.dual_problem import LagrangianDual, Prices, Restriction
from planner.solver.lagrangian.path_lengths import CountedLengths, PathGraph
from planner.solver.lagrangian.path_master import PathMaster
from planner.solver.lagrangian.relaxation import AddedTables, LagrangianRelaxation
from planner.solver.lagrangian.restricted_master import Column, Mixture, solve_restricted_master
from planner.solver.lagrangian.tree_decomposition import Table

# Share of the best multipliers so far in the next ones: it damps their oscillation (Wentges), more of it
# makes the steps short.
_SMOOTH = 0.5
_CLOSE = 1e-6  # relative distance of bound and mixture at which the multipliers are final
_WORTH = 0.01  # of the distance to what is enough: branching adds more than that, sooner
_BETTER = 0.98  # times the cost of a mixture that is not much better
_TAIL = 6  # rounds that gain next to nothing, after which paths are rather branched on
_TAIL_GAIN = 0.1  # of the distance to what is enough
_STALLED = 12  # rounds without a better bound, every other one of them without smoothing


@dataclass(frozen=True, slots=True)
class MixedPlan:
    """A choice that the relaxation met, and its part of the mixture that gives the bound."""

    share: float
    options: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bound:
    """What the relaxation proves.

    Parameters
    ----------
    value
        No plan within the limits has a lower objective; infinite if there is none.
    option_bounds
        Vertex -> option -> the same for plans with that option; each array has shape [options]. Empty if
        there is no plan.
    prices
        The multipliers that give it.
    mixture
        The choices of the best mixture: what is in none of them does not hold the bound down.
    rounds
        Multipliers tried.
    """

    value: float
    option_bounds: tuple[Table, ...]
    prices: Prices
    mixture: tuple[MixedPlan, ...]
    rounds: int


def highest_bound(
    dual: LagrangianDual,
    deadline: float,
    within: Restriction,
    start: Bound | None = None,
    enough: float = inf,
    patience: int = _STALLED,
) -> Bound:
    """Return the highest bound found on the plans within a restriction.

    Parameters
    ----------
    deadline
        Time until which multipliers are tried: at least once.
    start
        A bound of plans among which these are.
    enough
        A value at which the bound is high enough.
    patience
        Rounds without a better bound after which the search ends.
    """
    excluded = dual.excluded(within)
    # What breaks limits without any restriction is excluded for good.
    if start is not None and dual.paths is None:
        excluded = dual.with_breaking_options(within.order, excluded)
    relaxation = dual.relaxation.restricted(within.order, excluded)
    prices = dual.initial_prices() if start is None else start.prices
    search = _PriceSearch(dual, relaxation, prices, within.serial)
    for mixed in start.mixture if start else ():
        is_excluded = any(table[mixed.options[v]] for v, table in excluded.items())
        if not is_excluded and not goes_against(dual.problem, mixed.options, within.order):
            search.add_known(list(mixed.options))
    return search.run(deadline, enough, patience)


def probe(dual: LagrangianDual, within: Restriction, prices: Prices) -> float:
    """Return the bound that some multipliers give for the plans within a restriction."""
    relaxation = dual.relaxation.restricted(within.order, dual.excluded(within))
    valid = dual.within_weights(prices)
    lengths = None if dual.paths is None else dual.paths.without(within.serial).weighed(valid.paths)
    least, _ = relaxation.minimise(dual.weights(valid, within.serial), lengths)
    return least - dual.constant(valid)


def start_from(dual: LagrangianDual, other: Bound | None) -> Bound | None:
    """Return prices and choices to start from, of the same problem with another objective and no maxima.

    A bound's value is not kept, only what it was found with.
    """
    if other is None or dual.paths is None or len(other.prices.rows) < dual.limits_count:
        return None
    own = dual.initial_prices()
    prices = replace(own, rows=(*other.prices.rows[: dual.limits_count], *own.rows[dual.limits_count :]))
    return Bound(-inf, (), prices, other.mixture, 0)


class _PriceSearch:
    """The search for the multipliers of one order of devices."""

    def __init__(
        self,
        dual: LagrangianDual,
        relaxation: LagrangianRelaxation,
        prices: Prices,
        serial: frozenset[int],
    ) -> None:
        self._dual, self._relaxation, self._serial = dual, relaxation, serial
        self._value, self._prices = -inf, prices
        self._values: list[float] = []
        self._has_wires = any(flow.wires for flow in dual.problem.flows)
        self._choices: list[tuple[Prices, list[int]]] = []
        self._columns: list[Column] = []
        self._lengths: CountedLengths | None = None if dual.paths is None else dual.paths.without(serial)
        self._master: PathMaster | None = None

    def run(self, deadline: float, enough: float, patience: int) -> Bound:
        """Try multipliers until the bound rises no more, or is high enough."""
        trial, stalled, rounds = self._dual.within_weights(self._prices), 0, 0
        cost = inf
        while True:
            rounds += 1
            began = self._dual.clock()
            least, options = self._relaxation.minimise(self._weights(trial), self._added(trial))
            if least == inf:
                return Bound(inf, (), trial, (), rounds)
            value = least - self._dual.constant(trial)
            # Steps that gain next to nothing count as none, or the search would creep.
            rose = value > self._value + _CLOSE * abs(self._value)
            if value > self._value:
                self._value, self._prices = value, trial
            self.add(options, trial)
            mixture, prices = self._mixture()
            # So long as mixtures get much better, multipliers are still far from final.
            stalled = 0 if rose or mixture.cost < _BETTER * cost else stalled + 1
            cost = mixture.cost
            left = mixture.cost - self._value  # what better multipliers could add
            worth = max(_CLOSE * abs(mixture.cost), _WORTH * (enough - self._value) if enough < inf else 0.0)
            final = left <= worth or stalled == patience or self._creeps(min(enough, mixture.cost))
            now = self._dual.clock()
            self._dual.round_s = max(self._dual.round_s, now - began)
            if final or self._value > enough or now + self._dual.round_s > deadline:
                return self._proved(mixture, rounds)
            smoothing = 0.0 if stalled % 2 else _SMOOTH  # smoothed prices that led nowhere are left
            # A row that was added on the way had no multiplier yet.
            self._prices = self._dual.within_weights(self._prices)
            trial = self._dual.within_weights(self._prices.towards(prices, 1 - smoothing))

    def _creeps(self, target: float) -> bool:
        """Return whether the last rounds gained so little that a branch is worth more."""
        self._values.append(self._value)
        if self._lengths is None or len(self._values) <= _TAIL:
            return False
        gained = self._value - self._values[-1 - _TAIL]
        return gained < _TAIL_GAIN * (target - self._value)

    def add_known(self, options: list[int]) -> None:
        """Add a choice of other multipliers, unless parts of it were excluded since."""
        if self._decoded(self._prices, options)[1].cost < inf:
            self.add(options)

    def add(self, options: list[int], prices: Prices | None = None) -> None:
        """Add a choice as a column, and rows for what it breaks."""
        self._choices.append((self._prices if prices is None else prices, options))
        choice, column = self._decoded(*self._choices[-1])
        self._columns.append(column)
        self._dual.add_peaks(self._dual.meet(choice), options)
        # The columns met before have to say what they use of new rows.
        if len(self._columns[0].usage) < len(self._dual.rows):
            self._columns = [self._decoded(*met)[1] for met in self._choices]

    def _weights(self, prices: Prices) -> list[float]:
        return self._dual.weights(prices, self._serial)

    def _added(self, prices: Prices) -> AddedTables | None:
        return None if self._lengths is None else self._lengths.weighed(prices.paths)

    def _mixture(self) -> tuple[Mixture, Prices]:
        """Return the best mixture of the plans met, and what it says of the multipliers."""
        if self._lengths is None:
            mixture = solve_restricted_master(self._columns, self._dual.maxima)
            return mixture, Prices(mixture.multipliers)
        if self._master is None or self._master.rows < len(self._dual.rows):
            self._master = self._new_master(self._lengths.graph)
        for column in self._columns[self._master.columns :]:
            self._master.add(column)
        mixture, paths = self._master.solve()
        return mixture, self._dual.within_weights(Prices(mixture.multipliers, paths))

    def _new_master(self, graph: PathGraph) -> PathMaster:
        dual = self._dual
        spans = [replace(span, serial=dual.serial_rows(span, self._serial)) for span in dual.spans]
        others = [maximum for maximum in dual.maxima if all(maximum != span.maximum for span in spans)]
        return PathMaster(graph, spans, others, len(dual.rows), self._columns)

    def _decoded(self, prices: Prices, options: list[int]) -> tuple[Choice, Column]:
        added = self._added(prices) if self._has_wires else None  # they only decide on wires
        choice, (cost, *usage) = self._relaxation.decode(self._weights(prices), options, added)
        lengths = () if self._lengths is None else self._lengths.of(choice)
        return choice, Column(cost, tuple(usage), lengths)

    def _proved(self, mixture: Mixture, rounds: int) -> Bound:
        prices = self._prices
        marginals = self._relaxation.marginals(self._weights(prices), self._added(prices))
        constant = self._dual.constant(prices)
        mixed = tuple(
            MixedPlan(share, tuple(options))
            for share, (_, options) in zip(mixture.shares, self._choices, strict=True)
            if share > 0
        )
        return Bound(self._value, tuple(t - constant for t in marginals), prices, mixed, rounds)
