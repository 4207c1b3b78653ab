"""Plans that fill one device after the other, as far as memory goes, along an order of the units."""

from collections.abc import Iterator, Sequence

import networkx as nx

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.unit_dag import dependency_graph
from planner.solver.heuristics.segment_boundaries import mean_seconds


def filled_devices(problem: PlacementProblem) -> Iterator[Choice]:
    """Yield plans whose devices are filled one after the other, the fastest first, for each precision.

    What fits nowhere runs on a device that is returned to at will, and without one where it fits best. Limits
    other than those on memory are not looked at.
    """
    blocks = _blocks(problem)
    devices = [d for d, device in enumerate(problem.devices) if device.visit_of is None]
    rows = [d for d in devices if problem.devices[d].contiguous]
    rest = [d for d in devices if not problem.devices[d].contiguous]
    rows.sort(key=lambda d: mean_seconds(problem, d))
    precisions = dict.fromkeys(o.precision for v in problem.vertices if not v.is_terminal for o in v.options)
    for precision in precisions:
        for order in (blocks, blocks[::-1]):
            filled = _filled(problem, order, rows, rest, precision)
            if filled is not None:
                yield filled


def _blocks(problem: PlacementProblem) -> list[list[int]]:
    """Return the units in blocks that one device has to run, branch after branch."""
    graph = dependency_graph(problem)
    for group in problem.together:
        inside = [v for v in group if v in graph]
        nx.add_path(graph, inside)
        nx.add_path(graph, inside[::-1])
    blocks = nx.condensation(graph)
    waiting = dict(blocks.in_degree())
    free = [block for block, count in waiting.items() if count == 0]
    ordered = []
    while free:
        block = free.pop()
        ordered.append(sorted(blocks.nodes[block]["members"]))
        for after in blocks.successors(block):
            waiting[after] -= 1
            if waiting[after] == 0:
                free.append(after)
    return ordered


def _filled(
    problem: PlacementProblem,
    blocks: Sequence[Sequence[int]],
    rows: Sequence[int],
    rest: Sequence[int],
    precision: str,
) -> Choice | None:
    """Return a plan along an order of blocks; None if a block runs on none of the devices that are left."""
    options = [0] * len(problem.vertices)
    room = [problem.tightest_limit(CostMetric.MEMORY, d) for d in range(len(problem.devices))]
    left, is_begun = list(rows), False
    for block in blocks:
        taken = None
        while left:
            taken = _placed(problem, block, left[0], precision, room)
            if taken is not None or not is_begun:
                break  # what is too large for an empty device leaves it to the next block
            left.pop(0)
            is_begun = False
        is_begun |= taken is not None
        for device in rest if taken is None else ():
            taken = taken or _placed(problem, block, device, precision, room)
        if taken is None:
            return None
        for v, option in taken.items():
            options[v] = option
    return Choice(tuple(options))


def _placed(
    problem: PlacementProblem, block: Sequence[int], device: int, precision: str, room: list[float]
) -> dict[int, int] | None:
    """Return unit -> its option on a device, and take their memory; None where they do not run or fit."""
    taken = {}
    for v in block:
        here = [o for o, option in enumerate(problem.vertices[v].options) if option.device == device]
        if not here:
            return None
        # A unit without the precision runs in another one.
        taken[v] = min(here, key=lambda o: problem.vertices[v].options[o].precision != precision)
    chosen = [problem.vertices[v].options[o] for v, o in taken.items()]
    needed = sum(option.weight_bytes for option in chosen)
    if needed + max(option.activation_bytes for option in chosen) > room[device]:
        return None
    room[device] -= needed
    return taken
