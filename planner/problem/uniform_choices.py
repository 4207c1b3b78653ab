"""Plans in one precision with at most one cut: what people use instead of a joint plan."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from math import inf

import networkx as nx

from planner.problem.cost_evaluation import evaluate, flow_formats, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import FLOAT, Flow, WireForm
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


def best_uniform(
    choices: Iterable[tuple[str, Choice]], bound: Price, encoded: Callable[[Choice], Baseline]
) -> tuple[Baseline, ...]:
    """Return the best choice of each name; that without any cut competes with every one that has one.

    Parameters
    ----------
    bound
        No wires of a choice come to less; of a choice on which wires have no effect, the price itself.
    encoded
        Gives a choice the wires that are best for it.
    """
    of_name: dict[str, list[tuple[float, Choice]]] = {}
    for name, choice in choices:
        of_name.setdefault(name, []).append((bound(choice), choice))
    # An infinite objective keeps its name, for a row that says that nothing was found.
    found = {name: replace(_best_encoded(pairs, encoded), name=name) for name, pairs in of_name.items()}
    on_one_device = [candidate for name, candidate in found.items() if name not in (_FLOAT_CUT, _CUT)]
    best = replace(best_of(on_one_device), name="one device")
    best_float = replace(best_of([best, found.get(_FLOAT_CUT, best)]), name=_FLOAT_CUT)
    return (
        *on_one_device,
        best,
        best_float,
        replace(best_of([best_float, found.get(_CUT, best)]), name=_CUT),
    )


def _best_encoded(
    candidates: Sequence[tuple[float, Choice]], encoded: Callable[[Choice], Baseline]
) -> Baseline:
    best = Baseline("")
    for least, choice in sorted(candidates, key=lambda pair: pair[0]):
        if least >= best.objective:
            break
        best = best_of([best, encoded(choice)])
    return best


def may_encode(problem: PlacementProblem, choice: Choice) -> bool:
    """Return whether a float tensor of a choice crosses links and has other forms in which it could."""
    chosen = [vertex.options[o] for vertex, o in zip(problem.vertices, choice.options, strict=True)]
    return any(
        any(chosen[v].device != chosen[flow.producer].device for v in flow.consumers)
        and FLOAT in flow_formats(problem, flow, chosen)
        for flow in problem.flows
        if flow.wires
    )


def with_cheapest_crossings(problem: PlacementProblem) -> PlacementProblem:
    """Return a problem in which choices without wires cost no more than they do here with any wires.

    Each float tensor crosses with the least seconds, bytes and joules of all its forms, and without noise.
    """
    return replace(problem, flows=tuple(map(_with_cheapest_crossing, problem.flows)))


def _with_cheapest_crossing(flow: Flow) -> Flow:
    if not flow.wires:
        return flow
    forms = [flow.forms[number] for number in (FLOAT, *flow.wires)]
    return replace(flow, forms=(_cheapest(forms), *flow.forms[1:]))


def _cheapest(forms: Sequence[WireForm]) -> WireForm:
    first = forms[0]
    if any(form.routes != first.routes for form in forms):
        # Where they take different links, nothing is asked of any.
        pairs = [zip(*rows, strict=True) for rows in zip(*(form.routes for form in forms), strict=True)]
        routes = tuple(tuple(None if set(ways) == {None} else () for ways in row) for row in pairs)
        return replace(first, size_bytes=0.0, routes=routes, link_s=(0.0,) * len(first.link_s), link_j=())
    tables = [form.link_j for form in forms]
    return replace(
        first,
        size_bytes=min(form.size_bytes for form in forms),
        link_s=tuple(map(min, zip(*(form.link_s for form in forms), strict=True))),
        link_j=tuple(
            (min(sent for sent, _ in pairs), min(received for _, received in pairs))
            for pairs in zip(*tables, strict=True)
        )
        if all(tables)
        else (),
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
