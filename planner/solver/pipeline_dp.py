"""The best plan of consecutive stages, by dynamic programming over sets of finished units.

The sets that hold all predecessors of their members (ideals) are what a pipeline can have done; between two
of them lies a stage. Tarnawski et al., "Efficient Algorithms for Device Placement of DNN Graph Operators",
NeurIPS 2020. Where a network has too many ideals, those along one topological order take their place.
"""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from math import inf, prod

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.tensors import Flow
from planner.problem.unit_dag import dependency_graph
from planner.problem.units import Option
from planner.solver.presolve.device_symmetry import interchangeable_devices

_MOST_IDEALS = 2000  # their pairs are a matrix of 32 MB per class of devices
_MOST_WORK = 2e8  # pairs of ideals times states of devices; beyond it the integer program starts without this
PERIOD = Quantity(CostMetric.PERIOD)
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A plan of one stage per device, at most.

    Parameters
    ----------
    proved
        Whether no plan of the problem has a shorter period.
    """

    choice: Choice
    period_s: float
    proved: bool


def best_pipeline(problem: PlacementProblem) -> Pipeline | None:
    """Return the plan of least period among those of one stage per device, units in their fastest options.

    None if the network or the devices are too many for the search, or the plan breaks a limit.
    """
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    ideals, all_ideals = _ideals(problem, units)
    classes = interchangeable_devices(problem)
    states = prod(len(members) + 1 for members in classes)
    if not units or len(ideals) ** 2 * states * len(classes) > _MOST_WORK:
        return None
    loads = [_loads(problem, members[0], units, ideals) for members in classes]
    # Devices of one class have the same loads, so that only how many of them are used counts.
    stages, period_s = _cheapest(loads, [len(members) for members in classes])
    if period_s == inf:
        return None
    choice = _choice(problem, units, ideals, [(classes[c], first, last) for c, first, last in stages])
    cost = evaluate(problem, choice)
    if not is_feasible(problem, cost):
        return None
    # The search is exact only if all ideals were there and nothing else has a say.
    proved = all_ideals and _is_pure(problem) and cost.period_s <= period_s * (1 + 1e-9)
    return Pipeline(choice, cost.period_s, proved)


def _ideals(problem: PlacementProblem, units: list[int]) -> tuple[NDArray[np.bool_], bool]:
    """Return ideal -> unit -> whether it is in, smallest first, and whether these are all ideals.

    Shape [ideals, units].
    """
    position = {v: i for i, v in enumerate(units)}
    # Units that are together form one block, since an edge each way makes a cycle.
    graph = dependency_graph(problem)
    for group in problem.together:  # what is together is done together
        inside = [v for v in group if v in position]
        nx.add_path(graph, inside)
        nx.add_path(graph, inside[::-1])
    blocks = nx.condensation(graph)
    order = list(nx.lexicographical_topological_sort(blocks, key=lambda b: min(blocks.nodes[b]["members"])))
    ideals = _all_ideals({block: frozenset(blocks.predecessors(block)) for block in order})
    complete = len(ideals) <= _MOST_IDEALS
    if not complete:
        # Too many: prefixes of one order are ideals, too, and give good plans without a proof.
        ideals = {frozenset(order[:count]) for count in range(0, len(order), _step(len(order)))}
        ideals.add(frozenset(order))
    membership = np.zeros((len(ideals), len(units)), dtype=bool)
    for row, ideal in enumerate(sorted(ideals, key=len)):
        for block in ideal:
            membership[row, [position[v] for v in blocks.nodes[block]["members"]]] = True
    return membership, complete


def _all_ideals(before: dict[int, frozenset[int]]) -> set[frozenset[int]]:
    """Return all ideals of an order, or a few more than are wanted.

    Parameters
    ----------
    before
        Block -> its predecessors.
    """
    ideals = {frozenset[int]()}
    waiting = [frozenset[int]()]
    while waiting and len(ideals) <= _MOST_IDEALS:
        ideal = waiting.pop()
        larger = {
            ideal | {b} for b, predecessors in before.items() if b not in ideal and predecessors <= ideal
        } - ideals
        ideals |= larger
        waiting += larger
    return ideals


def _step(count: int) -> int:
    return -(-count // _MOST_IDEALS)


def _loads(problem: PlacementProblem, device: int, units: list[int], done: NDArray[np.bool_]) -> Matrix:
    """Return first ideal -> last ideal -> seconds that the stage between them loads a device.

    Shape [ideals, ideals]; infinite where the first is no part of the last, a unit has no option on the
    device, or weights exceed its memory; 0 on the diagonal, for a device without a stage.
    """
    options = [_fastest(problem, v, device) for v in units]
    seconds = np.array([inf if o is None else o.seconds for o in options])
    spec = problem.devices[device]
    usable = np.isfinite(seconds)
    work = done @ np.where(usable, seconds, 0.0)
    wrong = done.astype(int) @ (~usable).astype(int)
    weights = done @ np.array([0.0 if o is None else o.weight_bytes for o in options])
    inside = (done.astype(int) @ (~done.T).astype(int)) == 0  # first ideal is part of the last
    load: Matrix = work[None, :] - work[:, None] + spec.start_s
    load[(wrong[None, :] - wrong[:, None]) > 0] = inf
    load[
        weights[None, :] - weights[:, None] > problem.tightest_limit(CostMetric.MEMORY, device) * (1 + 1e-9)
    ] = inf
    if spec.transfers_block:
        load = load + _transfers(problem, device, units, done)
    load[~inside] = inf
    np.fill_diagonal(load, 0.0)
    return load


def _transfers(problem: PlacementProblem, device: int, units: list[int], done: NDArray[np.bool_]) -> Matrix:
    """Return first ideal -> last ideal -> seconds that sending and receiving block a device."""
    position = {v: i for i, v in enumerate(units)}
    count = len(problem.flows)
    reads, ends, made = np.zeros((len(done), count)), np.zeros(count), np.ones((len(done), count), dtype=bool)
    for f, flow in enumerate(problem.flows):
        inside = [position[v] for v in flow.consumers if v in position]
        reads[:, f] = done[:, inside].sum(axis=1)
        ends[f] = len(inside) + any(
            v not in position and problem.vertices[v].options[0].device != device for v in flow.consumers
        )
        if flow.producer in position:
            made[:, f] = done[:, position[flow.producer]]
    gets, gives = (
        np.array([_link_seconds(problem, flow, device, side) for flow in problem.flows]) for side in (0, 1)
    )
    seconds = np.empty((len(done), len(done)))
    for first in range(len(done)):
        comes = (reads > reads[first]) & made[first]
        goes = made & ~made[first] & (reads < ends)
        seconds[first] = comes @ gets + goes @ gives
    return seconds


def _link_seconds(problem: PlacementProblem, flow: Flow, device: int, side: int) -> float:
    """Return the most seconds on links into (side 0) or out of a device that a tensor takes."""
    form, others = flow.forms[0], [d for d in range(len(problem.devices)) if d != device]
    routes = [form.routes[d][device] if side == 0 else form.routes[device][d] for d in others]
    ends = [(link.target if side == 0 else link.source) == device for link in problem.links]
    return max((sum(form.link_s[at] for at in route or () if ends[at]) for route in routes), default=0.0)


def _cheapest(loads: list[Matrix], counts: list[int]) -> tuple[list[tuple[int, int, int]], float]:
    """Return (class of device, first ideal, last ideal) of the best stages, and the greatest load.

    A state says how many devices of each class are used; least[state][ideal] is the least greatest load with
    which these have finished an ideal.
    """
    size = len(loads[0])
    start = np.full(size, inf)
    start[0] = 0.0
    least: dict[tuple[int, ...], Matrix] = {(0,) * len(counts): start}
    decision: dict[tuple[int, ...], list[tuple[int, int] | None]] = {(0,) * len(counts): [None] * size}
    for state in product(*(range(count + 1) for count in counts)):
        for c in range(len(counts)):
            if state[c] == 0:
                continue
            previous = (*state[:c], state[c] - 1, *state[c + 1 :])
            bottleneck = np.maximum(least[previous][:, None], loads[c])
            value, first = bottleneck.min(axis=0), bottleneck.argmin(axis=0)
            if state not in least:
                least[state], decision[state] = np.full(size, inf), [None] * size
            for last in np.flatnonzero(value < least[state]):
                least[state][last], decision[state][last] = value[last], (c, int(first[last]))
    state, ideal, stages = tuple(counts), size - 1, []
    while (step := decision[state][ideal]) is not None:
        c, first_ideal = step
        if first_ideal != ideal:
            stages.append((c, first_ideal, ideal))
        state, ideal = (*state[:c], state[c] - 1, *state[c + 1 :]), first_ideal
    return stages[::-1], float(least[tuple(counts)][size - 1])


def _choice(
    problem: PlacementProblem,
    units: list[int],
    done: NDArray[np.bool_],
    stages: list[tuple[list[int], int, int]],
) -> Choice:
    options = [0] * len(problem.vertices)
    used: Counter[int] = Counter()
    for members, first, last in stages:  # alike devices in their order, which is known to suffice
        device = members[used[members[0]]]
        used[members[0]] += 1
        for i in np.flatnonzero(done[last] & ~done[first]):
            fastest = _fastest(problem, units[i], device)
            options[units[i]] = 0 if fastest is None else problem.vertices[units[i]].options.index(fastest)
    return Choice(tuple(options))


def _fastest(problem: PlacementProblem, vertex: int, device: int) -> Option | None:
    here = [o for o in problem.vertices[vertex].options if o.device == device]
    return min(here, key=lambda o: o.seconds, default=None)


def _is_pure(problem: PlacementProblem) -> bool:
    """Return whether a problem asks for nothing but what the search weighs: then its answer is the best."""
    limits_weighed = {limit.quantity.metric for limit in problem.limits} <= {CostMetric.MEMORY}
    one_option_per_device = all(
        len({o.device for o in vertex.options}) == len(vertex.options)
        and not any(o.activation_bytes for o in vertex.options)
        for vertex in problem.vertices
    )
    one_format = all(
        not (flow.quantizers or flow.wires or flow.leave_s or flow.enter_s) and _has_hub(problem, flow)
        for flow in problem.flows
    )
    only_period = [term.quantity for term in problem.objective] == [PERIOD]
    return (
        only_period
        and limits_weighed
        and one_option_per_device
        and one_format
        and not problem.apart
        and all(map(_is_plain, problem.devices))
    )


def _is_plain(device: Device) -> bool:
    return device.contiguous and device.visit_of is None and replace(device, start_s=0.0) == device


def _has_hub(problem: PlacementProblem, flow: Flow) -> bool:
    """Return whether what a device gets and gives is the same whoever is at the other end."""
    form, devices = flow.forms[0], range(len(problem.devices))
    for d in devices:
        if not problem.devices[d].transfers_block:
            continue
        for routes, ends in (
            ([form.routes[e][d] for e in devices if e != d], [link.target == d for link in problem.links]),
            ([form.routes[d][e] for e in devices if e != d], [link.source == d for link in problem.links]),
        ):
            if len({sum(form.link_s[at] for at in route or () if ends[at]) for route in routes}) > 1:
                return False
    nonblocking = [link for link in problem.links if not _blocks(problem, link.source, link.target)]
    return not nonblocking and all(route is not None for row in form.routes for route in row)


def _blocks(problem: PlacementProblem, *devices: int) -> bool:
    return any(problem.devices[d].transfers_block for d in devices)
