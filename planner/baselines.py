"""What people do today, on the same costs and under the same limits, to compare the joint plan with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from math import inf

import networkx as nx

from planner.errors import SolverError
from planner.evaluate import evaluate, is_feasible
from planner.ilp import solve
from planner.precedence import unit_graph
from planner.problem import Choice, Option, PlacementProblem
from planner.solvers import SolverOptions

Allowed = Callable[[int, Option], bool]


@dataclass(frozen=True, slots=True)
class Baseline:
    """A way to plan: its best objective, infinite where it finds nothing within the limits."""

    name: str
    objective: float


def baselines(problem: PlacementProblem, options: SolverOptions) -> tuple[Baseline, ...]:
    """Return what simpler ways to plan come to.

    All on one device in one precision; the best single cut of a topological order in fp32 (Kang et al.,
    "Neurosurgeon", ASPLOS 2017) and in any uniform precision; the minimum cut of the fp32 network between two
    devices (Hu et al., "Dynamic adaptive DNN surgery", INFOCOM 2019); precisions chosen for the source alone,
    then the split; the split in fp32, then the precisions.
    """
    lone = min((one.objective for one in alone(problem)), default=inf)
    cuts = {precision: _single_cut(problem, precision) for precision in _precisions(problem)}
    return (
        Baseline("one device", lone),
        Baseline("single fp32 cut", min(lone, cuts.get("fp32", inf))),
        Baseline("uniform precision, single cut", min(lone, *cuts.values())),
        Baseline("minimum fp32 cut", _min_cut(problem, options)),
        Baseline("quantize, then split", _quantize_first(problem, options)),
        Baseline("split, then quantize", _split_first(problem, options)),
    )


def _precisions(problem: PlacementProblem) -> tuple[str, ...]:
    found = (o.precision for v in problem.vertices if not v.fixed for o in v.options)
    return tuple(dict.fromkeys(found))


def alone(problem: PlacementProblem) -> Iterator[Baseline]:
    """Yield everything on one device in one precision, where its units have it."""
    for d, device in enumerate(problem.devices):
        for precision in _precisions(problem):
            choice = _uniform(problem, lambda _, at=d: at, precision)  # type: ignore[misc]
            cost = inf if choice is None else _cost(problem, choice)
            yield Baseline(f"{precision} on {device.name}", cost)


def _single_cut(problem: PlacementProblem, precision: str) -> float:
    """Return the best objective of a prefix of the topological order here, the rest there."""
    best = inf
    rank = {v: i for i, v in enumerate(nx.lexicographical_topological_sort(unit_graph(problem)))}
    for a, b in permutations(range(len(problem.devices)), 2):
        for count in range(1, len(rank)):
            where = lambda v, a=a, b=b, n=count: a if rank[v] < n else b  # noqa: E731
            choice = _uniform(problem, where, precision)
            if choice is not None:
                best = min(best, _cost(problem, choice))
    return best


def _min_cut(problem: PlacementProblem, options: SolverOptions) -> float:
    pairs = permutations(range(len(problem.devices)), 2)
    return min((_solved(problem, options, _fp32_on(pair))[1] for pair in pairs), default=inf)


def _fp32_on(devices: tuple[int, ...]) -> Allowed:
    return lambda _, option: not option.quantized and option.device in devices


def _quantize_first(problem: PlacementProblem, options: SolverOptions) -> float:
    """Choose precisions as if all ran on one device, the best for that, then devices."""
    best = inf
    for d in range(len(problem.devices)):
        free = replace(problem, limits=tuple(x for x in problem.limits if x.quantity.of is None))
        alone, _ = _solved(free, options, lambda _, option, at=d: option.device == at)  # type: ignore[misc]
        if alone is not None:
            chosen = [
                vertex.options[o].precision for vertex, o in zip(problem.vertices, alone.options, strict=True)
            ]
            best = min(best, _solved(problem, options, lambda v, o, p=chosen: o.precision == p[v])[1])  # type: ignore[misc]
    return best


def _split_first(problem: PlacementProblem, options: SolverOptions) -> float:
    """Choose devices in fp32, then precisions there."""
    placed, _ = _solved(problem, options, lambda _, option: not option.quantized)
    if placed is None:
        return inf
    where = [vertex.options[o].device for vertex, o in zip(problem.vertices, placed.options, strict=True)]
    return _solved(problem, options, lambda v, option: option.device == where[v])[1]


def _solved(
    problem: PlacementProblem, options: SolverOptions, allowed: Allowed
) -> tuple[Choice | None, float]:
    """Return the best choice among allowed options of units, and its objective."""
    kept = [
        tuple(o for o, option in enumerate(vertex.options) if vertex.fixed or allowed(v, option))
        for v, vertex in enumerate(problem.vertices)
    ]
    if not all(kept):
        return None, inf
    try:
        result = solve(problem.restricted(kept), options)
    except SolverError:
        return None, inf
    if result.choice is None or result.objective is None:
        return None, inf
    return result.choice.among_all(kept), result.objective


def _uniform(problem: PlacementProblem, where: Callable[[int], int], precision: str) -> Choice | None:
    """Return everything in one precision, fp32 where a unit lacks it; None if a device lacks a unit."""
    options = []
    for v, vertex in enumerate(problem.vertices):
        if vertex.fixed:
            options.append(0)
            continue
        here = {o.precision: n for n, o in enumerate(vertex.options) if o.device == where(v)}
        if not here:
            return None
        options.append(here.get(precision, next(iter(here.values()))))
    return Choice(tuple(options))


def _cost(problem: PlacementProblem, choice: Choice) -> float:
    cost = evaluate(problem, choice)
    return cost.objective if is_feasible(problem, cost) else inf
