"""Units in which a problem's numbers are of order one, whatever units its costs came in.

A solver of integer programs keeps constraints and bounds to absolute tolerances of about 1e-9, while
PROBLEM.json may hold any unit of cost: seconds of 1e-9 drown in these tolerances, and with units of 800 s
HiGHS was seen to prove wrong optima. So a problem is solved in units of its own: a request on one device
takes about one unit of time, and so on. Units are powers of two, so that no number is rounded.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf, log2

from planner.problem.cost_evaluation import evaluate
from planner.problem.devices import Device
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex

_MOST_SPREAD = 1e12  # of a number beside the unit: sums keep 15 digits
_NO_LIMIT = 1e15  # what a problem's numbers may be at most; no sum of costs in these units comes near
Table = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Units:
    """What one of each is in the problem's own units.

    Parameters
    ----------
    held_bytes
        Of weights and activations on devices.
    sent_bytes
        Of tensors on links.
    """

    seconds: float
    held_bytes: float
    sent_bytes: float
    noise_power: float
    joules: float
    money: float

    def of(self, metric: CostMetric) -> float:
        """Return the unit of a cost metric."""
        return {
            CostMetric.ENERGY: self.joules,
            CostMetric.MEMORY: self.held_bytes,
            CostMetric.TRAFFIC: self.sent_bytes,
            CostMetric.NOISE: self.noise_power,
            CostMetric.MONEY: self.money,
        }.get(metric, self.seconds)


@dataclass(frozen=True, slots=True)
class ScaledProblem:
    """A problem in units of its own; choices are the same, `objective` is the unit of what is minimised."""

    problem: PlacementProblem
    objective: float


def scale_units(problem: PlacementProblem) -> ScaledProblem:
    """Return the problem in units in which its numbers are of order one."""
    units = _units(problem)
    weights = [term.weight * units.of(term.quantity.metric) for term in problem.objective]
    objective = _greatest(weights)
    scaled = in_units(problem, units)
    terms = tuple(replace(term, weight=term.weight / objective) for term in scaled.objective)
    return ScaledProblem(replace(scaled, objective=terms), objective)


def in_units(problem: PlacementProblem, units: Units) -> PlacementProblem:
    """Return the problem in other units; the objective of each choice stays the same number."""
    return replace(
        problem,
        devices=tuple(_device(device, units) for device in problem.devices),
        vertices=tuple(
            replace(vertex, options=tuple(_option(option, units) for option in vertex.options))
            for vertex in problem.vertices
        ),
        flows=tuple(_flow(flow, units) for flow in problem.flows),
        links=tuple(
            replace(link, price_per_byte=link.price_per_byte * (units.sent_bytes / units.money))
            for link in problem.links
        ),
        limits=tuple(
            replace(limit, at_most=min(limit.at_most / units.of(limit.quantity.metric), _NO_LIMIT))
            for limit in problem.limits
        ),
        objective=tuple(
            replace(term, weight=term.weight * units.of(term.quantity.metric)) for term in problem.objective
        ),
    )


def _units(problem: PlacementProblem) -> Units:
    options = [option for vertex in problem.vertices for option in vertex.options]
    forms = [form for flow in problem.flows for form in flow.forms]
    longest = max(_all_seconds(problem), default=0.0) or 1.0
    seconds = _power_of_two(max(_request_s(problem) or longest, longest / _MOST_SPREAD))
    sent = _greatest(form.size_bytes for form in forms)
    powers = [device.active_w * seconds for device in problem.devices]
    powers += [device.idle_w * seconds for device in problem.devices]
    joules = [
        *powers,
        *(o.joules for o in options),
        *(j for form in forms for pair in form.link_j for j in pair),
    ]
    prices = [device.price_per_s * seconds for device in problem.devices]
    prices += [link.price_per_byte * sent for link in problem.links]
    noise = [*(o.noise_power for o in options), *(p for flow in problem.flows for p in flow.noise_power)]
    return Units(
        seconds=seconds,
        held_bytes=_greatest(size for o in options for size in (o.weight_bytes, o.activation_bytes)),
        sent_bytes=sent,
        noise_power=_greatest(noise),
        joules=_greatest(joules),
        money=_greatest(prices),
    )


def _greatest(values: Iterable[float]) -> float:
    return _power_of_two(max(values, default=0.0) or 1.0)


def _power_of_two(value: float) -> float:
    """Return the power of two near a number: dividing by it rounds nothing."""
    return 2.0 ** round(log2(value))


def _request_s(problem: PlacementProblem) -> float:
    """Return the least latency of a request on one device; 0 if there is none that takes time."""
    if not all(vertex.options for vertex in problem.vertices):
        return 0.0
    latencies = []
    for device in range(len(problem.devices)):
        options = tuple(_fastest(problem, vertex, device) for vertex in problem.vertices)
        latency = evaluate(problem, Choice(options)).latency_s
        latencies += [latency] if 0 < latency < inf else []
    return min(latencies, default=0.0)


def _fastest(problem: PlacementProblem, vertex: Vertex, device: int) -> int:
    """Return the fastest option on a device, or of all where there is none."""
    order = [
        (problem.physical_device(option.device) != device, option.seconds, o)
        for o, option in enumerate(vertex.options)
    ]
    return min(order)[2]


def _all_seconds(problem: PlacementProblem) -> Iterable[float]:
    yield from (device.start_s for device in problem.devices)
    yield from (option.seconds for vertex in problem.vertices for option in vertex.options)
    for flow in problem.flows:
        for table in (flow.quantize_s, flow.dequantize_s, flow.leave_s, flow.enter_s):
            yield from (value for row in table for value in row)
        for form in flow.forms:
            yield from (*form.link_s, *form.encode_s, *form.decode_s)


def _device(device: Device, units: Units) -> Device:
    watt = units.seconds / units.joules
    return replace(
        device,
        start_s=device.start_s / units.seconds,
        active_w=device.active_w * watt,
        idle_w=device.idle_w * watt,
        price_per_s=device.price_per_s * (units.seconds / units.money),
    )


def _option(option: Option, units: Units) -> Option:
    return replace(
        option,
        seconds=option.seconds / units.seconds,
        noise_power=option.noise_power / units.noise_power,
        weight_bytes=option.weight_bytes / units.held_bytes,
        activation_bytes=option.activation_bytes / units.held_bytes,
        joules=option.joules / units.joules,
    )


def _flow(flow: Flow, units: Units) -> Flow:
    def table(rows: Table) -> Table:
        return tuple(tuple(value / units.seconds for value in row) for row in rows)

    return replace(
        flow,
        forms=tuple(_form(form, units) for form in flow.forms),
        noise_power=tuple(power / units.noise_power for power in flow.noise_power),
        quantize_s=table(flow.quantize_s),
        dequantize_s=table(flow.dequantize_s),
        leave_s=table(flow.leave_s),
        enter_s=table(flow.enter_s),
    )


def _form(form: WireForm, units: Units) -> WireForm:
    def row(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(value / units.seconds for value in values)

    return replace(
        form,
        size_bytes=form.size_bytes / units.sent_bytes,
        link_s=row(form.link_s),
        link_j=tuple((a / units.joules, b / units.joules) for a, b in form.link_j),
        encode_s=row(form.encode_s),
        decode_s=row(form.decode_s),
        noise_power=form.noise_power / units.noise_power,
    )
