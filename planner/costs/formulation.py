"""Scenario + graph + profiles -> PlacementProblem: everything becomes numbers here."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase
from itertools import product
from math import inf
from typing import TypeVar

from planner.costs.budget_limits import limits_of
from planner.costs.device_costs import DeviceCosts
from planner.errors import ScenarioError
from planner.problem.cost_evaluation import evaluate
from planner.problem.device_visits import with_visits
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, ObjectiveTerm, Quantity
from planner.problem.routing import Hop, MessageEnergy, Routes
from planner.problem.tensors import FLOAT, Flow, Format, WireForm
from planner.problem.units import Option, Vertex
from planner.scenario.schema import DeviceSpec, ObjectiveSpec, Scenario
from profiling.errors import ProfileError
from profiling.graph.unit_graph import ModelGraph, Tensor
from profiling.on_device.measure import DECODE, ENCODE
from profiling.precision import Precision, Wire
from profiling.quantization.wire_formats import BYTES

_BYTES = {Precision.INT8: 1, Precision.INT16: 2}  # of a quantized tensor's element
_Value = TypeVar("_Value")
_MEASURES = {measure.value: measure for measure in CostMetric} | {"throughput": CostMetric.PERIOD}
_HOUR_S = 3600.0


def formulate(
    scenario: Scenario,
    graph: ModelGraph,
    costs: Mapping[str, DeviceCosts],
) -> PlacementProblem:
    """Return the problem of placing a graph, without a noise budget.

    Vertex i < len(graph.units) is unit i; then come the source and the sink.

    Parameters
    ----------
    costs
        Device name -> its costs; every device of the scenario.
    """
    builder = _Builder(scenario, graph, costs)
    names = [name for name in graph.boundary() if builder.readers(name)]
    flows = tuple(builder.flow(name) for name in names)
    problem = PlacementProblem(
        devices=tuple(
            Device(
                device.name,
                start_s=costs[device.name].start_s,
                active_w=device.active_watt or 0.0,
                idle_w=device.idle_watt,
                price_per_s=device.price_per_hour / _HOUR_S,
                transfers_block=device.transfers_block,
            )
            for device in scenario.devices
        ),
        vertices=builder.vertices(),
        flows=flows,
        links=tuple(
            Link(
                link.name,
                builder.devices.index(link.source),
                builder.devices.index(link.target),
                link.price_per_byte,
            )
            for link in scenario.links
        ),
        formats=builder.formats(),
        limits=tuple(limits_of(scenario)),
        together=tuple(builder.group(group) for group in scenario.placement.together),
        apart=tuple(builder.pairs()),
    )
    problem = with_visits(problem, [device.visits for device in scenario.devices])
    return replace(problem, objective=_objective(scenario, problem))


def routes_of(scenario: Scenario) -> Routes:
    """Return the cheapest routes over a scenario's links."""
    return Routes(
        Hop(
            link.source,
            link.target,
            link.latency_s,
            link.bandwidth_bytes_per_s,
            MessageEnergy(*link.send_energy),
            MessageEnergy(*link.receive_energy),
        )
        for link in scenario.links
    )


def _objective(scenario: Scenario, problem: PlacementProblem) -> tuple[ObjectiveTerm, ...]:
    """Return the objective; a weighted sum is relative to everything in fp32 at the source."""
    wanted = scenario.objective
    if not isinstance(wanted, ObjectiveSpec):
        return (ObjectiveTerm(Quantity(_MEASURES[wanted])),)
    source = next(i for i, device in enumerate(problem.devices) if device.name == scenario.source)
    alone = [
        min(range(len(v.options)), key=lambda o, v=v: (v.options[o].device != source, v.options[o].quantized))  # type: ignore[misc]
        for v in problem.vertices
    ]
    reference = evaluate(problem, Choice(tuple(alone)))
    weights = [(Quantity(_MEASURES[name]), weight) for name, weight in wanted if weight]
    return tuple(
        ObjectiveTerm(quantity, weight / (reference.value(quantity) or 1.0)) for quantity, weight in weights
    )


class _Builder:
    def __init__(
        self,
        scenario: Scenario,
        graph: ModelGraph,
        costs: Mapping[str, DeviceCosts],
    ) -> None:
        self.scenario = scenario
        self.graph = graph
        self.costs = costs
        self.devices = tuple(device.name for device in scenario.devices)
        self.routes = routes_of(scenario)
        used = [costs[device] for device in self.devices]
        kinds = {one.symmetric: one for one in sorted(used, key=lambda one: one.symmetric)}
        quantized = [p for p in Precision if p in _BYTES and any(map(self._allows(p), scenario.devices))]
        self.kinds = [(p, one) for p in quantized or [Precision.INT8] for one in kinds.values()]
        self.source, self.sink = len(graph.units), len(graph.units) + 1
        self.producers = {name: unit.index for unit in graph.units for name in unit.outputs}

        placement, names = scenario.placement, [unit.name for unit in graph.units]
        self._pinned = _by_pattern("placement.pin", placement.pin, names)
        self._forced = _by_pattern("placement.precision", placement.precision, names)
        known = list(graph.tensors)
        self._private = set(_by_pattern("placement.private", dict.fromkeys(placement.private, True), known))

    def group(self, patterns: Sequence[str]) -> tuple[int, ...]:
        """Return the units that any of some patterns matches."""
        names = [unit.name for unit in self.graph.units]
        found = _by_pattern("placement.together", dict.fromkeys(patterns, True), names)
        return tuple(index for index, name in enumerate(names) if name in found)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of units that are to be apart."""
        names = [unit.name for unit in self.graph.units]
        for one, other in self.scenario.placement.apart:
            ends = (_by_pattern("placement.apart", {pattern: True}, names) for pattern in (one, other))
            for a, b in product(*ends):
                if a == b:
                    raise ScenarioError(f"placement.apart: {a!r} cannot be apart from itself")
                yield names.index(a), names.index(b)

    def vertices(self) -> tuple[Vertex, ...]:
        """Return units, then the source and the sink."""
        ends = (("source", self.scenario.source), ("sink", self.scenario.sink))
        return (
            *(
                Vertex(
                    unit.name,
                    tuple(self._options(unit.index)),
                    kernel_forced=unit.kernel_forced,
                    coupled_with=unit.coupled_with,
                )
                for unit in self.graph.units
            ),
            *(Vertex(name, (Option(self.devices.index(device)),), is_terminal=True) for name, device in ends),
        )

    def _options(self, index: int) -> list[Option]:
        unit = self.graph.units[index]
        tensors = [self.graph.tensors[name] for name in (*unit.inputs, *unit.outputs)]
        options = []
        for place, device in enumerate(self.scenario.devices):
            if self._pinned.get(unit.name, device.name) != device.name:
                continue
            for precision in self._precisions(index, device):
                quantized = precision is not Precision.FP32
                options.append(
                    Option(
                        device=place,
                        format=self._format(device.name, precision) if quantized else FLOAT,
                        seconds=self._seconds(device.name, unit.name, precision),
                        noise_power=self.costs[device.name].unit_noise.get((unit.name, precision), 0.0),
                        weight_bytes=self.graph.stored_bytes(index, precision),
                        activation_bytes=sum(_bytes(tensor, precision) for tensor in tensors),
                        precision=precision.value,
                    )
                )
        if not options and unit.name in (*self._pinned, *self._forced):
            raise ScenarioError(
                f"placement: unit {unit.name!r} cannot be as it is pinned: no device it may run on has that "
                "precision; name it in precisions"
            )
        if not options:
            raise ScenarioError(
                f"unit {unit.name!r} is quantized already, but no device may compute in int8: add it to "
                "precisions"
            )
        return options

    def _precisions(self, index: int, device: DeviceSpec) -> tuple[Precision, ...]:
        allowed, unit = self.scenario.precisions_of(device), self.graph.units[index]
        forced = self._forced.get(unit.name)
        if forced is not None and (unit.quantizable or forced is Precision.FP32):
            allowed = tuple(precision for precision in allowed if precision is forced)
        elif forced is not None:
            raise ScenarioError(
                f"placement.precision: unit {unit.name!r} cannot be quantized; plan inspect says why"
            )
        if unit.quantizable:
            return allowed
        if unit.quantized and Precision.INT8 not in allowed:
            return ()
        return (Precision.FP32,)  # what cannot be quantized runs as it is, everywhere

    def formats(self) -> tuple[Format, ...]:
        """Return the formats in which tensors exist: one for each way in which devices quantize them."""
        found = [Format("float")]
        for f, (precision, costs) in enumerate(self.kinds, start=1):
            # The coarser formats of the same kind come first.
            suits = [
                n for n, (_, one) in enumerate(self.kinds[:f], start=1) if one.symmetric == costs.symmetric
            ]
            name = precision.value if costs.symmetric else f"u{precision.value}"
            found.append(Format(name, tuple(suits), has_integer_kernel=precision is Precision.INT8))
        return tuple(found)

    def _format(self, device: str, precision: Precision) -> int:
        """Return the number of the format in which a device quantizes activations."""
        kinds = [(p, one.symmetric) for p, one in self.kinds]
        return 1 + kinds.index((precision, self.costs[device].symmetric))

    def _allows(self, precision: Precision) -> Callable[[DeviceSpec], bool]:
        return lambda device: precision in self.scenario.precisions_of(device)

    def _seconds(self, device: str, unit: str, precision: Precision) -> float:
        try:
            return self.costs[device].units[unit, precision]
        except KeyError as exc:
            raise ProfileError(
                f"the profile of device {device!r} has no {precision} time of unit {unit!r}; "
                "measure it again with `plan profile`"
            ) from exc

    def readers(self, name: str) -> tuple[int, ...]:
        """Return the vertices that read a tensor."""
        due = (self.sink,) if name in self.graph.outputs else ()
        return (*self.graph.consumers(name), *due)

    def flow(self, name: str) -> Flow:
        """Return how a tensor moves."""
        producer = self.producers.get(name, self.source)
        consumers = self.readers(name)
        touching = (producer, *consumers)
        able = [v for v in touching if v < self.source and name in self.graph.tensors_quantized_with(v)]
        return Flow(
            name=name,
            producer=producer,
            consumers=consumers,
            quantizers=tuple(able),
            forms=(*self._forms(name), *self._wires(name)),
            noise_power=(0.0, *(one.tensor_noise.get((name, p), 0.0) for p, one in self.kinds)),
            quantize_s=self._switch(name, back=False),
            dequantize_s=self._switch(name, back=True),
            converts_at_consumer=self._wire_bytes(name) is not None,
            inherits=producer in able and self.graph.units[producer].passing,
            leave_s=self._seam(name, [costs.leave_s for costs in self._in_order]),
            enter_s=self._seam(name, [costs.enter_s for costs in self._in_order]),
        )

    def _forms(self, name: str) -> Iterator[WireForm]:
        """Yield how a tensor crosses links: as float, and in each format that quantizes it."""
        raw, tensor = self._wire_bytes(name), self.graph.tensors[name]
        for kind, known in enumerate(self.formats()):
            size = _bytes(tensor, self.kinds[kind - 1][0] if kind else Precision.FP32)
            form = self._form(known.name, kind, size if raw is None else raw)
            yield form.without_links() if name in self._private else form

    def _wires(self, name: str) -> Iterator[WireForm]:
        """Yield the other forms of the float tensor, where their noise is known."""
        costs, tensor = self.kinds[0][1], self.graph.tensors[name]
        if self._wire_bytes(name) is not None or name in self._private or name not in costs.float16_noise:
            return
        powers = {
            Wire.FLOAT16: costs.float16_noise[name],
            Wire.UINT8: costs.tensor_noise[name, Precision.INT8],
        }
        for wire in self.scenario.wires:
            power = powers[wire]
            if power is not None:
                plain = self._form(wire.value, FLOAT, tensor.elements * BYTES[wire])
                encode, decode = (self._coding(wire, side, tensor) for side in (ENCODE, DECODE))
                yield replace(plain, encode_s=encode, decode_s=decode, noise_power=power)

    def _coding(self, wire: Wire, side: str, tensor: Tensor) -> tuple[float, ...]:
        """Return the seconds to encode or decode a tensor on each device."""
        lines = (costs.wires[wire, side] for costs in self._in_order)
        return tuple(start + slope * tensor.elements for start, slope in lines)

    def _wire_bytes(self, name: str) -> int | None:
        spec = self.scenario.inputs.get(name)
        return None if spec is None else spec.wire_bytes

    def _form(self, name: str, kind: int, size_bytes: int) -> WireForm:
        def way(a: str, b: str) -> tuple[int, ...] | None:
            route = self.routes.route(a, b, size_bytes)
            return None if route.seconds == inf else route.links

        hops = self.routes.hops
        return WireForm(
            name,
            kind,
            size_bytes,
            link_s=tuple(hop.seconds(size_bytes) for hop in hops),
            routes=tuple(tuple(way(a, b) for b in self.devices) for a in self.devices),
            link_j=tuple((hop.send.joules(size_bytes), hop.receive.joules(size_bytes)) for hop in hops),
        )

    def _switch(self, name: str, *, back: bool) -> tuple[tuple[float, ...], ...]:
        """Return format -> device -> seconds; a device knows its own way of quantizing only."""

        def row(precision: Precision) -> tuple[float, ...]:
            ends = (precision, Precision.FP32) if back else (Precision.FP32, precision)
            return tuple(costs.switches.get((name, *ends), 0.0) for costs in self._in_order)

        return ((0.0,) * len(self.devices), *(row(precision) for precision, _ in self.kinds))

    @property
    def _in_order(self) -> list[DeviceCosts]:
        return [self.costs[device] for device in self.devices]

    def _seam(
        self, name: str, sides: Sequence[Mapping[tuple[str, Precision], float]]
    ) -> tuple[tuple[float, ...], ...]:
        """Return format -> device -> seconds."""
        forms = (Precision.FP32, *(precision for precision, _ in self.kinds))
        return tuple(tuple(side.get((name, form), 0.0) for side in sides) for form in forms)


def _by_pattern(key: str, wanted: Mapping[str, _Value], names: Sequence[str]) -> dict[str, _Value]:
    """Return name -> value for the names that patterns match; a name itself counts more than a pattern."""
    found: dict[str, _Value] = {}
    for pattern, value in sorted(wanted.items(), key=lambda item: item[0] in names):
        matched = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not matched:
            close = get_close_matches(pattern, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; plan inspect --json lists the units"
            raise ScenarioError(f"{key}: nothing is named {pattern!r}{hint}")
        other = next((name for name in matched if found.get(name, value) != value), None)
        if other is not None and pattern not in names:
            raise ScenarioError(f"{key}: {pattern!r} and another pattern say different things of {other!r}")
        found |= dict.fromkeys(matched, value)
    return found


def _bytes(tensor: Tensor, precision: Precision) -> int:
    """Return the bytes of a tensor between units of a precision."""
    quantized = tensor.is_float and precision in _BYTES
    return tensor.elements * _BYTES[precision] if quantized else tensor.size_bytes
