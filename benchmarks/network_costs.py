"""Seeded costs for a graph: devices in a full mesh, two precisions, limits on noise and memory that bind.

Seconds, weights and noise of units are lognormal; tensors shrink with depth.
"""

import random
from collections.abc import Iterator, Sequence

from network_shapes import Readers, Shape

from planner.problem.cost_evaluation import evaluate
from planner.problem.devices import Device, Link
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem.tensors import FORMATS, Flow, WireForm
from planner.problem.units import Option, Vertex

TIGHT = {3: (0.12, 0.15, 0.2)}  # devices -> shares of the fp32 weights that fit into each
LOOSE = {3: (0.1, 0.25, 0.45), 6: (0.05, 0.08, 0.12, 0.15, 0.2, 0.25)}

# Slowest first. Columns: speed, watts while computing and idle, joules per second beyond them.
_DEVICES = {
    3: ((1.0, 2.0, 0.5, 0.5), (4.0, 8.0, 2.0, 3.5), (15.0, 60.0, 10.0, 6.5)),
    6: (
        (1.0, 2.0, 0.5, 0.5),
        (1.3, 2.5, 0.5, 0.5),
        (4.0, 8.0, 2.0, 3.5),
        (5.0, 10.0, 2.0, 3.5),
        (15.0, 60.0, 10.0, 6.5),
        (19.0, 80.0, 12.0, 6.5),
    ),
}
_SLOW, _FAST = 5e5, 5e6  # bytes per second; slow to and from the first third of the devices
_MESSAGE_S = 5e-4
_WORK_S = 2.0  # of everything in fp32 on the slowest device
_NOISE_SHARE = 0.3  # of the noise of everything in int8
_INPUT_BYTES = 150_528
_ROOM = 1.05  # times the noise of a plan that is known to fit
_OUT_OF_REACH = 0.98  # times a noise that no plan which fits can be below


def network_problem(
    shape: Shape, units: int, devices: int, shares: Sequence[float], seed: int
) -> PlacementProblem:
    """Return a problem of minimal latency that has a plan.

    Parameters
    ----------
    devices
        3 or 6.
    shares
        Device -> share of all fp32 weights that fits into it.
    """
    problem = _within_memory(shape, units, devices, shares, seed)
    everything = sum(max(option.noise_power for option in vertex.options) for vertex in problem.vertices)
    everything += sum(max(flow.noise_power) for flow in problem.flows)
    fitting = evaluate(problem, plan_that_fits(problem)).noise_power
    return problem.with_limit(Quantity(CostMetric.NOISE), max(_NOISE_SHARE * everything, _ROOM * fitting))


def infeasible_problem(
    shape: Shape, units: int, devices: int, shares: Sequence[float], seed: int
) -> PlacementProblem:
    """Return a problem that has no plan: what fits into the memory is too noisy."""
    problem = _within_memory(shape, units, devices, shares, seed)
    return problem.with_limit(Quantity(CostMetric.NOISE), _OUT_OF_REACH * least_noise(problem))


def least_noise(problem: PlacementProblem) -> float:
    """Return noise that no plan within the memory is below.

    A unit in int8 has its own noise and that of the tensor that it writes; both memory and noise are relaxed
    to a knapsack whose last item is a fraction.
    """
    to_save = sum(w for w, _, _ in _units(problem)) - sum(limit.at_most for limit in problem.limits)
    noise = 0.0
    for weight, quantized_weight, unit_noise in sorted(_units(problem), key=_noise_per_byte):
        saved = min(max(to_save, 0.0), weight - quantized_weight)
        noise += unit_noise * saved / (weight - quantized_weight)
        to_save -= saved
    return noise


def plan_that_fits(problem: PlacementProblem) -> Choice:
    """Return a plan within the memory: devices one after another, units that save most per noise in int8.

    Raises
    ------
    ValueError
        If even with everything in int8 no such plan fits.
    """
    rows = list(_units(problem))
    ranked = sorted(range(len(rows)), key=lambda u: _noise_per_byte(rows[u]))
    for count in range(0, len(rows) + 1, max(1, len(rows) // 50)):
        quantized = set(ranked[:count])
        weights = [row[u in quantized] for u, row in enumerate(rows)]
        if (homes := _filled(weights, [limit.at_most for limit in problem.limits])) is not None:
            chosen = [2 * home + (u in quantized) for u, home in enumerate(homes)]
            return Choice((*chosen, 0, 0))
    raise ValueError("no plan fits: raise the shares of memory")


def _units(problem: PlacementProblem) -> Iterator[tuple[float, float, float]]:
    """Yield (bytes in fp32, bytes in int8, noise of int8 with that of the tensor that it writes)."""
    written = {flow.producer: max(flow.noise_power) for flow in problem.flows}
    for u, vertex in enumerate(problem.vertices):
        if not vertex.is_terminal:
            float_option, quantized = vertex.options[:2]
            yield float_option.weight_bytes, quantized.weight_bytes, quantized.noise_power + written[u]


def _noise_per_byte(row: tuple[float, float, float]) -> float:
    weight, quantized_weight, noise = row
    return noise / (weight - quantized_weight)


def _filled(weights: Sequence[float], memory: Sequence[float]) -> list[int] | None:
    """Return unit -> device if each device takes the next units that it holds; None if some are left."""
    homes, device, used = [], 0, 0.0
    for weight in weights:
        while device < len(memory) and used + weight > memory[device]:
            device, used = device + 1, 0.0
        if device == len(memory):
            return None
        homes.append(device)
        used += weight
    return homes


def _within_memory(
    shape: Shape, units: int, devices: int, shares: Sequence[float], seed: int
) -> PlacementProblem:
    rng = random.Random(seed)
    readers, rows = shape(units, rng), _DEVICES[devices]
    vertices = [_unit(u, units, rows, rng) for u in range(units)]
    weights = sum(vertex.options[0].weight_bytes for vertex in vertices)
    vertices += [Vertex(name, (Option(0),), is_terminal=True) for name in ("src", "snk")]
    links = tuple(Link(f"d{a}-d{b}", a, b) for a in range(devices) for b in range(devices) if a != b)
    return PlacementProblem(
        tuple(Device(f"d{d}", active_w=active, idle_w=idle) for d, (_, active, idle, _) in enumerate(rows)),
        tuple(vertices),
        tuple(_flows(readers, devices, links, rng)),
        links,
        FORMATS,
        tuple(Limit(Quantity(CostMetric.MEMORY, d), share * weights) for d, share in enumerate(shares)),
    )


def _unit(u: int, units: int, rows: Sequence[tuple[float, ...]], rng: random.Random) -> Vertex:
    work, gain = rng.lognormvariate(-0.5, 1.0) * _WORK_S / units, rng.uniform(0.9, 3.5)
    weight = rng.lognormvariate(0.0, 1.2) * 4e4 * (0.2 + u / units)
    noise, options = rng.lognormvariate(0.0, 1.5) * 1e-6, []
    for d, (speed, _, _, joules_per_s) in enumerate(rows):
        seconds = work / speed * rng.uniform(0.8, 1.25)
        options.append(Option(d, 0, seconds, 0.0, weight, joules=joules_per_s * seconds))
        options.append(
            Option(
                d,
                1,
                seconds / gain,
                noise,
                weight / 4,
                precision="int8",
                joules=joules_per_s * seconds / gain,
            )
        )
    return Vertex(f"u{u}", tuple(options))


def _flows(readers: Readers, devices: int, links: Sequence[Link], rng: random.Random) -> Iterator[Flow]:
    units = len(readers)
    source, sink, free = units, units + 1, (0.0,) * devices
    yield Flow(
        "in", source, (0,), _forms(_INPUT_BYTES, devices, links), (0,), (0.0, 0.0), (free,) * 2, (free,) * 2
    )
    for u, reading in enumerate(readers):
        size = int(rng.uniform(0.4, 1.6) * 1.6e6 * 2 ** (-6 * u / units)) + 1000
        noise = rng.lognormvariate(0.0, 1.5) * 1e-6
        switch = (free, tuple(1e-6 + size / 4e9 / speed for speed, *_ in _DEVICES[devices]))
        yield Flow(
            f"t{u}",
            u,
            reading or (sink,),
            _forms(size, devices, links),
            (u, *reading),
            (0.0, noise),
            switch,
            switch,
        )


def _forms(size: int, devices: int, links: Sequence[Link]) -> tuple[WireForm, ...]:
    """Return the float and the uint8 form.

    The direct link is always the fastest route: a slow device has slow links only.
    """
    numbers = {(link.source, link.target): number for number, link in enumerate(links)}
    routes = tuple(tuple((numbers[a, b],) if a != b else () for b in range(devices)) for a in range(devices))
    return tuple(
        WireForm(
            name,
            number,
            bytes_,
            tuple(_MESSAGE_S + bytes_ / _bandwidth(link, devices) for link in links),
            routes,
        )
        for number, (name, bytes_) in enumerate((("float", size), ("uint8", size // 4)))
    )


def _bandwidth(link: Link, devices: int) -> float:
    return _SLOW if min(link.source, link.target) < devices // 3 else _FAST
