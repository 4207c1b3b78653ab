"""How each tensor of a graph moves between devices and formats, and what that costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import inf

from planner.costs.device_costs import DeviceCosts
from planner.costs.name_patterns import values_by_name
from planner.costs.tensor_formats import TensorFormats, tensor_bytes
from planner.problem.link_routes import Hop, MessageEnergy, Routes
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.scenario.schema import Scenario
from profiling.graph.any_model import Tensor
from profiling.graph.operator_graph import OperatorGraph
from profiling.on_device.measurement_order import DECODE, ENCODE
from profiling.precision import Precision, Wire
from profiling.quantization.wire_formats import BYTES


def routes_of(scenario: Scenario) -> Routes:
    """Return the fastest routes over a scenario's links."""
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


class TensorFlows:
    """The tensors between the units of a graph as flows of a problem.

    Parameters
    ----------
    costs
        Device name -> its costs.

    Raises
    ------
    ScenarioError
        If a pattern of `placement.private` matches no tensor.
    """

    def __init__(
        self,
        scenario: Scenario,
        graph: OperatorGraph,
        costs: Mapping[str, DeviceCosts],
        formats: TensorFormats,
    ) -> None:
        self._scenario, self._graph, self._formats = scenario, graph, formats
        self._devices = tuple(device.name for device in scenario.devices)
        self._costs = [costs[device] for device in self._devices]
        self._routes = routes_of(scenario)
        self._source, self._sink = len(graph.units), len(graph.units) + 1
        self._producers = {name: unit.index for unit in graph.units for name in unit.outputs}
        private = dict.fromkeys(scenario.placement.private, True)
        self._private = set(values_by_name("placement.private", private, list(graph.tensors)))

    def flows(self) -> tuple[Flow, ...]:
        """Return the flow of each tensor that a unit or the sink reads."""
        return tuple(self._flow(name) for name in self._graph.boundary_tensors() if self._readers(name))

    def _readers(self, name: str) -> tuple[int, ...]:
        """Return the vertices that read a tensor."""
        due = (self._sink,) if name in self._graph.outputs else ()
        return (*self._graph.consumers(name), *due)

    def _flow(self, name: str) -> Flow:
        producer = self._producers.get(name, self._source)
        consumers = self._readers(name)
        quantizers = [
            v
            for v in (producer, *consumers)
            if v < self._source and name in self._graph.tensors_quantized_with(v)
        ]
        return Flow(
            name=name,
            producer=producer,
            consumers=consumers,
            quantizers=tuple(quantizers),
            forms=(*self._forms(name), *self._wires(name)),
            noise_power=(
                0.0,
                *(costs.tensor_noise.get((name, p), 0.0) for p, costs in self._formats.quantized),
            ),
            quantize_s=self._conversion_s(name, back=False),
            dequantize_s=self._conversion_s(name, back=True),
            converts_at_consumer=self._wire_bytes(name) is not None,
            inherits=producer in quantizers and self._graph.units[producer].scale_preserving,
            leave_s=self._boundary_s(name, [costs.leave_s for costs in self._costs]),
            enter_s=self._boundary_s(name, [costs.enter_s for costs in self._costs]),
        )

    def _forms(self, name: str) -> Iterator[WireForm]:
        """Yield how a tensor crosses links: as float, and in each format that quantizes it."""
        raw_bytes, tensor = self._wire_bytes(name), self._graph.tensors[name]
        formats_and_precisions = zip(self._formats.formats(), self._formats.precisions, strict=True)
        for number, (tensor_format, precision) in enumerate(formats_and_precisions):
            size_bytes = tensor_bytes(tensor, precision) if raw_bytes is None else raw_bytes
            form = self._form(tensor_format.name, number, size_bytes)
            yield form.without_links() if name in self._private else form

    def _wires(self, name: str) -> Iterator[WireForm]:
        """Yield the other forms of the float tensor, where their noise is known."""
        # The first format is the affine one, if a device has it; so is the uint8 wire.
        costs, tensor = self._formats.quantized[0][1], self._graph.tensors[name]
        if self._wire_bytes(name) is not None or name in self._private or name not in costs.float16_noise:
            return
        noise_powers = {
            Wire.FLOAT16: costs.float16_noise[name],
            Wire.UINT8: costs.tensor_noise[name, Precision.INT8],
        }
        for wire in self._scenario.wires:
            noise_power = noise_powers[wire]
            if noise_power is not None:
                plain = self._form(wire.value, FLOAT, tensor.elements * BYTES[wire])
                encode, decode = (self._coding_s(wire, side, tensor) for side in (ENCODE, DECODE))
                yield replace(plain, encode_s=encode, decode_s=decode, noise_power=noise_power)

    def _coding_s(self, wire: Wire, side: str, tensor: Tensor) -> tuple[float, ...]:
        """Return the seconds to encode or decode a tensor on each device."""
        lines = (costs.wires[wire, side] for costs in self._costs)
        return tuple(start + slope * tensor.elements for start, slope in lines)

    def _wire_bytes(self, name: str) -> int | None:
        spec = self._scenario.inputs.get(name)
        return None if spec is None else spec.wire_bytes

    def _form(self, name: str, number: int, size_bytes: int) -> WireForm:
        def links_between(a: str, b: str) -> tuple[int, ...] | None:
            route = self._routes.route(a, b, size_bytes)
            return None if route.seconds == inf else route.links

        hops = self._routes.hops
        return WireForm(
            name,
            number,
            size_bytes,
            link_s=tuple(hop.seconds(size_bytes) for hop in hops),
            routes=tuple(tuple(links_between(a, b) for b in self._devices) for a in self._devices),
            link_j=tuple((hop.send.joules(size_bytes), hop.receive.joules(size_bytes)) for hop in hops),
        )

    def _conversion_s(self, name: str, *, back: bool) -> tuple[tuple[float, ...], ...]:
        """Return format -> device -> seconds; a device knows its own way of quantizing only."""

        def row(precision: Precision) -> tuple[float, ...]:
            ends = (precision, Precision.FP32) if back else (Precision.FP32, precision)
            return tuple(costs.switches.get((name, *ends), 0.0) for costs in self._costs)

        return ((0.0,) * len(self._devices), *(row(p) for p, _ in self._formats.quantized))

    def _boundary_s(
        self, name: str, sides: Sequence[Mapping[tuple[str, Precision], float]]
    ) -> tuple[tuple[float, ...], ...]:
        """Return format -> device -> seconds that a stage loses by ending, or beginning, at a tensor."""
        return tuple(
            tuple(side.get((name, precision), 0.0) for side in sides)
            for precision in self._formats.precisions
        )
