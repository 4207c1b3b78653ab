"""The waist of the program: units, options, tensors, devices and budgets as numbers only."""

import math
from dataclasses import dataclass

from planner.errors import PlannerError


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a unit.

    Parameters
    ----------
    device
        Index into `PlacementProblem.devices`.
    int8
        Whether the unit computes in int8, else in fp32.
    seconds, noise_power
        What the unit itself costs; `noise_power` relative to the outputs' power.
    weight_bytes, activation_bytes
        Weights held on the device, and the unit's inputs and outputs while it runs.
    kind
        In which of several ways int8 activations are quantized there; a tensor has one.
    """

    device: int
    int8: bool
    seconds: float = 0.0
    noise_power: float = 0.0
    weight_bytes: int = 0
    activation_bytes: int = 0
    kind: int = 0


@dataclass(frozen=True, slots=True)
class Vertex:
    """A unit, or the fixed place where an input arises or an output is due.

    Parameters
    ----------
    fixed
        True for the source and the sink: they compute nothing and belong to no stage.
    absorbed
        True if it cannot but compute in int8 where all tensors are int8 that it would quantize.
    within
        Vertices that have to compute in int8 on the same device if this one does.
    """

    name: str
    options: tuple[Option, ...]
    fixed: bool = False
    absorbed: bool = False
    within: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Flow:
    """A tensor: who writes it, who reads it, and what moving and converting it costs.

    Parameters
    ----------
    producer, consumers
        Indices into `PlacementProblem.vertices`.
    quantizers
        Vertices that make it int8 when they compute in int8; empty if it never is.
    noise_power
        Noise of quantizing it, counted once, for each kind of option that may.
    inherits
        True if its producer, in int8, hands on its own input's scale (MaxPool, Reshape): then
        quantizing it adds no noise to what its input already has.
    send_s
        form (0 float, 1 int8) -> from device -> to device -> seconds; infinite without a path.
    quantize_s, dequantize_s
        Seconds per device to switch it.
    send_j
        Like `send_s`, but joules of each device that takes part; empty if sending costs none.
    leave_s, enter_s
        form -> device -> seconds that a stage there loses because it ends or begins at this tensor; empty
        if none.
    converts_at_consumer
        True if it always crosses a link as it arose (a compressed picture), so that each receiver
        quantizes it for itself.
    """

    name: str
    producer: int
    consumers: tuple[int, ...]
    quantizers: tuple[int, ...]
    noise_power: tuple[float, ...]
    send_s: tuple[tuple[tuple[float, ...], ...], ...]
    quantize_s: tuple[float, ...]
    dequantize_s: tuple[float, ...]
    converts_at_consumer: bool = False
    inherits: bool = False
    send_j: tuple[tuple[tuple[tuple[float, ...], ...], ...], ...] = ()
    leave_s: tuple[tuple[float, ...], ...] = ()
    enter_s: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Energy:
    """What devices draw: active while they compute, idle during the rest of a request.

    Parameters
    ----------
    active_w, idle_w
        Watts per device.
    limits_j, total_j
        Budgets per request: per device and over all; None is no limit.
    """

    active_w: tuple[float, ...]
    idle_w: tuple[float, ...]
    limits_j: tuple[float | None, ...]
    total_j: float | None = None


@dataclass(frozen=True, slots=True)
class Weights:
    """The objective: `per_s` times latency in seconds plus `per_j` times energy in joules."""

    per_s: float = 1.0
    per_j: float = 0.0


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """Everything the solver sees.

    Parameters
    ----------
    memory_bytes
        Per device; None is no limit.
    noise_power
        Budget on the summed relative noise power; None is no limit.
    latency_s
        Budget on the latency of one request; None is no limit.
    energy
        None where nothing is known of energy; then none is counted.
    start_s
        Seconds that a device's stage takes besides its units, once a request; empty if none.
    """

    devices: tuple[str, ...]
    vertices: tuple[Vertex, ...]
    flows: tuple[Flow, ...]
    memory_bytes: tuple[int | None, ...]
    noise_power: float | None = None
    latency_s: float | None = None
    energy: Energy | None = None
    weights: Weights = Weights()
    start_s: tuple[float, ...] = ()

    @property
    def starts(self) -> tuple[float, ...]:
        """`start_s` of every device."""
        return self.start_s or (0.0,) * len(self.devices)

    def __post_init__(self) -> None:
        """Refuse numbers that no budget or cost can have."""
        for vertex in self.vertices:
            for option in vertex.options:
                _require_finite(f"unit {vertex.name!r}", option.seconds, option.noise_power)
        for flow in self.flows:
            numbers = (*flow.noise_power, *flow.quantize_s, *flow.dequantize_s)
            numbers = (*numbers, *(x for row in (*flow.leave_s, *flow.enter_s) for x in row))
            _require_finite(f"tensor {flow.name!r}", *numbers)
            _require_times(flow)
            if flow.inherits and flow.producer not in flow.quantizers:
                raise PlannerError(
                    f"tensor {flow.name!r}: only a producer that quantizes it hands on a scale"
                )
        limits = [
            self.noise_power,
            self.latency_s,
            *self.memory_bytes,
            *self.start_s,
            self.weights.per_s,
            self.weights.per_j,
        ]
        if self.energy is not None:
            known = self.energy
            limits += [*known.active_w, *known.idle_w, *known.limits_j, known.total_j]
        _require_finite("budget", *(x for x in limits if x is not None))


def _require_finite(what: str, *numbers: float) -> None:
    for number in numbers:
        if not math.isfinite(number) or number < 0:
            raise PlannerError(f"{what}: costs and budgets must be finite and >= 0, got {number}")


def _require_times(flow: Flow) -> None:
    for form in flow.send_s:
        for row in form:
            if any(math.isnan(x) or x < 0 for x in row):
                raise PlannerError(f"tensor {flow.name!r}: transfer seconds must be >= 0")
