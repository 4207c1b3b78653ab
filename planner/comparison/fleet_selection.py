"""The few plans that serve the cells of a fleet best: candidates, the exact choice among them, and a bound.

A cell is a class of devices at a bandwidth, with its own problem. Candidates are the best plans of cells and
of groups of cells; which few of them have the least mean cost, the p-median program tells. No plans at all
cost less than every cell's own best plan.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.solver.backends import SolverOptions
from planner.solver.milp.p_median import p_median
from planner.solver.result import SolveResult

_MOST_ROUNDS = 12  # in which the groups that plans serve give new candidates


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
    return cost.objective if is_feasible(problem, cost) else inf


Solve = Callable[[PlacementProblem], SolveResult]
GroupProblem = Callable[[Sequence[int]], PlacementProblem | None]


@dataclass(frozen=True, slots=True)
class CellAnswer:
    """The best plan of one cell alone, and what no plan is below; no plan if nothing is feasible there."""

    plan: PortableChoice | None
    objective: float
    bound: float


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
        """Add the best plan for a group of cells, and return what no plan's mean cost there is below."""
        group = tuple(cells)
        if group not in self._groups:
            problem = self._group_problem(group)
            result = None if problem is None else self._solve(problem)
            if problem is not None and result is not None and result.choice is not None:
                self.add(PortableChoice.of(problem, result.choice))
            self._groups[group] = -inf if result is None or result.bound is None else result.bound
        return self._groups[group]

    def select(
        self, cells: Sequence[CellAnswer], groups: Sequence[Sequence[int]], most: int, options: SolverOptions
    ) -> FleetSelection:
        """Return at most `most` plans with the least mean cost over the cells that can be served.

        Parameters
        ----------
        groups
            Of cells, whose best plans are candidates from the start.
        """
        for group in groups:
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
        return selection if most > 1 else self._bounded_as_one_group(selection)

    def fixed(self, cells: Sequence[CellAnswer], plans: Sequence[PortableChoice]) -> FleetSelection:
        """Return some plans as what is held."""
        for plan in plans:
            self.add(plan)
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

    def _bounded_as_one_group(self, selection: FleetSelection) -> FleetSelection:
        """Return a selection of one plan with the bound of serving all of its cells by one plan."""
        groups = _served_by(selection)
        if len(groups) != 1:
            return selection
        bound = max(selection.bound, min(selection.mean, self.add_best_of_group(groups[0])))
        return FleetSelection(selection.plans, selection.costs, selection.mean, bound, selection.candidates)


def _served_by(selection: FleetSelection) -> list[tuple[int, ...]]:
    """Return the cells that each plan is the best one held in."""
    groups: dict[int, list[int]] = {}
    for c, row in enumerate(selection.costs):
        if min(row, default=inf) < inf:
            groups.setdefault(row.index(min(row)), []).append(c)
    return [tuple(group) for group in groups.values()]
