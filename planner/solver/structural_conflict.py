"""What rules out every placement whatever the limits: no links, groups and precisions that contradict."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import product

import networkx as nx

from planner.formatting import names_text
from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import FLOAT, Flow

_MOST_NAMES = 5  # in a list of a message


def structural_causes(problem: PlacementProblem) -> tuple[str, ...]:
    """Return what rules out every placement by itself, in words: each does alone.

    None are found where only several parts together rule them out.
    """
    return (*_missing_ways(problem), *_group_causes(problem), *_kernel_causes(problem))


def _missing_ways(problem: PlacementProblem) -> Iterator[str]:
    """Yield tensors whose producer and consumer have no two devices between which links lead."""
    for flow in problem.flows:
        for consumer in flow.consumers:
            pairs = product(_devices(problem, flow.producer), _devices(problem, consumer))
            if not any(_leads(problem, flow, source, target) for source, target in pairs):
                producer, reader = problem.vertices[flow.producer].name, problem.vertices[consumer].name
                sources, targets = (_names(problem, vertex) for vertex in (flow.producer, consumer))
                yield (
                    f"tensor {flow.name!r} cannot get from {producer!r} (on {sources}) to {reader!r} (on "
                    f"{targets}): no link leads there, or the tensor is private"
                )


def _leads(problem: PlacementProblem, flow: Flow, source: int, target: int) -> bool:
    return problem.physical_device(source) == problem.physical_device(target) or any(
        form.routes[source][target] is not None for form in flow.forms
    )


def _group_causes(problem: PlacementProblem) -> Iterator[str]:
    """Yield groups on one device that none can hold, and pairs that are apart and cannot be."""
    joined: nx.Graph = nx.Graph()
    joined.add_nodes_from(range(len(problem.vertices)))
    for group in problem.together:
        nx.add_path(joined, group)
    for group in nx.connected_components(joined):
        common = set.intersection(*(_physical(problem, vertex) for vertex in group))
        if not common:
            yield f"units {_unit_names(problem, group)} are to be together, but no device can run all of them"
        for first, second in problem.apart:
            if {first, second} <= group:
                yield f"units {_unit_names(problem, (first, second))} are to be together and apart"
    for first, second in problem.apart:
        devices = _physical(problem, first) | _physical(problem, second)
        if len(devices) == 1:
            only = problem.devices[devices.pop()].name
            units = _unit_names(problem, (first, second))
            yield f"units {units} are to be apart, but both can run on {only} only"


def _kernel_causes(problem: PlacementProblem) -> Iterator[str]:
    """Yield units that may have no precision but such as the runtime takes integer kernels for instead.

    It does where all tensors around a unit are integers of one format (formulation.md, family absorb).
    """
    flows_around: dict[int, list[Flow]] = defaultdict(list)
    for flow in problem.flows:
        for vertex in flow.quantizers:
            flows_around[vertex].append(flow)
    for vertex, flows in flows_around.items():
        asking = [_asking(problem, flow, vertex) for flow in flows]
        formats = {tensor_format for tensor_format, _ in asking}
        if len(formats) != 1:
            continue
        (tensor_format,) = formats
        options = problem.vertices[vertex].options
        if all(problem.forces_kernel(vertex, option, tensor_format) for option in options):
            own = names_text(sorted({option.precision for option in options}), _MOST_NAMES)
            others = {neighbour for _, neighbours in asking for neighbour in neighbours}
            yield (
                f"unit {problem.vertices[vertex].name!r} is to be in {own}, but all its tensors are "
                f"{problem.formats[tensor_format].name} for {_unit_names(problem, others)}: the runtime "
                "would compute it in these integers"
            )


def _asking(problem: PlacementProblem, flow: Flow, vertex: int) -> tuple[int, list[int]]:
    """Return the one format that others always ask of a tensor, and these; `FLOAT` if there is none."""
    asking = {
        other: {option.format for option in problem.vertices[other].options}
        for other in flow.quantizers
        if other != vertex
    }
    for tensor_format, each in enumerate(problem.formats):
        others = [other for other, formats in asking.items() if formats == {tensor_format}]
        # Whoever asks for this one gets it or a coarser one, of which there is none.
        if others and each.accepts == (tensor_format,):
            return tensor_format, others
    return FLOAT, []


def _devices(problem: PlacementProblem, vertex: int) -> set[int]:
    return {option.device for option in problem.vertices[vertex].options}


def _physical(problem: PlacementProblem, vertex: int) -> set[int]:
    return {problem.physical_device(device) for device in _devices(problem, vertex)}


def _names(problem: PlacementProblem, vertex: int) -> str:
    return names_text(
        [problem.devices[device].name for device in sorted(_physical(problem, vertex))], _MOST_NAMES
    )


def _unit_names(problem: PlacementProblem, vertices: Collection[int]) -> str:
    return names_text([repr(problem.vertices[vertex].name) for vertex in sorted(vertices)], _MOST_NAMES)
