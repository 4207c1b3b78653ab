"""The few plans that serve the cells of a fleet best: candidates, the exact choice among them, and a bound.

A cell is a class of devices at a bandwidth, with its own problem. Candidates are the best plans of cells and
of groups of cells; which few of them have the least mean cost, the p-median program tells. No plans at all
cost less than every cell's own best plan. With few cells, the best plan of every group is found: then the
best partition into groups is the optimum over all plans.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations
from math import inf

from planner.comparison.lower_envelope import CostLine
from planner.errors import SolverError
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.milp.p_median import p_median
from planner.solver.result import SolveResult, SolveStatus
from planner.solver.solver_options import SolverOptions

_MOST_ROUNDS = 12  # in which the groups that plans serve give new candidates
_MOST_PARTITIONED = 5  # cells, of whose groups (26 of more than one cell) each is solved
_KEPT = 2e-6  # relative; the solvers take a limit for kept within 1e-6


@dataclass(frozen=True, slots=True)
class PortableChoice:
    """A choice that means the same in every cell's problem, whichever options and forms that one has.

    Parameters
    ----------
    options
        Vertex -> its device, visits apart, and its precision.
    wires
        (flow, name of the form) of float tensors that cross links in another form than their own.
    """

    options: tuple[tuple[int, str], ...]
    wires: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, problem: PlacementProblem, choice: Choice) -> "PortableChoice":
        """Return a choice of a problem."""
        options = (v.options[o] for v, o in zip(problem.vertices, choice.options, strict=True))
        wires = ((n, flow.forms[choice.wire(n)].name) for n, flow in enumerate(problem.flows))
        return cls(
            tuple((option.device, str(option.precision)) for option in options),
            tuple((n, name) for n, name in wires if choice.wire(n)),
        )

    def in_problem(self, problem: PlacementProblem) -> Choice | None:
        """Return the choice in a problem; None if it has no such option or form."""
        numbers = []
        for vertex, wanted in zip(problem.vertices, self.options, strict=True):
            known = {(option.device, str(option.precision)): o for o, option in enumerate(vertex.options)}
            if wanted not in known:
                return None
            numbers.append(known[wanted])
        wires = [0] * len(problem.flows)
        for n, name in self.wires:
            forms = [form.name for form in problem.flows[n].forms]
            if name not in forms:
                return None
            wires[n] = forms.index(name)
        return Choice(tuple(numbers), tuple(wires) if self.wires else ())


def cost_in(problem: PlacementProblem, plan: PortableChoice) -> float:
    """Return what a plan costs in a cell; infinite if it does not keep the cell's limits."""
    choice = plan.in_problem(problem)
    if choice is None:
        return inf
    cost = evaluate(problem, choice)
    return cost.objective if is_feasible(problem, cost, _KEPT) else inf


def cost_line(
    plan: PortableChoice,
    at: tuple[float, PlacementProblem],
    beyond: tuple[float, PlacementProblem],
    number: int,
) -> CostLine[int]:
    """Return a plan's cost as a line through two points (x, the problem there)."""
    (x0, here), (x1, there) = at, beyond
    first, second = cost_in(here, plan), cost_in(there, plan)
    slope = 0.0 if first == inf else (second - first) / (x1 - x0)
    return CostLine(first - slope * x0, slope, number)


Solve = Callable[[PlacementProblem], SolveResult]
GroupProblem = Callable[[Sequence[int]], PlacementProblem | None]


@dataclass(frozen=True, slots=True)
class CellAnswer:
    """The best plan of one cell alone, as far as the solver found one.

    Parameters
    ----------
    objective, bound
        What the plan costs, infinite without one, and what no plan is below.
    is_infeasible
        Whether it is proved that no plan is possible there.
    """

    plan: PortableChoice | None
    objective: float
    bound: float
    is_infeasible: bool = False


@dataclass(frozen=True, slots=True)
class FleetSelection:
    """Plans that are held.

    Parameters
    ----------
    plans
        Each is the best one held in some cell.
    costs
        Cell -> plan -> its cost there, infinite where it is not feasible.
    mean, bound
        Over the cells that are served; no plans, of any number up to the one allowed, that serve them have a
        mean below the bound.
    candidates
        How many plans were chosen from.
    """

    plans: tuple[PortableChoice, ...]
    costs: tuple[tuple[float, ...], ...]
    mean: float
    bound: float
    candidates: int

    def with_bound(self, bound: float) -> "FleetSelection":
        """Return the selection with another bound, if that says more."""
        return replace(self, bound=max(self.bound, min(self.mean, bound)))

    @property
    def gap(self) -> float:
        """Distance of mean and bound, as a fraction of the mean."""
        return (self.mean - self.bound) / self.mean if self.mean else 0.0


class CandidatePool:
    """The candidates and their cost in each cell.

    Parameters
    ----------
    problems, weights
        Of the cells; weights sum to 1.
    solve
        Solves a problem.
    group_problem
        The problem of serving a group of cells by one plan, whose objective is the group's mean cost; None
        where no single problem says that.
    """

    def __init__(
        self,
        problems: Sequence[PlacementProblem | None],
        weights: Sequence[float],
        solve: Solve,
        group_problem: GroupProblem,
    ) -> None:
        self._problems, self._weights = problems, weights
        self._solve, self._group_problem = solve, group_problem
        self._costs: dict[PortableChoice, tuple[float, ...]] = {}
        self._groups: dict[tuple[int, ...], float] = {}

    def add(self, plan: PortableChoice) -> None:
        """Add a candidate."""
        if plan not in self._costs:
            self._costs[plan] = tuple(
                inf if problem is None else cost_in(problem, plan) for problem in self._problems
            )

    def add_best_of_group(self, cells: Sequence[int]) -> float:
        """Add the best plan for a group of cells, and return what no plan's mean cost there is below.

        Infinite if no plan serves all of them; 0 if nothing is known.
        """
        group = tuple(cells)
        if group not in self._groups:
            self._groups[group] = self._solved_group(group)
        return self._groups[group]

    def _solved_group(self, group: tuple[int, ...]) -> float:
        problem = self._group_problem(group)
        if problem is None:
            return 0.0
        try:
            result = self._solve(problem)
        except SolverError:  # out of time without a plan, for one
            return 0.0
        if result.choice is not None:
            self.add(PortableChoice.of(problem, result.choice))
        return inf if result.status is SolveStatus.INFEASIBLE else result.bound or 0.0

    def select(
        self, cells: Sequence[CellAnswer], groups: Sequence[Sequence[int]], most: int, options: SolverOptions
    ) -> FleetSelection:
        """Return at most `most` plans with the least mean cost over the cells that can be served.

        Parameters
        ----------
        groups
            Of cells, whose best plans are candidates from the start.
        """
        possible = [c for c, answer in enumerate(cells) if answer.plan is not None]
        every = _groups_of(possible) if len(possible) <= _MOST_PARTITIONED else ()
        for group in chain(groups, every):
            self.add_best_of_group(group)
        for _ in range(_MOST_ROUNDS):
            selection = self._selected(cells, most, options)
            before = len(self._costs)
            for group in _served_by(selection):
                self.add_best_of_group(group)
            if len(self._costs) == before:
                break
        else:
            selection = self._selected(cells, most, options)
        return self._bounded_by_partitions(selection, cells, most)

    def fixed(self, cells: Sequence[CellAnswer], plans: Sequence[PortableChoice]) -> FleetSelection:
        """Return some plans as what is held, without those that are nowhere the best."""
        for plan in plans:
            self.add(plan)
        rows = zip(*(self._costs[plan] for plan in plans), strict=True)
        used = {row.index(min(row)) for row in rows if min(row) < inf}
        plans = [plan for k, plan in enumerate(plans) if k in used]
        costs = tuple(zip(*(self._costs[plan] for plan in plans), strict=True)) or ((),) * len(self._weights)
        least = [min(row, default=inf) for row in costs]
        served = [c for c, cost in enumerate(least) if cost < inf]
        weight = sum(self._weights[c] for c in served) or 1.0
        mean = sum(self._weights[c] * least[c] for c in served) / weight
        bound = sum(self._weights[c] * cells[c].bound for c in served) / weight
        return FleetSelection(tuple(plans), costs, mean, min(bound, mean), len(self._costs))

    def _selected(self, cells: Sequence[CellAnswer], most: int, options: SolverOptions) -> FleetSelection:
        candidates = list(self._costs)
        rows = list(zip(*self._costs.values(), strict=True))
        opened = p_median(rows, self._weights, most, options).opened
        return self.fixed(cells, [candidates[k] for k in opened])

    def _bounded_by_partitions(
        self, selection: FleetSelection, cells: Sequence[CellAnswer], most: int
    ) -> FleetSelection:
        """Return a selection with the bound of all partitions of its cells into groups that a plan serves."""
        served = [c for group in _served_by(selection) for c in group]
        if not served or (most > 1 and len(served) > _MOST_PARTITIONED):
            return selection

        def floor(group: Sequence[int]) -> float:
            weight = sum(self._weights[c] for c in group)
            alone = sum(self._weights[c] * cells[c].bound for c in group)
            return max(alone, weight * self.add_best_of_group(group) if len(group) > 1 else 0.0)

        least = _least_of_partitions(sorted(served), most, floor)
        return selection.with_bound(least / sum(self._weights[c] for c in served))


def _groups_of(cells: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Yield every group of more than one cell."""
    return chain.from_iterable(combinations(cells, size) for size in range(2, len(cells) + 1))


def _least_of_partitions(cells: Sequence[int], most: int, floor: Callable[[Sequence[int]], float]) -> float:
    """Return the least sum of floors over all partitions of cells into at most `most` groups."""
    if not cells:
        return 0.0
    if most == 1:
        return floor(tuple(cells))
    first, *rest = cells
    groups = chain.from_iterable(combinations(rest, size) for size in range(len(cells)))
    return min(
        floor((first, *group)) + _least_of_partitions([c for c in rest if c not in group], most - 1, floor)
        for group in groups
    )


def _served_by(selection: FleetSelection) -> list[tuple[int, ...]]:
    """Return the cells that each plan is the best one held in."""
    groups: dict[int, list[int]] = {}
    for c, row in enumerate(selection.costs):
        if min(row, default=inf) < inf:
            groups.setdefault(row.index(min(row)), []).append(c)
    return [tuple(group) for group in groups.values()]
