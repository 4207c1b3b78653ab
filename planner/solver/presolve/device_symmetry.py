"""Devices that may be exchanged without changing a problem."""

from collections import Counter
from dataclasses import replace
from itertools import product

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import Limit, Quantity
from planner.problem.tensors import Flow
from planner.problem.units import Option


def interchangeable_devices(problem: PlacementProblem) -> list[list[int]]:
    """Return classes of interchangeable devices; each physical device is in one, further visits in none."""
    classes: list[list[int]] = []
    for d, device in enumerate(problem.devices):
        if device.visit_of is None:
            alike = next(
                (members for members in classes if are_interchangeable(problem, members[0], d)), None
            )
            if alike is None:
                classes.append([d])
            else:
                alike.append(d)
    return classes


def are_interchangeable(problem: PlacementProblem, a: int, b: int) -> bool:
    """Return whether exchanging two devices, and their links, leaves the same problem."""
    first, second = problem.devices[a], problem.devices[b]
    if replace(first, name="") != replace(second, name="") or first.visit_of is not None:
        return False
    # Other models' stages on the two would have to be exchanged as well, which is not looked into.
    if len(problem.models) > 1:
        return False
    swapped = {a: b, b: a}
    link_numbers = {
        (link.source, link.target, link.price_per_byte): n for n, link in enumerate(problem.links)
    }
    if len(link_numbers) < len(problem.links):
        return False  # parallel links: which one becomes which is not looked into
    links = []
    for link in problem.links:
        ends = swapped.get(link.source, link.source), swapped.get(link.target, link.target)
        if (*ends, link.price_per_byte) not in link_numbers:
            return False
        links.append(link_numbers[*ends, link.price_per_byte])
    return (
        _keeps_amounts(problem, swapped, links)
        and all(_keeps_options(vertex.options, swapped) for vertex in problem.vertices)
        and all(_keeps_flow(flow, swapped, links) for flow in problem.flows)
    )


def _keeps_amounts(problem: PlacementProblem, swapped: dict[int, int], links: list[int]) -> bool:
    """Return whether limits and objective speak alike of both devices and of their links."""

    def moved(quantity: Quantity) -> Quantity:
        of = quantity.of
        if of is None:
            return quantity
        return replace(quantity, of=links[of] if quantity.metric == "traffic" else swapped.get(of, of))

    limits = Counter(problem.limits)
    terms = Counter(problem.objective)
    return limits == Counter(
        Limit(moved(x.quantity), x.at_most) for x in problem.limits
    ) and terms == Counter(replace(term, quantity=moved(term.quantity)) for term in problem.objective)


def _keeps_options(options: tuple[Option, ...], swapped: dict[int, int]) -> bool:
    return Counter(options) == Counter(replace(o, device=swapped.get(o.device, o.device)) for o in options)


def _keeps_flow(flow: Flow, swapped: dict[int, int], links: list[int]) -> bool:
    tables = (*flow.quantize_s, *flow.dequantize_s, *flow.leave_s, *flow.enter_s)
    tables = (*tables, *(row for form in flow.forms for row in (form.encode_s, form.decode_s) if row))
    if any(row[d] != row[e] for row in tables for d, e in swapped.items()):
        return False
    for form in flow.forms:
        if any(form.link_s[n] != form.link_s[m] for n, m in enumerate(links)):
            return False
        if form.link_j and any(form.link_j[n] != form.link_j[m] for n, m in enumerate(links)):
            return False
        count = range(len(form.routes))
        for d, e in product(count, count):
            route = form.routes[d][e]
            moved = None if route is None else tuple(links[n] for n in route)
            if moved != form.routes[swapped.get(d, d)][swapped.get(e, e)]:
                return False
    return True
