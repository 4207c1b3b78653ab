"""A first plan within the limits: simple starts, each repaired until it keeps them."""

from collections.abc import Callable, Iterator

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.units import Vertex
from planner.solver.heuristics.local_search import LocalSearch

_ROUNDS = 40  # of repairs of all starts


def construct(problem: PlacementProblem, deadline: float, clock: Callable[[], float]) -> Choice | None:
    """Return a plan within all limits, None if none was found until the deadline."""
    starts = [LocalSearch(problem, c, deadline, clock, s) for s, c in enumerate(_starts(problem))]
    starts.sort(key=LocalSearch.score)
    for search in starts:
        if is_feasible(problem, evaluate(problem, search.state.choice)):
            return search.state.choice
    for _ in range(_ROUNDS):
        for search in starts:
            if clock() >= deadline:
                return None
            search.descend()
            found = search.state.choice
            if is_feasible(problem, evaluate(problem, found)):
                return found
            search.raise_weights()
            search.perturb()
    return None


def _starts(problem: PlacementProblem) -> Iterator[Choice]:
    """Yield choices with as many units as can on one device, in one precision."""
    precisions = dict.fromkeys(o.precision for v in problem.vertices if not v.is_terminal for o in v.options)
    pairs = [(d, p) for d in range(len(problem.devices)) for p in precisions]
    choices = (Choice(tuple(_closest(v, d, p) for v in problem.vertices)) for d, p in pairs)
    yield from dict.fromkeys(choices)


def _closest(vertex: Vertex, device: int, precision: str) -> int:
    options = vertex.options
    return min(
        range(len(options)),
        key=lambda o: (options[o].device != device, options[o].precision != precision, options[o].seconds),
    )
