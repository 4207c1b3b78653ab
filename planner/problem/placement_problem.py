"""The placement problem, numbers only: which option each unit takes, and how each tensor crosses links."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite, isnan

from planner.errors import ProblemError
from planner.problem.devices import Device, Link
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import FLOAT, FORMATS, Flow, Format
from planner.problem.units import Option, Vertex

_MOST = 1e15  # a double has 15 to 16 digits: a sum with greater numbers would lose seconds and joules


@dataclass(frozen=True, slots=True)
class Choice:
    """An answer to a placement problem.

    Parameters
    ----------
    options
        Vertex -> number of its option.
    wires
        Flow -> number of the form in which its float tensor crosses links, 0 for its own; empty if all are 0.

    Examples
    --------
    >>> choice = Choice((0, 1), wires=(2,))
    >>> choice.lift_to_full([(1, 3), (0, 2)])
    Choice(options=(1, 2), wires=(2,))
    >>> choice.wire(0), Choice((0, 1)).wire(0)
    (2, 0)
    """

    options: tuple[int, ...]
    wires: tuple[int, ...] = ()

    def lift_to_full(self, keep: Sequence[Sequence[int]]) -> "Choice":
        """Return this choice of a restricted problem as one of the whole problem.

        Parameters
        ----------
        keep
            What `PlacementProblem.with_options` was given: vertex -> numbers of its options in the whole
            problem.
        """
        return Choice(tuple(kept[o] for kept, o in zip(keep, self.options, strict=True)), self.wires)

    def wire(self, flow: int) -> int:
        """Return the number of the form in which a float tensor crosses links."""
        return self.wires[flow] if self.wires else 0


@dataclass(frozen=True, slots=True)
class PlacementProblem:
    """Everything the solver sees.

    Parameters
    ----------
    flows
        One per tensor; each names its vertices by index.
    limits
        All of them hold; several may be on one quantity.
    objective
        The sum that is minimised; empty if any plan within the limits will do.
    together, apart
        Groups of vertices on one physical device; pairs of vertices on different ones.

    Raises
    ------
    ProblemError
        If a cost or limit is negative, not finite or above 1e15, a tensor inherits a scale that its producer
        does not have, a makespan is asked for where none is defined, or a unit or a tensor is of two models.
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

    @property
    def models(self) -> range:
        """The indices of its models."""
        return range(1 + max((device.model for device in self.devices), default=0))

    @property
    def has_makespan(self) -> bool:
        """Whether a makespan is defined: units that run at any time are in no stage whose start counts."""
        return all(device.contiguous or device.start_s == 0 for device in self.devices)

    def flow_model(self, flow: Flow) -> int:
        """Return the model of which a tensor is a part."""
        return self.vertices[flow.producer].model

    def physical_device(self, device: int) -> int:
        """Return the device of which this is a visit, or itself."""
        first_visit = self.devices[device].visit_of
        return device if first_visit is None else first_visit

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

    def forces_kernel(self, vertex: int, option: Option, tensor_format: int) -> bool:
        """Return whether the runtime replaces an option by a kernel of the format that all its tensors have.

        An option that asks for a finer format runs in the coarser one. One in float does so where the unit
        has nothing that keeps it in float (`Vertex.kernel_forced`).
        """
        if (
            tensor_format == FLOAT
            or option.format == tensor_format
            or not self.formats[tensor_format].has_integer_kernel
        ):
            return False
        return self.vertices[vertex].kernel_forced if option.format == FLOAT else True

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """All that a limit or the objective speaks of, each once."""
        mentioned = [limit.quantity for limit in self.limits] + [term.quantity for term in self.objective]
        return tuple(dict.fromkeys(mentioned))

    def with_limit(self, quantity: Quantity, at_most: float | None) -> "PlacementProblem":
        """Return the problem with another limit on a quantity; None lifts it."""
        others = tuple(limit for limit in self.limits if limit.quantity != quantity)
        replacement = () if at_most is None else (Limit(quantity, at_most),)
        return replace(self, limits=(*others, *replacement))

    def tightest_limit(self, metric: CostMetric, of: int | None = None, model: int | None = None) -> float:
        """Return the tightest limit on a quantity; infinite if there is none."""
        quantity = Quantity(metric, of, model)
        return min((x.at_most for x in self.limits if x.quantity == quantity), default=inf)

    def __post_init__(self) -> None:
        """Check every number once, so that nothing below has to."""
        for device in self.devices:
            numbers_of_device = (device.start_s, device.active_w, device.idle_w, device.price_per_s)
            _require_costs(f"device {device.name!r}", numbers_of_device)
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
        uses_makespan = any(quantity.metric is CostMetric.MAKESPAN for quantity in self.quantities)
        if uses_makespan and not self.has_makespan:
            raise ProblemError(
                "makespan: a device that is returned to at will has no stage whose start counts"
            )
        self._check_models()

    def _check_models(self) -> None:
        """Refuse a unit or a tensor of two models, and a quantity of a model that is none."""
        for vertex in self.vertices:
            if any(self.devices[option.device].model != vertex.model for option in vertex.options):
                raise ProblemError(f"unit {vertex.name!r}: has an option on a device of another model")
        for flow in self.flows:
            if any(self.vertices[v].model != self.flow_model(flow) for v in flow.consumers):
                raise ProblemError(f"tensor {flow.name!r}: is of two models")
        for quantity in self.quantities:
            if quantity.model is not None and not quantity.is_of_models:
                raise ProblemError(f"{quantity.metric}: is of all models, not of one")
            if quantity.model is not None and quantity.model not in self.models:
                raise ProblemError(f"{quantity.metric}: there is no model {quantity.model}")


def _numbers(flow: Flow) -> Iterator[float]:
    """Yield every cost of a tensor."""
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
