"""Simpler ways to plan, on the same costs and under the same limits, to compare the joint plan with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import inf

import networkx as nx

from planner.errors import SolverError
from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.unit_dag import dependency_graph
from planner.problem.units import Option
from planner.solver.backends import SolverOptions
from planner.solver.result import SolveResult
from planner.solver.solve import solve, solve_restricted

Allowed = Callable[[int, Option], bool]
Solver = Callable[[PlacementProblem, SolverOptions], SolveResult]
Price = Callable[[Choice], float]
_FLOAT_CUT, _CUT = "single fp32 cut", "uniform precision, single cut"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A way to plan: its best objective and choice; infinite and None where nothing keeps the limits."""

    name: str
    objective: float = inf
    choice: Choice | None = None


def baselines(
    problem: PlacementProblem, options: SolverOptions, solver: Solver = solve
) -> tuple[Baseline, ...]:
    """Return what simpler ways to plan come to.

    All on one device in one precision; the best single cut of a topological order in fp32 (Kang et al.,
    "Neurosurgeon", ASPLOS 2017) and in any uniform precision; the minimum cut of the fp32 network between two
    devices (Hu et al., "Dynamic adaptive DNN surgery", INFOCOM 2019); precisions chosen for the source alone,
    then the split; the split in fp32, then the precisions.
    """
    uniform = best_uniform(uniform_choices(problem), price_of(problem))
    return (*uniform, *solved_baselines(problem, options, solver))


def uniform_choices(problem: PlacementProblem) -> tuple[tuple[str, Choice], ...]:
    """Return (name, choice) of all that has one precision and at most one cut, whatever it costs."""
    return (*_one_device_choices(problem), *_single_cut_choices(problem))


def best_uniform(choices: Iterable[tuple[str, Choice]], price: Price) -> tuple[Baseline, ...]:
    """Return the best choice of each name; that without any cut competes with every one that has one."""
    best_of: dict[str, Baseline] = {}
    for name, choice in choices:
        candidate = Baseline(name, price(choice), choice)
        # An infinite objective keeps its name, for a row that says that nothing was found.
        if name not in best_of or candidate.objective < best_of[name].objective:
            best_of[name] = candidate if candidate.objective < inf else Baseline(name)
    on_one_device = [candidate for name, candidate in best_of.items() if name not in (_FLOAT_CUT, _CUT)]
    best = replace(_best(on_one_device), name="one device")
    best_float = replace(_best([best, best_of.get(_FLOAT_CUT, best)]), name=_FLOAT_CUT)
    return (
        *on_one_device,
        best,
        best_float,
        replace(_best([best_float, best_of.get(_CUT, best)]), name=_CUT),
    )


def price_of(problem: PlacementProblem) -> Price:
    """Return what a choice costs; infinite if it breaks a limit."""

    def price(choice: Choice) -> float:
        cost = evaluate(problem, choice)
        return cost.objective if is_feasible(problem, cost) else inf

    return price


def solved_baselines(
    problem: PlacementProblem, options: SolverOptions, solver: Solver = solve
) -> tuple[Baseline, ...]:
    """Return the ways that need a solver themselves."""
    partial = _PartialPlanning(problem, options, solver)
    return (
        replace(partial.min_cut(), name="minimum fp32 cut"),
        replace(partial.quantize_first(), name="quantize, then split"),
        replace(partial.split_first(), name="split, then quantize"),
    )


def _best(candidates: Sequence[Baseline]) -> Baseline:
    return min(candidates, key=lambda candidate: candidate.objective, default=Baseline(""))


def _precisions(problem: PlacementProblem) -> tuple[str, ...]:
    precisions = (o.precision for v in problem.vertices if not v.is_terminal for o in v.options)
    return tuple(dict.fromkeys(precisions))


def _one_device_choices(problem: PlacementProblem) -> Iterator[tuple[str, Choice]]:
    """Yield everything on one device in one precision, where its units have it."""
    for d, device in enumerate(problem.devices):
        for precision in _precisions(problem) if problem.physical_device(d) == d else ():
            choice = _uniform(problem, lambda _, at=d: at, precision)  # type: ignore[misc]
            if choice is not None:
                yield f"{precision} on {device.name}", choice


def _single_cut_choices(problem: PlacementProblem) -> Iterator[tuple[str, Choice]]:
    """Yield a prefix of the topological order here, the rest there."""
    rank = {v: i for i, v in enumerate(nx.lexicographical_topological_sort(dependency_graph(problem)))}
    for precision in _precisions(problem):
        for a, b in permutations(range(len(problem.devices)), 2):
            for count in range(1, len(rank)):
                device_of = lambda v, a=a, b=b, n=count: a if rank[v] < n else b  # noqa: E731
                choice = _uniform(problem, device_of, precision)
                if choice is not None:
                    yield _FLOAT_CUT if precision == "fp32" else _CUT, choice


class _PartialPlanning:
    """Ways to plan that solve a part of the problem at a time."""

    def __init__(self, problem: PlacementProblem, options: SolverOptions, solver: Solver) -> None:
        self._problem, self._options, self._solver = problem, options, solver

    def min_cut(self) -> Baseline:
        pairs = permutations(range(len(self._problem.devices)), 2)
        return _best([self._solved(_fp32_on(pair)) for pair in pairs])

    def quantize_first(self) -> Baseline:
        """Choose precisions as if all ran on one device, the best for that, then devices."""
        problem = self._problem
        # Limits on one device or link say nothing of a plan that is on another.
        free = replace(problem, limits=tuple(x for x in problem.limits if x.quantity.of is None))
        candidates = []
        for d in range(len(problem.devices)):
            uncut = self._solved(lambda _, option, at=d: option.device == at, free)  # type: ignore[misc]
            if uncut.choice is not None:
                chosen = [option.precision for option in _options(problem, uncut.choice)]
                candidates.append(self._solved(lambda v, o, p=chosen: o.precision == p[v]))  # type: ignore[misc]
        return _best(candidates)

    def split_first(self) -> Baseline:
        """Choose devices in fp32, then precisions there."""
        placed = self._solved(lambda _, option: not option.quantized)
        if placed.choice is None:
            return Baseline("")
        where = [option.device for option in _options(self._problem, placed.choice)]
        return self._solved(lambda v, option: option.device == where[v])

    def _solved(self, allowed: Allowed, problem: PlacementProblem | None = None) -> Baseline:
        """Return the best choice among allowed options of units."""
        problem = problem or self._problem
        keep = [
            tuple(o for o, option in enumerate(vertex.options) if vertex.is_terminal or allowed(v, option))
            for v, vertex in enumerate(problem.vertices)
        ]
        if not all(keep):
            return Baseline("")
        try:
            result = solve_restricted(problem, keep, self._options, self._solver)
        except SolverError:
            return Baseline("")
        if result.choice is None or result.objective is None:
            return Baseline("")
        return Baseline("", result.objective, result.choice)


def _options(problem: PlacementProblem, choice: Choice) -> list[Option]:
    return [vertex.options[o] for vertex, o in zip(problem.vertices, choice.options, strict=True)]


def _fp32_on(devices: tuple[int, ...]) -> Allowed:
    return lambda _, option: not option.quantized and option.device in devices


def _uniform(problem: PlacementProblem, device_of: Callable[[int], int], precision: str) -> Choice | None:
    """Return everything in one precision, fp32 where a unit lacks it; None if a device lacks a unit."""
    options = []
    for v, vertex in enumerate(problem.vertices):
        if vertex.is_terminal:
            options.append(0)
            continue
        by_precision = {o.precision: n for n, o in enumerate(vertex.options) if o.device == device_of(v)}
        if not by_precision:
            return None
        options.append(by_precision.get(precision, next(iter(by_precision.values()))))
    return Choice(tuple(options))
