"""Plans in one precision with at most one cut: what people use instead of a joint plan."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import inf

import networkx as nx

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.unit_dag import dependency_graph

Price = Callable[[Choice], float]
_FLOAT_CUT, _CUT = "single fp32 cut", "uniform precision, single cut"


@dataclass(frozen=True, slots=True)
class Baseline:
    """A way to plan: its best objective and choice; infinite and None where nothing keeps the limits."""

    name: str
    objective: float = inf
    choice: Choice | None = None


def uniform_choices(problem: PlacementProblem) -> tuple[tuple[str, Choice], ...]:
    """Return (name, choice) of all that has one precision and at most one cut, whatever it costs."""
    whole = (
        (f"{precision} on {problem.devices[d].name}", x) for d, precision, x in one_device_choices(problem)
    )
    return (*whole, *_single_cut_choices(problem))


def best_uniform(choices: Iterable[tuple[str, Choice]], price: Price) -> tuple[Baseline, ...]:
    """Return the best choice of each name; that without any cut competes with every one that has one."""
    of_name: dict[str, Baseline] = {}
    for name, choice in choices:
        candidate = Baseline(name, price(choice), choice)
        # An infinite objective keeps its name, for a row that says that nothing was found.
        if name not in of_name or candidate.objective < of_name[name].objective:
            of_name[name] = candidate if candidate.objective < inf else Baseline(name)
    on_one_device = [candidate for name, candidate in of_name.items() if name not in (_FLOAT_CUT, _CUT)]
    best = replace(best_of(on_one_device), name="one device")
    best_float = replace(best_of([best, of_name.get(_FLOAT_CUT, best)]), name=_FLOAT_CUT)
    return (
        *on_one_device,
        best,
        best_float,
        replace(best_of([best_float, of_name.get(_CUT, best)]), name=_CUT),
    )


def price_of(problem: PlacementProblem) -> Price:
    """Return what a choice costs; infinite if it breaks a limit."""

    def price(choice: Choice) -> float:
        cost = evaluate(problem, choice)
        return cost.objective if is_feasible(problem, cost) else inf

    return price


def best_of(candidates: Sequence[Baseline]) -> Baseline:
    """Return the cheapest; one without a choice of none."""
    return min(candidates, key=lambda candidate: candidate.objective, default=Baseline(""))


def _precisions(problem: PlacementProblem) -> tuple[str, ...]:
    precisions = (o.precision for v in problem.vertices if not v.is_terminal for o in v.options)
    return tuple(dict.fromkeys(precisions))


def one_device_choices(problem: PlacementProblem) -> Iterator[tuple[int, str, Choice]]:
    """Yield (device, precision, choice) of everything on one device in one precision.

    A unit that lacks the precision there is in fp32.
    """
    for d in range(len(problem.devices)):
        for precision in _precisions(problem) if problem.physical_device(d) == d else ():
            choice = _uniform(problem, lambda _, at=d: at, precision)  # type: ignore[misc]
            if choice is not None:
                yield d, precision, choice


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
