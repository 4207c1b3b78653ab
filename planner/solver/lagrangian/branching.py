"""Branch and bound over the relaxation: first on the order in which devices run, then on units' devices.

Without an order the relaxed problem sends tensors back and forth between contiguous devices. With one, each
edge between units has to go forward, which is a rule for two neighbours, so that the relaxation stays as
quick as before. What is left open then is where one device's units end and the next one's begin: a mixture
of plans that each break a memory limit can keep it. So a unit that the mixture has on several devices is
given to the earlier or to the later ones, which decides the same for all that come before or behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

import networkx as nx
import numpy as np

from planner.problem.placement_problem import PlacementProblem
from planner.solver.device_order import DeviceOrder, closed, moves
from planner.solver.lagrangian.dual_bound import Bound, highest_bound, probe
from planner.solver.lagrangian.dual_problem import LagrangianDual, Restriction
from planner.solver.lagrangian.serial_devices import SerialDevices

_PROBED_SHARE = 0.5  # of the time that is left, to compare parts
_LEAST_SHARE = 1e-6  # of a mixture; less is the linear program's tolerance


@dataclass(frozen=True, slots=True)
class Node:
    """Plans within a restriction, and a bound on them."""

    within: Restriction
    bound: Bound


def children(
    dual: LagrangianDual, node: Node, serial: SerialDevices | None = None, deadline: float = inf
) -> tuple[Restriction, ...]:
    """Return two parts that together hold all plans of a node; none if its mixture agrees on all devices.

    Parameters
    ----------
    deadline
        Time until which the bounds of parts are compared.
    """
    problem = dual.problem
    if serial is not None:
        left_s = _PROBED_SHARE * max(0.0, deadline - dual.clock())
        most_probed = left_s / (2 * dual.round_s) if dual.round_s > 0 else inf
        parts = serial.parts(
            node.within, node.bound, lambda within: probe(dual, within, node.bound.prices), most_probed
        )
        if parts:
            return parts
    if orders := _orders(problem, node):
        return tuple(replace(node.within, order=order) for order in orders)
    return _device_sets(problem, node)


def branch(
    dual: LagrangianDual,
    node: Node,
    deadline: float,
    enough: float,
    serial: SerialDevices | None = None,
) -> Iterator[Node]:
    """Yield the nodes into which a node falls; none if its mixture agrees on all devices.

    Parameters
    ----------
    deadline
        Time until which multipliers are tried: a node for which a round of them would end later has the bound
        of the node that it is part of.
    enough
        A value at which a bound is high enough.
    """
    for within in children(dual, node, serial, deadline):
        if dual.clock() + dual.round_s > deadline:
            yield Node(within, node.bound)
        else:
            yield Node(within, highest_bound(dual, deadline, within, node.bound, enough))


def union(whole: Restriction, nodes: Sequence[Node]) -> Node:
    """Return one node that has all plans of some nodes."""
    option_bounds = tuple(
        np.minimum.reduce(rows) for rows in zip(*(node.bound.option_bounds for node in nodes), strict=True)
    )
    lowest = min((node.bound for node in nodes), key=lambda bound: bound.value)
    # What order they all have in common.
    order = frozenset.intersection(*(node.within.order for node in nodes))
    serial = frozenset.intersection(*(node.within.serial for node in nodes))
    return Node(replace(whole, order=order, serial=serial), replace(lowest, option_bounds=option_bounds))


def _orders(problem: PlacementProblem, node: Node) -> tuple[DeviceOrder, ...]:
    """Return the node's order with two devices in it one way and the other, if the mixture needs both."""
    order, counts = node.within.order, _moves_between(problem, node.bound)
    graph = nx.DiGraph([*order, *counts])
    pairs = [
        (min(counts.get((a, b), 0.0), counts.get((b, a), 0.0)), counts[a, b], a, b)
        for component in nx.strongly_connected_components(graph)
        for a, b in counts
        if a in component and b in component and (a, b) not in order and (b, a) not in order
    ]
    if not pairs:
        return ()
    *_, a, b = max(pairs)
    return tuple(closed(order | {pair}) for pair in ((a, b), (b, a)))


def _moves_between(problem: PlacementProblem, bound: Bound) -> dict[tuple[int, int], float]:
    """Return (device, device) -> how many tensors go so in a mixture, contiguous devices only."""
    counts: dict[tuple[int, int], float] = {}
    for mixed in bound.mixture:
        for pair in moves(problem, mixed.options) if mixed.share > _LEAST_SHARE else ():
            if pair[0] != pair[1] and all(problem.devices[d].contiguous for d in pair):
                counts[pair] = counts.get(pair, 0.0) + mixed.share
    return counts


def _device_sets(problem: PlacementProblem, node: Node) -> tuple[Restriction, ...]:
    """Return the node's units with one of them on the earlier or the later part of its devices."""
    options = [vertex.options for vertex in problem.vertices]
    shares: dict[int, dict[int, float]] = {}
    for mixed in node.bound.mixture:
        for v, option in enumerate(mixed.options) if mixed.share > _LEAST_SHARE else ():
            on_device = shares.setdefault(v, {})
            device = options[v][option].device
            on_device[device] = on_device.get(device, 0.0) + mixed.share
    split = max((v for v in shares), key=lambda v: 1.0 - max(shares[v].values()), default=None)
    if split is None or max(shares[split].values()) > 1 - _LEAST_SHARE:
        return ()
    devices = {option.device for option in options[split]}
    allowed = node.within.devices.get(split, frozenset(devices))
    # From the front of the order on, so long as less than half of the mixture is there.
    if len(allowed) <= 1:  # a mixture of a bound that ended early may lie outside the restriction
        return ()
    in_order = sorted(allowed, key=lambda d: (sum(after == d for _, after in node.within.order), d))
    first, part = {in_order[0]}, shares[split].get(in_order[0], 0.0)
    for device in in_order[1:-1]:
        part += shares[split].get(device, 0.0)
        if part > 0.5 + _LEAST_SHARE and any(shares[split].get(d) for d in first):
            break
        first.add(device)
    parts = frozenset(first), allowed - first
    return tuple(replace(node.within, devices={**node.within.devices, split: part}) for part in parts)
