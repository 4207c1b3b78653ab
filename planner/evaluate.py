"""Prices an assignment without the solver: what the formulas of README say, written out."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx as nx

from planner.problem import Flow, Option, PlacementProblem

FLOAT, INT8 = 0, 1  # forms of a tensor, as `Flow.send_s` counts them


@dataclass(frozen=True, slots=True)
class Crossing:
    """A tensor that moves between two devices."""

    flow: int
    source: int
    target: int
    form: int
    seconds: float
    joules: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What an assignment costs.

    Parameters
    ----------
    latency_s
        Of one request, everything in sequence: compute, switches, seams and transfers.
    compute_s
        Device -> seconds of its units.
    switch_s
        Device -> seconds of QuantizeLinear and DequantizeLinear there.
    seam_s
        Device -> seconds that its stage takes because it is one: its start, and its cuts.
    energy_j
        Per device, for one request; zero where nothing is known of energy.
    objective
        What is minimised, in the unit that `PlacementProblem.weights` give it.
    order
        Devices in the order in which their stages can run; empty if they cannot, because a path
        leaves one and comes back.
    clashes
        Tensors that two units would quantize in different ways.
    absorbed
        Vertices that should compute in fp32, but will in int8, since all their tensors are.
    exposed
        Vertices in int8 without those beside them that have to be.
    """

    latency_s: float
    compute_s: tuple[float, ...]
    switch_s: tuple[float, ...]
    seam_s: tuple[float, ...]
    transfer_s: float
    noise_power: float
    memory_bytes: tuple[int, ...]
    crossings: tuple[Crossing, ...]
    order: tuple[int, ...]
    clashes: tuple[int, ...]
    absorbed: tuple[int, ...]
    exposed: tuple[int, ...]
    energy_j: tuple[float, ...]
    objective: float

    @property
    def busy_s(self) -> tuple[float, ...]:
        """Device -> seconds that it works on a request."""
        rows = zip(self.compute_s, self.switch_s, self.seam_s, strict=True)
        return tuple(sum(row) for row in rows)


def evaluate(problem: PlacementProblem, choice: Sequence[int]) -> Cost:
    """Return the cost of giving vertex v its option number choice[v]."""
    chosen = [v.options[c] for v, c in zip(problem.vertices, choice, strict=True)]
    count = len(problem.devices)
    compute, switch, seam, noise = [0.0] * count, [0.0] * count, _starts(problem, chosen), 0.0
    weights, peak = [0] * count, [0] * count
    for option in chosen:
        compute[option.device] += option.seconds
        noise += option.noise_power
        weights[option.device] += option.weight_bytes
        peak[option.device] = max(peak[option.device], option.activation_bytes)
    crossings: list[Crossing] = []
    clashes = []
    for index, flow in enumerate(problem.flows):
        form, kinds = flow_form(flow, chosen), flow_kinds(flow, chosen)
        if len(kinds) > 1:
            clashes.append(index)
        if not (flow.inherits and chosen[flow.producer].int8):
            noise += sum(flow.noise_power[kind] for kind in kinds)
        for device, seconds in _switches(flow, form, chosen):
            switch[device] += seconds
        for device, seconds in _seams(problem, flow, form, chosen):
            seam[device] += seconds
        crossings += _crossings(index, flow, form, chosen)
    transfer = sum(crossing.seconds for crossing in crossings)
    busy = [sum(row) for row in zip(compute, switch, seam, strict=True)]
    latency = sum(busy) + transfer
    energy = _energy(problem, busy, latency, crossings)
    return Cost(
        latency_s=latency,
        compute_s=tuple(compute),
        switch_s=tuple(switch),
        seam_s=tuple(seam),
        transfer_s=transfer,
        noise_power=noise,
        memory_bytes=tuple(w + p for w, p in zip(weights, peak, strict=True)),
        crossings=tuple(crossings),
        order=_order(problem, chosen),
        clashes=tuple(clashes),
        absorbed=tuple(_absorbed(problem, chosen)),
        exposed=tuple(_exposed(problem, chosen)),
        energy_j=energy,
        objective=_objective(problem, latency, energy),
    )


def is_feasible(problem: PlacementProblem, cost: Cost, tolerance: float = 1e-9) -> bool:
    """Return whether a cost keeps every budget and its stages can run one after another.

    Parameters
    ----------
    tolerance
        How far above a budget still counts as kept, as a fraction of it.
    """
    limits = [
        *zip(cost.memory_bytes, problem.memory_bytes, strict=True),
        (cost.noise_power, problem.noise_power),
        (cost.latency_s, problem.latency_s),
    ]
    if problem.energy is not None:
        limits += zip(cost.energy_j, problem.energy.limits_j, strict=True)
        limits.append((sum(cost.energy_j), problem.energy.total_j))
    within = all(limit is None or value <= limit * (1 + tolerance) for value, limit in limits)
    possible = bool(cost.order) and not (cost.clashes or cost.absorbed or cost.exposed)
    return within and possible and cost.latency_s != float("inf")


def flow_form(flow: Flow, chosen: Sequence[Option]) -> int:
    """Return INT8 if any vertex that quantizes the tensor computes in int8, else FLOAT."""
    return INT8 if flow_kinds(flow, chosen) else FLOAT


def flow_kinds(flow: Flow, chosen: Sequence[Option]) -> tuple[int, ...]:
    """Return the ways in which vertices quantize the tensor: none, one, or more than can be."""
    return tuple(sorted({chosen[v].kind for v in flow.quantizers if chosen[v].int8}))


def _absorbed(problem: PlacementProblem, chosen: Sequence[Option]) -> Iterator[int]:
    """Yield the vertices in fp32 all of whose tensors are int8 in the same way."""
    around = defaultdict(list)
    for flow in problem.flows:
        kinds = flow_kinds(flow, chosen)
        for vertex in flow.quantizers:
            around[vertex].append(set(kinds))
    for vertex, kinds_of in around.items():
        if problem.vertices[vertex].absorbed and not chosen[vertex].int8 and set.intersection(*kinds_of):
            yield vertex


def _exposed(problem: PlacementProblem, chosen: Sequence[Option]) -> Iterator[int]:
    """Yield the vertices in int8 whose surroundings are not all in int8 on the same device."""
    for vertex, (known, own) in enumerate(zip(problem.vertices, chosen, strict=True)):
        beside = (chosen[other] for other in known.within)
        if own.int8 and not all(one.int8 and one.device == own.device for one in beside):
            yield vertex


def _switches(flow: Flow, form: int, chosen: Sequence[Option]) -> Iterator[tuple[int, float]]:
    """Yield (device, seconds): quantized once where it arises, back once per device that needs float."""
    if form == FLOAT:
        return
    if not chosen[flow.producer].int8:
        devices = {chosen[flow.producer].device}
        if flow.converts_at_consumer:
            devices = {chosen[v].device for v in flow.consumers}
        for device in sorted(devices):
            yield device, flow.quantize_s[device]
    for device in sorted({chosen[v].device for v in flow.consumers if not chosen[v].int8}):
        yield device, flow.dequantize_s[device]


def _starts(problem: PlacementProblem, chosen: Sequence[Option]) -> list[float]:
    """Return the seconds of each device that it takes to run a stage at all."""
    used = {o.device for v, o in zip(problem.vertices, chosen, strict=True) if not v.fixed}
    return [start if device in used else 0.0 for device, start in enumerate(problem.starts)]


def _seams(
    problem: PlacementProblem, flow: Flow, form: int, chosen: Sequence[Option]
) -> Iterator[tuple[int, float]]:
    """Yield (device, seconds): where a unit's tensor leaves, and on each other device where units read it."""
    if problem.vertices[flow.producer].fixed:
        return
    home = chosen[flow.producer].device
    away = {chosen[v].device for v in flow.consumers if not problem.vertices[v].fixed} - {home}
    if away and flow.leave_s:
        yield home, flow.leave_s[form][home]
    for device in sorted(away) if flow.enter_s else ():
        yield device, flow.enter_s[form][device]


def _crossings(index: int, flow: Flow, form: int, chosen: Sequence[Option]) -> Iterator[Crossing]:
    """Yield one crossing per device other than the producer's that reads the tensor."""
    source = chosen[flow.producer].device
    for target in sorted({chosen[v].device for v in flow.consumers} - {source}):
        joules = flow.send_j[form][source][target] if flow.send_j else ()
        yield Crossing(index, source, target, form, flow.send_s[form][source][target], joules)


def _objective(problem: PlacementProblem, latency: float, energy: Sequence[float]) -> float:
    if latency == float("inf"):
        return latency
    return problem.weights.per_s * latency + problem.weights.per_j * sum(energy)


def _energy(
    problem: PlacementProblem, busy: Sequence[float], latency: float, crossings: Sequence[Crossing]
) -> tuple[float, ...]:
    """Return joules per device: active while busy, idle for the rest of the request, and for messages."""
    if problem.energy is None:
        return (0.0,) * len(problem.devices)
    known = problem.energy
    if latency == float("inf"):  # no path: nothing ever ends
        return (latency,) * len(problem.devices)
    joules = [
        active * seconds + idle * (latency - seconds)
        for active, idle, seconds in zip(known.active_w, known.idle_w, busy, strict=True)
    ]
    for crossing in crossings:
        for device, spent in enumerate(crossing.joules):
            joules[device] += spent
    return tuple(joules)


def _order(problem: PlacementProblem, chosen: Sequence[Option]) -> tuple[int, ...]:
    """Return devices in running order, or () if a path leaves a device's units and comes back."""
    after: nx.DiGraph = nx.DiGraph()
    after.add_nodes_from(range(len(problem.devices)))
    ends = defaultdict(set)
    for flow in problem.flows:
        for consumer in flow.consumers:
            if not problem.vertices[flow.producer].fixed and not problem.vertices[consumer].fixed:
                ends[chosen[flow.producer].device].add(chosen[consumer].device)
    after.add_edges_from((a, b) for a, targets in ends.items() for b in targets if a != b)
    if not nx.is_directed_acyclic_graph(after):
        return ()
    return tuple(nx.lexicographical_topological_sort(after))
