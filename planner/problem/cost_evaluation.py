"""Prices a choice without the solver: docs/explanation/formulation.md written out, the solver's reference."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from planner.problem.energy import energy_j
from planner.problem.makespan import devices_in_order, makespans_s, stage_sequence
from planner.problem.memory import memory_bytes
from planner.problem.period import period_s
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem.stage_ways import stage_ways
from planner.problem.tensors import FLOAT, Flow
from planner.problem.units import Option


@dataclass(frozen=True, slots=True)
class Crossing:
    """A tensor that moves between two devices, in a form of its flow."""

    flow: int
    source: int
    target: int
    form: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What of a cost is one model's: the sum over all models is the whole cost's."""

    latency_s: float
    makespan_s: float
    noise_power: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a choice costs; tuples are per device, with further visits apart, unless said otherwise.

    Parameters
    ----------
    latency_s, makespan_s, period_s
        As `CostMetric` says; infinite where no links lead to a consumer, the makespan also where stages have
        no order or the problem has none (`PlacementProblem.has_makespan`).
    compute_s
        Seconds of units.
    conversion_s
        Seconds of QuantizeLinear, DequantizeLinear, and conversions for a link.
    stage_overhead_s
        Seconds that stages take besides units and conversions: their start, and what is lost at their cuts.
    link_s, traffic_bytes
        Link -> seconds and bytes on it.
    memory_bytes, energy_j
        A device's visits count with the device.
    by_model
        Each model's part of latency, makespan and noise.
    objective
        What is minimised.
    order
        Contiguous devices in the order in which their stages can run; None if they cannot, because a path
        leaves one and comes back.
    violations
        Broken rules other than limits and order, in words for a developer: two formats of one tensor, a unit
        in fp32 that the runtime would compute in integers, one in integers without those that it is coupled
        with, groups.
    """

    latency_s: float
    makespan_s: float
    period_s: float
    compute_s: tuple[float, ...]
    conversion_s: tuple[float, ...]
    stage_overhead_s: tuple[float, ...]
    link_s: tuple[float, ...]
    traffic_bytes: tuple[float, ...]
    noise_power: float
    memory_bytes: tuple[float, ...]
    energy_j: tuple[float, ...]
    money: float
    by_model: tuple[ModelCost, ...]
    crossings: tuple[Crossing, ...]
    order: tuple[int, ...] | None
    violations: tuple[str, ...]
    objective: float

    @property
    def busy_s(self) -> tuple[float, ...]:
        """Seconds that a device works on a request."""
        rows = zip(self.compute_s, self.conversion_s, self.stage_overhead_s, strict=True)
        return tuple(sum(row) for row in rows)

    @property
    def transfer_s(self) -> float:
        """Seconds on all links."""
        return sum(self.link_s)

    def value(self, quantity: Quantity) -> float:
        """Return the value of a quantity, in the units of `CostMetric`."""
        per_part = {
            CostMetric.ENERGY: self.energy_j,
            CostMetric.MEMORY: self.memory_bytes,
            CostMetric.TRAFFIC: self.traffic_bytes,
        }
        if quantity.metric in per_part:
            row = per_part[quantity.metric]
            return sum(row) if quantity.of is None else row[quantity.of]
        if quantity.metric is CostMetric.PERIOD:
            return self.period_s
        if quantity.metric is CostMetric.MONEY:
            return self.money
        part: Cost | ModelCost = self if quantity.model is None else self.by_model[quantity.model]
        return {
            CostMetric.LATENCY: part.latency_s,
            CostMetric.MAKESPAN: part.makespan_s,
            CostMetric.NOISE: part.noise_power,
        }[quantity.metric]


def evaluate(problem: PlacementProblem, choice: Choice) -> Cost:
    """Return the cost of giving each vertex its option, and each flow its wire.

    A choice that no plan can have gets a cost, too: `is_feasible` tells.
    """
    chosen = [v.options[c] for v, c in zip(problem.vertices, choice.options, strict=True)]
    accumulator = _CostAccumulator(problem, chosen)
    for option in chosen:
        accumulator.add_option(option)
    crossings: list[Crossing] = []
    for index, flow in enumerate(problem.flows):
        crossings += accumulator.add_flow(index, flow, choice.wire(index))
    return accumulator.total(crossings)


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
    """Return the formats that a tensor could have: one that is asked for and that all who ask accept.

    Parameters
    ----------
    chosen
        Vertex -> its option.

    Returns
    -------
    tuple of int
        Coarsest first; FLOAT alone if no vertex asks for a quantized one; empty if no format is accepted by
        all who ask.
    """
    requested = {chosen[v].format for v in flow.quantizers} - {FLOAT}
    if not requested:
        return (FLOAT,)
    return tuple(
        sorted(f for f in requested if all(f in problem.formats[request].accepts for request in requested))
    )


class _CostAccumulator:
    """Sums of the costs of a choice, by device and by link."""

    def __init__(self, problem: PlacementProblem, chosen: Sequence[Option]) -> None:
        self.problem, self.chosen = problem, chosen
        count = len(problem.devices)
        self.compute, self.conversion = [0.0] * count, [0.0] * count
        self.joules = [0.0] * count
        units = (o for v, o in zip(problem.vertices, chosen, strict=True) if not v.is_terminal)
        self.used = {option.device for option in units}
        self.stage_overhead = [0.0] * count
        self.link_s, self.traffic = [0.0] * len(problem.links), [0.0] * len(problem.links)
        self.load = [0.0] * count  # of transfers, on devices that these block
        self.noise, self.model_link_s = ([0.0] * len(problem.models) for _ in range(2))
        self.formats: list[int] = []
        self.forms: list[int] = []
        self.violations: list[str] = []

    def add_option(self, option: Option) -> None:
        self.compute[option.device] += option.seconds
        self.noise[self._model(option)] += option.noise_power
        self.joules[self.problem.physical_device(option.device)] += option.joules

    def _model(self, option: Option) -> int:
        return self.problem.devices[option.device].model

    def add_flow(self, index: int, flow: Flow, wire: int) -> list[Crossing]:
        possible = flow_formats(self.problem, flow, self.chosen)
        if not possible:
            self.violations.append(f"tensor {flow.name!r} would be quantized in two ways")
        # Of several, the coarsest: what asks for a finer format runs in it.
        tensor_format = possible[0] if possible else FLOAT
        self.formats.append(tensor_format)
        producer = self.chosen[flow.producer]
        if tensor_format != FLOAT and not (flow.inherits and producer.format == tensor_format):
            self.noise[self._model(producer)] += flow.noise_power[tensor_format]
        for device, seconds in _conversions(flow, tensor_format, self.chosen):
            self.conversion[device] += seconds
        for device, seconds in self._stage_boundaries(flow, tensor_format):
            self.stage_overhead[device] += seconds
        form_number = wire if wire and tensor_format == FLOAT else tensor_format
        self.forms.append(form_number)
        self.used |= self._switching_ends(flow, tensor_format, form_number)
        return self._send(index, flow, form_number)

    def _switching_ends(self, flow: Flow, tensor_format: int, form_number: int) -> set[int]:
        """Return the devices of a source or sink at which a tensor changes: a stage, even without units."""
        vertices, producer_device = self.problem.vertices, self.chosen[flow.producer].device
        ends = {self.chosen[v].device for v in flow.consumers if vertices[v].is_terminal}
        targets = {self.chosen[v].device for v in flow.consumers} - {producer_device}
        at_consumers = (
            ends
            if tensor_format != FLOAT
            else ends - {producer_device}
            if form_number in flow.wires
            else set()
        )
        if not vertices[flow.producer].is_terminal:
            return at_consumers
        changed = (tensor_format != FLOAT and not flow.converts_at_consumer) or (
            form_number in flow.wires and targets
        )
        return at_consumers | {producer_device} if changed else at_consumers

    def _send(self, index: int, flow: Flow, form_number: int) -> list[Crossing]:
        """Add what crossings cost: once per link, and their conversions once per device."""
        form, producer_device = flow.forms[form_number], self.chosen[flow.producer].device
        model = self.problem.devices[producer_device].model
        targets = sorted({self.chosen[v].device for v in flow.consumers} - {producer_device})
        # Routes from one device form a tree: what several receivers share is sent once.
        used = {link for target in targets for link in form.routes[producer_device][target] or ()}
        for link in sorted(used):
            self._use_link(form.link_s[link], form.link_j[link] if form.link_j else (0.0, 0.0), link)
            self.model_link_s[model] += form.link_s[link]
            self.traffic[link] += form.size_bytes
        if form_number in flow.wires and targets:
            self.noise[model] += form.noise_power
            self.conversion[producer_device] += form.encode_s[producer_device] if form.encode_s else 0.0
            for target in targets:
                self.conversion[target] += form.decode_s[target] if form.decode_s else 0.0
        return [
            Crossing(index, producer_device, target, form_number, form.seconds(producer_device, target))
            for target in targets
        ]

    def _use_link(self, seconds: float, joules: tuple[float, float], link: int) -> None:
        self.link_s[link] += seconds
        ends = self.problem.links[link]
        for device, device_joules in zip((ends.source, ends.target), joules, strict=True):
            self.joules[self.problem.physical_device(device)] += device_joules
            if self.problem.devices[device].transfers_block:
                self.load[self.problem.physical_device(device)] += seconds

    def _stage_boundaries(self, flow: Flow, tensor_format: int) -> Iterator[tuple[int, float]]:
        """Yield (device, seconds): where a unit's tensor leaves, and on each other device that reads it."""
        vertices = self.problem.vertices
        if vertices[flow.producer].is_terminal:
            return
        producer_device = self.chosen[flow.producer].device
        receivers = {self.chosen[v].device for v in flow.consumers if not vertices[v].is_terminal} - {
            producer_device
        }
        if receivers and flow.leave_s:
            yield producer_device, flow.leave_s[tensor_format][producer_device]
        for device in sorted(receivers) if flow.enter_s else ():
            yield device, flow.enter_s[tensor_format][device]

    def total(self, crossings: list[Crossing]) -> Cost:
        """Return the sum of everything."""
        problem = self.problem
        for d in self.used:
            self.stage_overhead[d] += problem.devices[d].start_s
        busy = [sum(row) for row in zip(self.compute, self.conversion, self.stage_overhead, strict=True)]
        unreachable = any(crossing.seconds == inf for crossing in crossings)
        sequence = stage_sequence(problem, self.chosen)
        latency = inf if unreachable else sum(busy) + sum(self.link_s)
        spans = self._makespans_s(busy, None if unreachable else sequence)
        prices = sum(d.price_per_s * s for d, s in zip(problem.devices, busy, strict=True))
        link_bytes = zip(problem.links, self.traffic, strict=True)
        faults = (*self.violations, *_forced_kernels(problem, self.chosen, self.formats))
        without_objective = Cost(
            latency_s=latency,
            makespan_s=sum(spans),
            period_s=inf if unreachable else period_s(problem, busy, self.load, self.link_s),
            compute_s=tuple(self.compute),
            conversion_s=tuple(self.conversion),
            stage_overhead_s=tuple(self.stage_overhead),
            link_s=tuple(self.link_s),
            traffic_bytes=tuple(self.traffic),
            noise_power=sum(self.noise),
            memory_bytes=memory_bytes(problem, self.chosen),
            energy_j=energy_j(problem, busy, latency, self.joules),
            money=prices + sum(link.price_per_byte * size for link, size in link_bytes),
            by_model=tuple(self._by_model(busy, spans, unreachable=unreachable)),
            crossings=tuple(crossings),
            order=None if sequence is None else devices_in_order(problem, sequence),
            violations=(*faults, *_uncoupled(problem, self.chosen), *_broken_groups(problem, self.chosen)),
            objective=0.0,
        )
        total = sum(term.weight * without_objective.value(term.quantity) for term in problem.objective)
        return replace(without_objective, objective=inf if unreachable else total)

    def _makespans_s(self, busy: Sequence[float], sequence: Sequence[int] | None) -> list[float]:
        ways = stage_ways(self.problem, self.chosen, self.forms)
        return makespans_s(self.problem, self.chosen, busy, ways, sequence)

    def _by_model(
        self, busy: Sequence[float], spans: Sequence[float], *, unreachable: bool
    ) -> Iterator[ModelCost]:
        devices = self.problem.devices
        for model, span in enumerate(spans):
            busy_s = sum(s for device, s in zip(devices, busy, strict=True) if device.model == model)
            latency_s = inf if unreachable else busy_s + self.model_link_s[model]
            yield ModelCost(latency_s, span, self.noise[model])


def _conversions(flow: Flow, tensor_format: int, chosen: Sequence[Option]) -> Iterator[tuple[int, float]]:
    """Yield (device, seconds): once where it arises in another format, once per device that wants another."""
    if tensor_format == FLOAT:
        return
    if chosen[flow.producer].format != tensor_format:
        devices = {chosen[flow.producer].device}
        if flow.converts_at_consumer:
            devices = {chosen[v].device for v in flow.consumers}
        for device in sorted(devices):
            yield device, flow.quantize_s[tensor_format][device]
    for device in sorted({chosen[v].device for v in flow.consumers if chosen[v].format != tensor_format}):
        yield device, flow.dequantize_s[tensor_format][device]


def _forced_kernels(
    problem: PlacementProblem, chosen: Sequence[Option], formats: Sequence[int]
) -> Iterator[str]:
    """Yield the vertices that the runtime would compute in the format that all their tensors have."""
    formats_around = defaultdict(set)
    for flow, tensor_format in zip(problem.flows, formats, strict=True):
        for vertex in flow.quantizers:
            formats_around[vertex].add(tensor_format)
    for vertex, tensor_formats in formats_around.items():
        tensor_format = min(tensor_formats)
        if len(tensor_formats) == 1 and problem.forces_kernel(vertex, chosen[vertex], tensor_format):
            yield f"{problem.vertices[vertex].name!r} would be computed in integers"


def _uncoupled(problem: PlacementProblem, chosen: Sequence[Option]) -> Iterator[str]:
    """Yield the quantized vertices whose surroundings are not all so on the same device."""
    for vertex, option in zip(problem.vertices, chosen, strict=True):
        neighbours = (chosen[neighbour] for neighbour in vertex.coupled_with)
        if problem.has_kernels(option) and not all(
            (o.format, o.device) == (option.format, option.device) for o in neighbours
        ):
            yield f"{vertex.name!r} is quantized alone"


def _broken_groups(problem: PlacementProblem, chosen: Sequence[Option]) -> Iterator[str]:
    """Yield what breaks the groups that are to be on one device or on different ones."""
    for group in problem.together:
        if len({problem.physical_device(chosen[v].device) for v in group}) > 1:
            yield f"{problem.vertices[group[0]].name!r} and its group are not on one device"
    for a, b in problem.apart:
        if problem.physical_device(chosen[a].device) == problem.physical_device(chosen[b].device):
            yield f"{problem.vertices[a].name!r} and {problem.vertices[b].name!r} share a device"
