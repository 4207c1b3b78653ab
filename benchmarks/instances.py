"""Random placement problems that look like networks: blocks in a row, with branches, shortcuts and merges."""

import random
from collections.abc import Iterator
from dataclasses import replace

import networkx as nx

from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, Quantity
from planner.problem.tensors import FORMATS, Flow, Format, WireForm
from planner.problem.units import Option, Vertex

_SPEED = (1.0, 1.3, 4.0, 5.0, 16.0, 20.0)  # of devices, slowest first
_BANDWIDTH = (2.5e5, 2.5e6, 1e8)  # bytes per second between neighbouring tiers
_MESSAGE_S = (2e-3, 1e-3, 3e-4)
_SHARES = (0.1, 0.12, 0.25, 0.3)  # of all fp32 weights that fit into a sensor or gateway
_WORK_S = 2.0  # of everything in fp32 on the slowest device
_FP16_GAIN = (0.9, 0.9, 1.3, 1.5, 1.9, 1.7)  # of devices over fp32, slowest first
_INT16_GAIN = (1.5, 1.4, 1.2, 1.3, 1.0, 1.1)
_FP16_NOISE, _INT16_NOISE = 1e-3, 1e-2  # times that of int8
_WATTS = ((2.0, 0.5), (2.5, 0.5), (8.0, 2.0), (10.0, 2.0), (60.0, 10.0), (80.0, 12.0))  # active, idle


def random_problem(units: int, devices: int, seed: int, bandwidth: float = 1.0) -> PlacementProblem:
    """Return a problem of two precisions with noise and memory limits that bind.

    Parameters
    ----------
    devices
        At most six, in tiers of two: sensors, gateways, servers; each is linked to the next tier and back.
    bandwidth
        Times that of the links.
    """
    rng = random.Random(seed)
    readers = dict(_blocks(units, rng))
    speeds = [_SPEED[d * len(_SPEED) // devices] * rng.uniform(0.9, 1.1) for d in range(devices)]
    links = list(_links(devices))
    work = [rng.lognormvariate(-0.5, 1.0) * _WORK_S / units for _ in range(units)]
    size = [_tensor_bytes(u / units, rng) for u in range(units)]
    weight = [rng.lognormvariate(0.0, 1.2) * 4e4 * (0.2 + u / units) for u in range(units)]
    noise = [rng.lognormvariate(0.0, 1.5) * 1e-6 for _ in range(2 * units)]
    vertices = []
    for u in range(units):
        gain, options = rng.uniform(0.9, 3.5), []
        for d, speed in enumerate(speeds):
            seconds = work[u] / speed * rng.uniform(0.8, 1.25)
            held = 3 * size[u]
            options.append(Option(d, 0, seconds, 0.0, weight[u], held))
            options.append(Option(d, 1, seconds / gain, noise[u], weight[u] / 4, held / 4, "int8"))
        vertices.append(Vertex(f"u{u}", tuple(options)))
    source, sink = units, units + 1
    vertices += [Vertex(name, (Option(0),), is_terminal=True) for name in ("source", "sink")]
    world = devices, links, speeds, bandwidth
    flows = [_flow("input", source, (0,), 150_528, 0.0, (0,), world)]
    for u in range(units):
        consumers = tuple(readers.get(u, ())) or (sink,)
        touching = tuple(v for v in (u, *consumers) if v < units)
        flows.append(_flow(f"t{u}", u, consumers, size[u], noise[units + u], touching, world))
    budget = [Limit(Quantity(CostMetric.NOISE), 0.3 * sum(noise))]
    budget += [
        Limit(Quantity(CostMetric.MEMORY, d), share * sum(weight) + 3 * max(size))
        for d, share in enumerate(_SHARES[: devices * 2 // 3])
    ]
    return PlacementProblem(
        tuple(Device(f"d{d}", start_s=5e-5) for d in range(devices)),
        tuple(vertices),
        tuple(flows),
        tuple(Link(f"{a}-{b}", a, b) for a, b, _ in links),
        FORMATS,
        tuple(budget),
    )


def with_four_precisions(problem: PlacementProblem, seed: int) -> PlacementProblem:
    """Return a random problem with fp16 and int16, too.

    fp16 is float at another speed; int16 asks for tensors in uint16, and puts up with uint8.
    """
    rng = random.Random(seed)
    devices = len(problem.devices)
    links = list(_links(devices))
    return replace(
        problem,
        formats=(*FORMATS, Format("uint16", (1, 2), has_integer_kernel=False)),
        vertices=tuple(
            vertex
            if vertex.is_terminal
            else replace(vertex, options=tuple(_four_options(vertex, devices, rng)))
            for vertex in problem.vertices
        ),
        flows=tuple(
            replace(
                flow,
                forms=(
                    *flow.forms,
                    _form("uint16", 2, int(flow.forms[0].size_bytes) // 2, devices, links, 1.0),
                ),
                noise_power=(*flow.noise_power, _INT16_NOISE * flow.noise_power[1]),
                quantize_s=(*flow.quantize_s, flow.quantize_s[1]),
                dequantize_s=(*flow.dequantize_s, flow.dequantize_s[1]),
                leave_s=(*flow.leave_s, flow.leave_s[1]),
                enter_s=(*flow.enter_s, flow.enter_s[1]),
            )
            for flow in problem.flows
        ),
    )


def _four_options(vertex: Vertex, devices: int, rng: random.Random) -> Iterator[Option]:
    for full, int8 in zip(vertex.options[::2], vertex.options[1::2], strict=True):
        row = full.device * len(_FP16_GAIN) // devices
        held = {"weight_bytes": full.weight_bytes / 2, "activation_bytes": full.activation_bytes / 2}
        fp16_s = full.seconds / (_FP16_GAIN[row] * rng.uniform(0.9, 1.1))
        int16_s = full.seconds / (_INT16_GAIN[row] * rng.uniform(0.9, 1.1))
        yield full
        yield int8
        yield Option(full.device, 0, fp16_s, _FP16_NOISE * int8.noise_power, precision="fp16", **held)
        yield Option(full.device, 2, int16_s, _INT16_NOISE * int8.noise_power, precision="int16", **held)


def with_watts(problem: PlacementProblem) -> PlacementProblem:
    """Return a random problem whose devices draw power."""
    count = len(problem.devices)
    watts = [_WATTS[d * len(_WATTS) // count] for d in range(count)]
    return replace(
        problem,
        devices=tuple(
            replace(device, active_w=active, idle_w=idle)
            for device, (active, idle) in zip(problem.devices, watts, strict=True)
        ),
    )


def _blocks(units: int, rng: random.Random) -> Iterator[tuple[int, list[int]]]:
    """Yield (unit, its readers): chains, residual blocks, and blocks of two to four branches."""
    readers: dict[int, list[int]] = {u: [] for u in range(units)}
    last, free = 0, 1
    while free < units:
        kind = rng.choice(("chain", "residual", "residual", "branches"))
        if kind == "chain" or units - free < 12:
            readers[last].append(free)
            last, free = free, free + 1
            continue
        branches = (
            [rng.randint(1, 3)]
            if kind == "residual"
            else [rng.randint(1, 3) for _ in range(rng.randint(2, 4))]
        )
        ends = [last] if kind == "residual" else []
        for length in branches:
            end = last
            for _ in range(length):
                readers[end].append(free)
                end, free = free, free + 1
            ends.append(end)
        for end in ends:
            readers[end].append(free)
        last, free = free, free + 1
    yield from readers.items()


def _tensor_bytes(depth: float, rng: random.Random) -> int:
    """Return bytes that shrink with depth, unevenly."""
    return int(rng.uniform(0.4, 1.6) * 1.6e6 * 2 ** (-6 * depth)) + 1000


def _links(devices: int) -> Iterator[tuple[int, int, int]]:
    tier = [d * 3 // devices if devices > 2 else d for d in range(devices)]
    for a in range(devices):
        for b in range(devices):
            if a != b and abs(tier[a] - tier[b]) <= 1:
                yield a, b, 2 if tier[a] == tier[b] else min(tier[a], tier[b])


def _flow(name, producer, consumers, size, noise, quantizers, world) -> Flow:  # type: ignore[no-untyped-def]  # noqa: PLR0913
    devices, links, speeds, bandwidth = world
    forms = tuple(
        _form(label, kind, bytes_, devices, links, bandwidth)
        for label, kind, bytes_ in (("float", 0, size), ("uint8", 1, size // 4))
    )
    zero = (0.0,) * devices
    switch = tuple(1e-6 + size / 4e9 / speed for speed in speeds)
    seams = (tuple(3e-6 + size / 8e9 / speed for speed in speeds),) * 2
    return Flow(
        name, producer, consumers, forms, quantizers, (0.0, noise), (zero, switch), (zero, switch),
        leave_s=seams, enter_s=seams,
    )  # fmt: skip


def _form(
    label: str, kind: int, size: int, devices: int, links: list[tuple[int, int, int]], bandwidth: float
) -> WireForm:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(devices))
    seconds = [_MESSAGE_S[tier] + size / (bandwidth * _BANDWIDTH[tier]) for _, _, tier in links]
    for at, (a, b, _) in enumerate(links):
        graph.add_edge(a, b, weight=seconds[at], at=at)
    routes = []
    for a in range(devices):
        paths = nx.single_source_dijkstra_path(graph, a)
        row = []
        for b in range(devices):
            path = paths.get(b)
            row.append(None if path is None else tuple(graph.edges[e]["at"] for e in nx.utils.pairwise(path)))
        routes.append(tuple(row))
    return WireForm(label, kind, size, tuple(seconds), tuple(routes))
