"""Layers of a vision transformer on four small and four large hosts, as in the published pipelines."""

import random

from planner.problem.devices import Device, Link
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.tensors import Flow, WireForm
from planner.problem.units import Option, Vertex

_HOSTS = 4  # of either kind
_SECONDS = ((0.345, 0.272), (0.0815, 0.0648), (0.3515, 0.282), (0.3, 0.239))  # on a small, on a large host
_WEIGHTS = (25.6e6, 19.9e6, 27.9e6, 27.2e6)
_BYTES = (9_682_944, 4_841_472, 24_207_360, 4_841_472)
_MEMORY = (2 * 2**30, 8 * 2**30)
_BYTES_PER_MBIT = 2**20 / 8


def pipeline_problem(layers: int, mbit_per_s: float, seed: int) -> PlacementProblem:
    """Return a chain of layers, of minimal period; all hosts are linked with all others, at one speed."""
    rng = random.Random(seed)
    hosts = range(2 * _HOSTS)
    links = tuple(Link(f"h{a}-h{b}", a, b) for a in hosts for b in hosts if a != b)
    numbers = {(link.source, link.target): number for number, link in enumerate(links)}
    routes = tuple(tuple((numbers[a, b],) if a != b else () for b in hosts) for a in hosts)
    vertices = []
    for layer in range(layers):
        kind, slower = layer % 4, rng.uniform(0.98, 1.02)
        weight = _WEIGHTS[kind] * rng.uniform(0.98, 1.02)
        options = (
            Option(h, seconds=_SECONDS[kind][h // _HOSTS] * slower, weight_bytes=weight) for h in hosts
        )
        vertices.append(Vertex(f"l{layer + 1}", tuple(options)))
    flows = []
    for layer in range(layers - 1):
        size = _BYTES[layer % 4]
        seconds = size / (mbit_per_s * _BYTES_PER_MBIT)
        form = WireForm("float", 0, size, (seconds,) * len(links), routes)
        flows.append(Flow(f"t{layer + 1}", layer, (layer + 1,), (form,)))
    return PlacementProblem(
        tuple(Device(f"{('small', 'large')[h // _HOSTS]}{h % _HOSTS}") for h in hosts),
        tuple(vertices),
        tuple(flows),
        links,
        limits=tuple(Limit(Quantity(CostMetric.MEMORY, h), _MEMORY[h // _HOSTS]) for h in hosts),
        objective=(ObjectiveTerm(Quantity(CostMetric.PERIOD)),),
    )
