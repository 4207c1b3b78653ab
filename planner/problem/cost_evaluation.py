"""Prices a choice without the solver: what the formulas of README say, written out."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

import networkx as nx

from planner.problem.placement_problem import (
    FLOAT,
    Choice,
    CostMetric,
    Flow,
    Limit,
    Option,
    PlacementProblem,
    Quantity,
)


@dataclass(frozen=True, slots=True)
class Crossing:
    """A tensor that moves between two devices, in a form of its flow."""

    flow: int
    source: int
    target: int
    form: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a choice costs; tuples are per device, with further visits apart, unless said otherwise.

    Parameters
    ----------
    latency_s, makespan_s, period_s
        As `CostMetric` says; infinite where there is no way, the makespan also where stages have no
        order or a device is not convex.
    compute_s
        Seconds of units.
    switch_s
        Seconds of QuantizeLinear, DequantizeLinear, and conversions for a link.
    seam_s
        Seconds that a stage takes because it is one: its start, and its cuts.
    link_s, traffic_bytes
        Link -> seconds and bytes on it.
    memory_bytes, energy_j
        A device's visits count with the device.
    objective
        What is minimised.
    order
        Convex devices in the order in which their stages can run; None if they cannot, because a path
        leaves one and comes back.
    violations
        What else no plan can have, in words for a developer: two formats of one tensor, a unit in fp32
        that the runtime would compute in integers, one in integers without those beside it, groups.
    """

    latency_s: float
    makespan_s: float
    period_s: float
    compute_s: tuple[float, ...]
    switch_s: tuple[float, ...]
    seam_s: tuple[float, ...]
    link_s: tuple[float, ...]
    traffic_bytes: tuple[float, ...]
    noise_power: float
    memory_bytes: tuple[float, ...]
    energy_j: tuple[float, ...]
    money: float
    crossings: tuple[Crossing, ...]
    order: tuple[int, ...] | None
    violations: tuple[str, ...]
    objective: float

    @property
    def busy_s(self) -> tuple[float, ...]:
        """Seconds that a device works on a request."""
        rows = zip(self.compute_s, self.switch_s, self.seam_s, strict=True)
        return tuple(sum(row) for row in rows)

    @property
    def transfer_s(self) -> float:
        """Seconds on all links."""
        return sum(self.link_s)

    def value(self, quantity: Quantity) -> float:
        """Return what it is of a quantity."""
        several = {
            CostMetric.ENERGY: self.energy_j,
            CostMetric.MEMORY: self.memory_bytes,
            CostMetric.TRAFFIC: self.traffic_bytes,
        }
        if quantity.metric in several:
            row = several[quantity.metric]
            return sum(row) if quantity.of is None else row[quantity.of]
        return {
            CostMetric.LATENCY: self.latency_s,
            CostMetric.MAKESPAN: self.makespan_s,
            CostMetric.PERIOD: self.period_s,
            CostMetric.NOISE: self.noise_power,
            CostMetric.MONEY: self.money,
        }[quantity.metric]


def evaluate(problem: PlacementProblem, choice: Choice) -> Cost:
    """Return the cost of giving each vertex its option, and each flow its wire."""
    chosen = [v.options[c] for v, c in zip(problem.vertices, choice.options, strict=True)]
    bill = _CostAccumulator(problem, chosen)
    for option in chosen:
        bill.add_option(option)
    crossings: list[Crossing] = []
    for index, flow in enumerate(problem.flows):
        crossings += bill.add_flow(index, flow, choice.wire(index))
    return bill.total(crossings)


def broken_limits(problem: PlacementProblem, cost: Cost, tolerance: float = 1e-9) -> tuple[Limit, ...]:
    """Return the limits that a cost exceeds.

    Parameters
    ----------
    tolerance
        How far above a limit still counts as kept, as a fraction of it.
    """
    return tuple(x for x in problem.limits if not cost.value(x.quantity) <= x.at_most * (1 + tolerance))


def is_feasible(problem: PlacementProblem, cost: Cost, tolerance: float = 1e-9) -> bool:
    """Return whether a cost keeps every limit and its stages can run one after another."""
    possible = cost.order is not None and not cost.violations and cost.latency_s != inf
    return possible and not broken_limits(problem, cost, tolerance)


def flow_formats(problem: PlacementProblem, flow: Flow, chosen: Sequence[Option]) -> tuple[int, ...]:
    """Return the formats that the tensor could have: one that is asked for and suits all who ask.

    FLOAT alone if nobody asks; none if they clash.
    """
    asked = {chosen[v].format for v in flow.quantizers} - {FLOAT}
    if not asked:
        return (FLOAT,)
    return tuple(sorted(f for f in asked if all(f in problem.formats[one].accepts for one in asked)))


class _CostAccumulator:
    """Sums under way."""

    def __init__(self, problem: PlacementProblem, chosen: Sequence[Option]) -> None:
        self.problem, self.chosen = problem, chosen
        count = len(problem.devices)
        self.compute, self.switch = [0.0] * count, [0.0] * count
        self.weights, self.peak, self.joules = [0.0] * count, [0.0] * count, [0.0] * count
        self.used = {o.device for v, o in zip(problem.vertices, chosen, strict=True) if not v.is_terminal}
        self.seam = [0.0] * count
        self.link_s, self.traffic = [0.0] * len(problem.links), [0.0] * len(problem.links)
        self.load = [0.0] * count  # of transfers, on devices that these block
        self.between: dict[tuple[int | None, int | None], float] = defaultdict(float)
        self.noise = 0.0
        self.formats: list[int] = []
        self.violations: list[str] = []

    def add_option(self, option: Option) -> None:
        home = self.problem.physical_device(option.device)
        self.compute[option.device] += option.seconds
        self.noise += option.noise_power
        self.joules[home] += option.joules
        self.weights[home] += option.weight_bytes
        self.peak[home] = max(self.peak[home], option.activation_bytes)

    def add_flow(self, index: int, flow: Flow, wire: int) -> list[Crossing]:
        possible = flow_formats(self.problem, flow, self.chosen)
        if not possible:
            self.violations.append(f"tensor {flow.name!r} would be quantized in two ways")
        kind = possible[0] if possible else FLOAT
        self.formats.append(kind)
        producer = self.chosen[flow.producer]
        if kind != FLOAT and not (flow.inherits and producer.format == kind):
            self.noise += flow.noise_power[kind]
        for device, seconds in _switches(flow, kind, self.chosen):
            self.switch[device] += seconds
        for device, seconds in self._seams(flow, kind):
            self.seam[device] += seconds
        number = wire if wire and kind == FLOAT else kind
        self.used |= self._switching_ends(flow, kind, number)
        return self._send(index, flow, number)

    def _switching_ends(self, flow: Flow, kind: int, number: int) -> set[int]:
        """Return the devices of a source or sink at which a tensor changes: a stage, even without units."""
        vertices, home = self.problem.vertices, self.chosen[flow.producer].device
        ends = {self.chosen[v].device for v in flow.consumers if vertices[v].is_terminal}
        targets = {self.chosen[v].device for v in flow.consumers} - {home}
        found = ends if kind != FLOAT else ends - {home} if number in flow.wires else set()
        if not vertices[flow.producer].is_terminal:
            return found
        changed = (kind != FLOAT and not flow.converts_at_consumer) or (number in flow.wires and targets)
        return found | {home} if changed else found

    def _send(self, index: int, flow: Flow, number: int) -> list[Crossing]:
        """Add what crossings cost: once per link, and their conversions once per device."""
        form, home = flow.forms[number], self.chosen[flow.producer].device
        targets = sorted({self.chosen[v].device for v in flow.consumers} - {home})
        used = {link for target in targets for link in form.routes[home][target] or ()}
        for link in sorted(used):
            self._use_link(form.link_s[link], form.link_j[link] if form.link_j else (0.0, 0.0), link)
            self.traffic[link] += form.size_bytes
        self._add_between(flow, number, home)
        if number in flow.wires and targets:
            self.noise += form.noise_power
            self.switch[home] += form.encode_s[home] if form.encode_s else 0.0
            for target in targets:
                self.switch[target] += form.decode_s[target] if form.decode_s else 0.0
        return [Crossing(index, home, target, number, form.seconds(home, target)) for target in targets]

    def _use_link(self, seconds: float, joules: tuple[float, float], link: int) -> None:
        self.link_s[link] += seconds
        known = self.problem.links[link]
        for device, spent in zip((known.source, known.target), joules, strict=True):
            self.joules[self.problem.physical_device(device)] += spent
            if self.problem.devices[device].transfers_block:
                self.load[self.problem.physical_device(device)] += seconds

    def _add_between(self, flow: Flow, number: int, home: int) -> None:
        """Add a tensor's seconds from stage to stage; None stands for the source or the sink."""
        vertices = self.problem.vertices
        start = None if vertices[flow.producer].is_terminal else home
        ends = {
            (None if vertices[v].is_terminal else self.chosen[v].device, self.chosen[v].device)
            for v in flow.consumers
        }
        for end, device in ends:
            if start is None or end is None or device != home:
                self.between[start, end] += flow.forms[number].seconds(home, device)

    def _seams(self, flow: Flow, kind: int) -> Iterator[tuple[int, float]]:
        """Yield (device, seconds): where a unit's tensor leaves, and on each other device that reads it."""
        vertices = self.problem.vertices
        if vertices[flow.producer].is_terminal:
            return
        home = self.chosen[flow.producer].device
        away = {self.chosen[v].device for v in flow.consumers if not vertices[v].is_terminal} - {home}
        if away and flow.leave_s:
            yield home, flow.leave_s[kind][home]
        for device in sorted(away) if flow.enter_s else ():
            yield device, flow.enter_s[kind][device]

    def total(self, crossings: list[Crossing]) -> Cost:
        """Return the sum of everything."""
        problem = self.problem
        for d in self.used:
            self.seam[d] += problem.devices[d].start_s
        busy = [sum(row) for row in zip(self.compute, self.switch, self.seam, strict=True)]
        lost = any(crossing.seconds == inf for crossing in crossings)
        latency = inf if lost else sum(busy) + sum(self.link_s)
        order = _order(problem, self.chosen)
        loads = list(self.load)
        for device, seconds in enumerate(busy):
            loads[problem.physical_device(device)] += seconds
        prices = sum(d.price_per_s * s for d, s in zip(problem.devices, busy, strict=True))
        carried = zip(problem.links, self.traffic, strict=True)
        faults = (*self.violations, *_absorbed(problem, self.chosen, self.formats))
        priced = Cost(
            latency_s=latency,
            makespan_s=inf if lost else self._makespan(busy, order),
            period_s=inf if lost else max((*loads, *self.link_s), default=0.0),
            compute_s=tuple(self.compute),
            switch_s=tuple(self.switch),
            seam_s=tuple(self.seam),
            link_s=tuple(self.link_s),
            traffic_bytes=tuple(self.traffic),
            noise_power=self.noise,
            memory_bytes=tuple(w + p for w, p in zip(self.weights, self.peak, strict=True)),
            energy_j=self._energy(busy, latency),
            money=prices + sum(link.price_per_byte * size for link, size in carried),
            crossings=tuple(crossings),
            order=order,
            violations=(*faults, *_exposed(problem, self.chosen), *_grouped(problem, self.chosen)),
            objective=0.0,
        )
        total = sum(term.weight * priced.value(term.quantity) for term in problem.objective)
        return replace(priced, objective=inf if lost else total)

    def _energy(self, busy: Sequence[float], latency: float) -> tuple[float, ...]:
        """Return joules per device: active while busy, idle for the rest of the request, and for messages."""
        if latency == inf:  # no way: nothing ever ends
            return (inf,) * len(busy)
        joules = list(self.joules)
        for d, (device, seconds) in enumerate(zip(self.problem.devices, busy, strict=True)):
            home = self.problem.physical_device(d)
            joules[home] += (device.active_w - device.idle_w) * seconds
            joules[home] += device.idle_w * latency if home == d else 0.0
        return tuple(joules)

    def _makespan(self, busy: Sequence[float], order: Sequence[int] | None) -> float:
        """Return when the last answer is there, if each stage starts once all its tensors have come."""
        if order is None or len(order) < len(busy):
            return inf
        ends: dict[int | None, float] = {None: 0.0}
        for device in order:
            arrivals = [
                ends[start] + seconds for (start, end), seconds in self.between.items() if end == device
            ]
            ends[device] = max(arrivals, default=0.0) + busy[device]
        due = [ends[start] + seconds for (start, end), seconds in self.between.items() if end is None]
        return max((*due, *ends.values()))


def _switches(flow: Flow, kind: int, chosen: Sequence[Option]) -> Iterator[tuple[int, float]]:
    """Yield (device, seconds): once where it arises in another format, once per device that wants another."""
    if kind == FLOAT:
        return
    if chosen[flow.producer].format != kind:
        devices = {chosen[flow.producer].device}
        if flow.converts_at_consumer:
            devices = {chosen[v].device for v in flow.consumers}
        for device in sorted(devices):
            yield device, flow.quantize_s[kind][device]
    for device in sorted({chosen[v].device for v in flow.consumers if chosen[v].format != kind}):
        yield device, flow.dequantize_s[kind][device]


def _absorbed(problem: PlacementProblem, chosen: Sequence[Option], formats: Sequence[int]) -> Iterator[str]:
    """Yield the vertices that the runtime would compute in the format that all their tensors have."""
    around = defaultdict(set)
    for flow, kind in zip(problem.flows, formats, strict=True):
        for vertex in flow.quantizers:
            around[vertex].add(kind)
    for vertex, kinds in around.items():
        kind = min(kinds)
        if len(kinds) == 1 and problem.forces_kernel(vertex, chosen[vertex], kind):
            yield f"{problem.vertices[vertex].name!r} would be computed in integers"


def _exposed(problem: PlacementProblem, chosen: Sequence[Option]) -> Iterator[str]:
    """Yield the quantized vertices whose surroundings are not all so on the same device."""
    for known, own in zip(problem.vertices, chosen, strict=True):
        beside = (chosen[other] for other in known.coupled_with)
        if problem.has_kernels(own) and not all(
            (o.format, o.device) == (own.format, own.device) for o in beside
        ):
            yield f"{known.name!r} is quantized alone"


def _grouped(problem: PlacementProblem, chosen: Sequence[Option]) -> Iterator[str]:
    """Yield what breaks the groups that are to be on one device or on different ones."""
    for group in problem.together:
        if len({problem.physical_device(chosen[v].device) for v in group}) > 1:
            yield f"{problem.vertices[group[0]].name!r} and its group are not on one device"
    for a, b in problem.apart:
        if problem.physical_device(chosen[a].device) == problem.physical_device(chosen[b].device):
            yield f"{problem.vertices[a].name!r} and {problem.vertices[b].name!r} share a device"


def _order(problem: PlacementProblem, chosen: Sequence[Option]) -> tuple[int, ...] | None:
    """Return convex devices in running order, or None if a path leaves one's units and comes back."""
    after: nx.DiGraph = nx.DiGraph()
    convex = [d for d, device in enumerate(problem.devices) if device.contiguous]
    after.add_nodes_from(convex)
    count = len(problem.devices)

    def place(vertex: int) -> int:
        device = chosen[vertex].device
        return device if problem.devices[device].contiguous else count + vertex

    for flow in problem.flows:
        for consumer in flow.consumers:
            if not problem.vertices[flow.producer].is_terminal and not problem.vertices[consumer].is_terminal:
                after.add_edge(place(flow.producer), place(consumer))
    after.remove_edges_from(list(nx.selfloop_edges(after)))
    after.add_edges_from(
        (a, b) for b, device in enumerate(problem.devices) if (a := _earlier_visit(problem, b)) is not None
    )
    if not nx.is_directed_acyclic_graph(after):
        return None
    return tuple(d for d in nx.lexicographical_topological_sort(after) if d < count)


def _earlier_visit(problem: PlacementProblem, device: int) -> int | None:
    home = problem.physical_device(device)
    visits = [d for d in range(device) if problem.physical_device(d) == home]
    return visits[-1] if visits and home != device else None
