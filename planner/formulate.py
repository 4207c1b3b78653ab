"""Scenario + graph + profiles -> PlacementProblem: everything becomes numbers here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from planner.errors import ScenarioError
from planner.evaluate import evaluate
from planner.problem import Energy, Flow, Option, PlacementProblem, Vertex, Weights
from planner.routes import Hop, MessageEnergy, Routes
from planner.scenario import DeviceSpec, ObjectiveSpec, Scenario
from profiling.errors import ProfileError
from profiling.graph import ModelGraph, Tensor
from profiling.profile import LatencyProfile, NoiseProfile, Precision
from profiling.quantize import Scheme

_UINT8_BYTES = 1


@dataclass(frozen=True, slots=True)
class DeviceCosts:
    """What units and tensors cost on one device.

    Parameters
    ----------
    units, switches
        (unit, precision) -> seconds, and (tensor, precision) -> seconds to bring it there.
    unit_noise, tensor_noise
        Noise power of quantizing them in the device's scheme.
    symmetric
        Whether that scheme has symmetric activations.
    fp32_s
        Seconds of the whole fp32 model.
    start_s
        Seconds that a stage takes besides its units.
    leave_s, enter_s
        (tensor, form) -> seconds that a stage loses by ending or beginning there.
    """

    units: Mapping[tuple[str, Precision], float]
    switches: Mapping[tuple[str, Precision], float]
    unit_noise: Mapping[str, float]
    tensor_noise: Mapping[str, float]
    symmetric: bool = False
    fp32_s: float = 0.0
    start_s: float = 0.0
    leave_s: Mapping[tuple[str, Precision], float] = field(default_factory=dict)
    enter_s: Mapping[tuple[str, Precision], float] = field(default_factory=dict)

    @classmethod
    def of(
        cls, latency: LatencyProfile, noise: NoiseProfile, scheme: Scheme, speedup: float = 1.0
    ) -> "DeviceCosts":
        """Return the costs on a device that is `speedup` times as fast as the profile's."""
        latency = latency.spread_rest()
        return cls(
            {(row.unit, row.precision): row.seconds / speedup for row in latency.units},
            {(row.tensor, row.to): row.seconds / speedup for row in latency.switches},
            {row.unit: row.power for row in noise.units},
            {row.tensor: row.power for row in noise.tensors},
            scheme.symmetric,
            latency.wall_s[Precision.FP32] / speedup,
            latency.start_s / speedup,
            {(row.tensor, row.form): row.leave_s / speedup for row in latency.seams},
            {(row.tensor, row.form): row.enter_s / speedup for row in latency.seams},
        )


@dataclass(frozen=True, slots=True)
class Formulation:
    """A problem and how its indices lead back: vertex i < len(units) is unit i, then source and sink."""

    problem: PlacementProblem
    routes: Routes
    flow_bytes: tuple[tuple[int, int], ...] = field(repr=False)  # per flow: bytes as float, as int8


def formulate(
    scenario: Scenario,
    graph: ModelGraph,
    costs: Mapping[str, DeviceCosts],
) -> Formulation:
    """Return the problem of placing a graph, without a noise budget.

    Parameters
    ----------
    costs
        Device name -> its costs; every device of the scenario.
    """
    builder = _Builder(scenario, graph, costs)
    names = [name for name in graph.boundary() if builder.readers(name)]
    flows = tuple(builder.flow(name) for name in names)
    problem = PlacementProblem(
        devices=builder.devices,
        vertices=builder.vertices(),
        flows=flows,
        memory_bytes=tuple(scenario.memory_bytes(device) for device in builder.devices),
        latency_s=scenario.latency_s,
        energy=_energy(scenario),
        start_s=tuple(costs[device].start_s for device in builder.devices),
    )
    problem = replace(problem, weights=_weights(scenario, problem))
    return Formulation(problem, builder.routes, tuple(builder.sizes(name) for name in names))


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


def _energy(scenario: Scenario) -> Energy | None:
    if not scenario.knows_energy:
        return None
    return Energy(
        active_w=tuple(device.active_watt or 0.0 for device in scenario.devices),
        idle_w=tuple(device.idle_watt for device in scenario.devices),
        limits_j=tuple(scenario.budget.energy_j.get(device.name) for device in scenario.devices),
        total_j=scenario.budget.total_energy_j,
    )


def _weights(scenario: Scenario, problem: PlacementProblem) -> Weights:
    """Return the objective; a weighted sum is relative to everything in fp32 at the source."""
    if scenario.objective == "latency":
        return Weights()
    if scenario.objective == "energy":
        return Weights(per_s=0.0, per_j=1.0)
    source = next(i for i, device in enumerate(problem.devices) if device == scenario.source)
    alone = [
        min(range(len(v.options)), key=lambda o, v=v: (v.options[o].device != source, v.options[o].int8))  # type: ignore[misc]
        for v in problem.vertices
    ]
    reference = evaluate(problem, alone)
    wanted = scenario.objective if isinstance(scenario.objective, ObjectiveSpec) else ObjectiveSpec(latency=1)
    return Weights(
        per_s=wanted.latency / (reference.latency_s or 1.0),
        per_j=wanted.energy / (sum(reference.energy_j) or 1.0),
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
        self.knows_energy = scenario.knows_energy
        used = [costs[device] for device in self.devices]
        self.kinds = {one.symmetric: one for one in sorted(used, key=lambda one: one.symmetric)}
        self.source, self.sink = len(graph.units), len(graph.units) + 1
        self.producers = {name: unit.index for unit in graph.units for name in unit.outputs}

    def vertices(self) -> tuple[Vertex, ...]:
        """Return units, then the source and the sink."""
        ends = (("source", self.scenario.source), ("sink", self.scenario.sink))
        return (
            *(
                Vertex(
                    unit.name,
                    tuple(self._options(unit.index)),
                    absorbed=unit.absorbable,
                    within=unit.within,
                )
                for unit in self.graph.units
            ),
            *(
                Vertex(name, (Option(self.devices.index(device), int8=False),), fixed=True)
                for name, device in ends
            ),
        )

    def _options(self, index: int) -> list[Option]:
        unit = self.graph.units[index]
        tensors = [self.graph.tensors[name] for name in (*unit.inputs, *unit.outputs)]
        options = []
        for place, device in enumerate(self.scenario.devices):
            for precision in self._precisions(index, device):
                int8 = precision is Precision.INT8
                options.append(
                    Option(
                        device=place,
                        int8=int8,
                        seconds=self._seconds(device.name, unit.name, precision),
                        noise_power=self.costs[device.name].unit_noise.get(unit.name, 0.0) * int8,
                        weight_bytes=unit.weight_bytes_int8 if int8 else unit.weight_bytes,
                        activation_bytes=sum(map(_int8_bytes if int8 else _float_bytes, tensors)),
                        kind=self._kind(device.name) if int8 else 0,
                    )
                )
        if not options:
            raise ScenarioError(
                f"unit {unit.name!r} is quantized already, but no device may compute in int8: add it to "
                "precisions"
            )
        return options

    def _precisions(self, index: int, device: DeviceSpec) -> tuple[Precision, ...]:
        allowed, unit = self.scenario.precisions_of(device), self.graph.units[index]
        if unit.quantizable:
            return allowed
        if unit.quantized and Precision.INT8 not in allowed:
            return ()
        return (Precision.FP32,)  # what cannot be quantized runs as it is, everywhere

    def _kind(self, device: str) -> int:
        """Return the number of the way in which a device quantizes activations."""
        return list(self.kinds).index(self.costs[device].symmetric)

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
        able = [v for v in touching if v < self.source and name in self.graph.quantized_by(v)]
        return Flow(
            name=name,
            producer=producer,
            consumers=consumers,
            quantizers=tuple(able),
            noise_power=tuple(one.tensor_noise.get(name, 0.0) for one in self.kinds.values()),
            send_s=tuple(self._send(size) for size in self.sizes(name)),
            send_j=tuple(self._send_joules(size) for size in self.sizes(name)) if self.knows_energy else (),
            quantize_s=self._switch(name, Precision.INT8),
            dequantize_s=self._switch(name, Precision.FP32),
            converts_at_consumer=self._wire_bytes(name) is not None,
            inherits=producer in able and self.graph.units[producer].passing,
            leave_s=self._seam(name, [costs.leave_s for costs in self._in_order]),
            enter_s=self._seam(name, [costs.enter_s for costs in self._in_order]),
        )

    def sizes(self, name: str) -> tuple[int, int]:
        """Return a tensor's bytes on a link as float and as int8."""
        raw, tensor = self._wire_bytes(name), self.graph.tensors[name]
        return (raw, raw) if raw is not None else (_float_bytes(tensor), _int8_bytes(tensor))

    def _wire_bytes(self, name: str) -> int | None:
        spec = self.scenario.inputs.get(name)
        return None if spec is None else spec.wire_bytes

    def _send(self, size_bytes: int) -> tuple[tuple[float, ...], ...]:
        return tuple(
            tuple(self.routes.route(a, b, size_bytes).seconds for b in self.devices) for a in self.devices
        )

    def _send_joules(self, size_bytes: int) -> tuple[tuple[tuple[float, ...], ...], ...]:
        def spent(a: str, b: str) -> tuple[float, ...]:
            joules = self.routes.route(a, b, size_bytes).joules
            return tuple(joules.get(device, 0.0) for device in self.devices)

        return tuple(tuple(spent(a, b) for b in self.devices) for a in self.devices)

    def _switch(self, name: str, to: Precision) -> tuple[float, ...]:
        return tuple(self.costs[device].switches.get((name, to), 0.0) for device in self.devices)

    @property
    def _in_order(self) -> list[DeviceCosts]:
        return [self.costs[device] for device in self.devices]

    def _seam(
        self, name: str, sides: Sequence[Mapping[tuple[str, Precision], float]]
    ) -> tuple[tuple[float, ...], ...]:
        """Return form -> device -> seconds."""
        forms = (Precision.FP32, Precision.INT8)
        return tuple(tuple(side.get((name, form), 0.0) for side in sides) for form in forms)


def _float_bytes(tensor: Tensor) -> int:
    return tensor.size_bytes


def _int8_bytes(tensor: Tensor) -> int:
    return tensor.elements * _UINT8_BYTES if tensor.is_float else tensor.size_bytes
