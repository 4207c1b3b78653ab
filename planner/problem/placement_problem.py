"""The waist of the program: units, options, tensors, devices, links and limits as numbers only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf, isfinite, isnan

from planner.errors import ProblemError

FLOAT = 0  # the format of tensors that nobody quantizes
_MOST = 1e15  # sums of greater numbers lose the small ones, and overflow in the end


class CostMetric(StrEnum):
    """What of a plan can be limited and minimised; all but memory are per request."""

    LATENCY = "latency"  # seconds, everything in sequence
    MAKESPAN = "makespan"  # seconds, with stages that overlap where the graph allows
    PERIOD = "period"  # seconds between requests in a pipeline: the largest load of a device or link
    ENERGY = "energy"  # joules, of a device or of all
    MEMORY = "memory"  # bytes, of a device
    TRAFFIC = "traffic"  # bytes, over a link or over all
    NOISE = "noise"  # power relative to the outputs'
    MONEY = "money"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A metric of the whole plan, or of one device or link: `of` is its index."""

    metric: CostMetric
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget."""

    quantity: Quantity
    at_most: float


@dataclass(frozen=True, slots=True)
class ObjectiveTerm:
    """A part of the objective, which is the sum of weight times quantity."""

    quantity: Quantity
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Format:
    """A representation of tensors: number 0 is floating point, others are quantized.

    Parameters
    ----------
    accepts
        The formats with which a unit that asks for this one is content: its own and coarser ones.
    has_integer_kernel
        Whether the runtime has integer kernels for it, and turns a unit between such tensors into one.
    """

    name: str
    accepts: tuple[int, ...] = ()
    has_integer_kernel: bool = True


FORMATS = (Format("float"), Format("uint8", (1,)))


@dataclass(frozen=True, slots=True)
class Device:
    """A place to compute.

    Parameters
    ----------
    start_s
        Seconds that a stage takes besides its units, once a request. Changing a tensor's format at the source
        or the sink is a stage, too.
    active_w, idle_w
        Watts while it computes, and during the rest of a request.
    price_per_s
        Money per second of computing.
    transfers_block
        Whether sending and receiving keep it from computing: then they count in its load.
    contiguous
        Whether its units make one stage: a path that left it may not come back.
    visit_of
        The device of which this is another visit, with its memory and its load; None if it is a device.
    """

    name: str
    start_s: float = 0.0
    active_w: float = 0.0
    idle_w: float = 0.0
    price_per_s: float = 0.0
    transfers_block: bool = False
    contiguous: bool = True
    visit_of: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A one-way connection of two devices."""

    name: str
    source: int
    target: int
    price_per_byte: float = 0.0


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a unit.

    Parameters
    ----------
    device, format
        Indices into the problem's devices, and into its formats: that of the tensors which the unit asks for.
    precision
        What the user calls it.
    seconds, noise_power, joules
        What the unit itself costs; joules beyond the device's watts.
    weight_bytes, activation_bytes
        Weights held on the device, and the unit's inputs and outputs while it runs.
    """

    device: int
    format: int = FLOAT
    seconds: float = 0.0
    noise_power: float = 0.0
    weight_bytes: float = 0
    activation_bytes: float = 0
    precision: str = "fp32"
    joules: float = 0.0

    @property
    def quantized(self) -> bool:
        """Whether it asks for quantized tensors."""
        return self.format != FLOAT


@dataclass(frozen=True, slots=True)
class Vertex:
    """A unit, or the fixed place where an input arises or an output is due.

    Parameters
    ----------
    is_terminal
        True for the source and the sink: they compute nothing and belong to no stage.
    kernel_forced
        True if it cannot but compute in integers where all tensors are so that it would quantize, asked or
        not.
    coupled_with
        Vertices that have to ask for the same format on the same device if this one asks for one that the
        runtime has integer kernels for.
    """

    name: str
    options: tuple[Option, ...]
    is_terminal: bool = False
    kernel_forced: bool = False
    coupled_with: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WireForm:
    """A form in which a tensor crosses links.

    Parameters
    ----------
    format
        That of the tensor that can cross so.
    size_bytes
        On a link.
    link_s, link_j
        Link -> seconds; link -> joules of its source and of its target, empty if none.
    routes
        From device -> to device -> links, None without a way. Those from one device are a tree.
    encode_s, decode_s
        Device -> seconds to bring it into this form and back; empty if it crosses as it is.
    noise_power
        Added once if it crosses so.
    """

    name: str
    format: int
    size_bytes: float
    link_s: tuple[float, ...]
    routes: tuple[tuple[tuple[int, ...] | None, ...], ...]
    link_j: tuple[tuple[float, float], ...] = ()
    encode_s: tuple[float, ...] = ()
    decode_s: tuple[float, ...] = ()
    noise_power: float = 0.0

    def without_links(self) -> "WireForm":
        """Return the form of a tensor that may cross no link."""
        every = range(len(self.routes))
        return replace(self, routes=tuple(tuple(() if a == b else None for b in every) for a in every))

    def seconds(self, source: int, target: int) -> float:
        """Return the seconds from device to device; infinite without a way."""
        route = self.routes[source][target]
        return inf if route is None else sum(self.link_s[link] for link in route)


@dataclass(frozen=True, slots=True)
class Flow:
    """A tensor: who writes it, who reads it, and what moving and converting it costs.

    Parameters
    ----------
    producer, consumers
        Indices into `PlacementProblem.vertices`.
    quantizers
        Vertices that have it quantized when they ask for it; empty if it never is.
    forms
        One per format, in their order, or the first alone if nothing quantizes it; then other
        forms of the float tensor. All its crossings take the same.
    noise_power
        Format -> noise of quantizing it, counted once; the first is 0.
    inherits
        True if its producer, quantized, hands on its own input's scale (MaxPool, Reshape): then
        quantizing it adds no noise to what its input already has.
    quantize_s, dequantize_s
        Format -> device -> seconds to bring it there from what its producer asks for (float, or a finer
        format), and back into what a consumer asks for.
    leave_s, enter_s
        Format -> device -> seconds that a stage there loses because it ends or begins at this tensor;
        empty if none.
    converts_at_consumer
        True if it always crosses a link as it arose (a compressed picture), so that each receiver
        quantizes it for itself.
    """

    name: str
    producer: int
    consumers: tuple[int, ...]
    forms: tuple[WireForm, ...]
    quantizers: tuple[int, ...] = ()
    noise_power: tuple[float, ...] = (0.0,)
    quantize_s: tuple[tuple[float, ...], ...] = ()
    dequantize_s: tuple[tuple[float, ...], ...] = ()
    converts_at_consumer: bool = False
    inherits: bool = False
    leave_s: tuple[tuple[float, ...], ...] = ()
    enter_s: tuple[tuple[float, ...], ...] = ()

    @property
    def formats(self) -> range:
        """The formats in which it can exist."""
        return range(len(self.noise_power) if self.quantizers else 1)

    @property
    def wires(self) -> range:
        """The numbers of the forms that are not simply its format."""
        return range(len(self.noise_power), len(self.forms))


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer: vertex -> number of its option; flow -> number of its wire, 0 for none (or all empty)."""

    options: tuple[int, ...]
    wires: tuple[int, ...] = ()

    def lift_to_full(self, keep: Sequence[Sequence[int]]) -> "Choice":
        """Return this choice of a restricted problem as one of the whole problem."""
        return Choice(tuple(kept[o] for kept, o in zip(keep, self.options, strict=True)), self.wires)

    def wire(self, flow: int) -> int:
        """Return the number of the form in which a float tensor crosses links."""
        return self.wires[flow] if self.wires else 0


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """Everything the solver sees.

    Parameters
    ----------
    objective
        The sum that is minimised.
    together, apart
        Groups of vertices on one device; pairs of vertices on different ones.

    Raises
    ------
    ProblemError
        If a number is no cost or budget.
    """

    devices: tuple[Device, ...]
    vertices: tuple[Vertex, ...]
    flows: tuple[Flow, ...]
    links: tuple[Link, ...] = ()
    formats: tuple[Format, ...] = FORMATS
    limits: tuple[Limit, ...] = ()
    objective: tuple[ObjectiveTerm, ...] = (ObjectiveTerm(Quantity(CostMetric.LATENCY)),)
    together: tuple[tuple[int, ...], ...] = ()
    apart: tuple[tuple[int, int], ...] = ()

    def physical_device(self, device: int) -> int:
        """Return the device of which this is a visit."""
        again = self.devices[device].visit_of
        return device if again is None else again

    def with_options(self, keep: Sequence[Sequence[int]]) -> "PlacementProblem":
        """Return the problem with some options of each vertex only, by their numbers."""
        return replace(
            self,
            vertices=tuple(
                replace(vertex, options=tuple(vertex.options[o] for o in kept))
                for vertex, kept in zip(self.vertices, keep, strict=True)
            ),
        )

    def has_kernels(self, option: Option) -> bool:
        """Return whether an option asks for a format that the runtime has integer kernels for."""
        return option.format != FLOAT and self.formats[option.format].has_integer_kernel

    def forces_kernel(self, vertex: int, option: Option, kind: int) -> bool:
        """Return whether the runtime makes something else of an option if all its tensors have a format.

        What asks for a finer format runs in the coarser one, and so does what has no weights.
        """
        if kind == FLOAT or option.format == kind or not self.formats[kind].has_integer_kernel:
            return False
        return self.vertices[vertex].kernel_forced if option.format == FLOAT else True

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All that a limit or the objective speaks of, each once."""
        spoken = [limit.quantity for limit in self.limits] + [term.quantity for term in self.objective]
        return tuple(dict.fromkeys(spoken))

    def with_limit(self, quantity: Quantity, at_most: float | None) -> "PlacementProblem":
        """Return the problem with another limit on a quantity; None lifts it."""
        others = tuple(limit for limit in self.limits if limit.quantity != quantity)
        own = () if at_most is None else (Limit(quantity, at_most),)
        return replace(self, limits=(*others, *own))

    def tightest_limit(self, metric: CostMetric, of: int | None = None) -> float:
        """Return the tightest limit on a quantity; infinite if there is none."""
        return min((x.at_most for x in self.limits if x.quantity == Quantity(metric, of)), default=inf)

    def __post_init__(self) -> None:
        """Refuse numbers that no budget or cost can have."""
        for device in self.devices:
            known = (device.start_s, device.active_w, device.idle_w, device.price_per_s)
            _require_costs(f"device {device.name!r}", known)
        _require_costs("links", [link.price_per_byte for link in self.links])
        for vertex in self.vertices:
            for o in vertex.options:
                numbers = (o.seconds, o.noise_power, o.weight_bytes, o.activation_bytes, o.joules)
                _require_costs(f"unit {vertex.name!r}", numbers)
        for flow in self.flows:
            _require_costs(f"tensor {flow.name!r}", list(_numbers(flow)))
            if flow.inherits and flow.producer not in flow.quantizers:
                raise ProblemError(
                    f"tensor {flow.name!r}: only a producer that quantizes it hands on a scale"
                )
        _require_costs("budget", [limit.at_most for limit in self.limits])
        _require_costs("objective", [term.weight for term in self.objective])
        spoken = any(quantity.metric is CostMetric.MAKESPAN for quantity in self.quantities)
        if spoken and not all(device.contiguous for device in self.devices):
            raise ProblemError("makespan: needs devices of one stage each; one may be returned to at will")


def _numbers(flow: Flow) -> Iterator[float]:
    yield from flow.noise_power
    for table in (flow.quantize_s, flow.dequantize_s, flow.leave_s, flow.enter_s):
        for row in table:
            yield from row
    for form in flow.forms:
        yield from (form.size_bytes, form.noise_power, *form.link_s, *form.encode_s, *form.decode_s)
        for pair in form.link_j:
            yield from pair


def _require_costs(what: str, numbers: Sequence[float]) -> None:
    for number in numbers:
        if isnan(number) or not isfinite(number) or number < 0:
            raise ProblemError(f"{what}: costs and budgets must be finite and >= 0, got {number}")
        if number > _MOST:
            raise ProblemError(f"{what}: costs and budgets must be at most {_MOST:g}, got {number:g}")
