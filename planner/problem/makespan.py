"""The makespan of a request: stages run in an order, each once its tensors have come, and may overlap."""

from collections.abc import Iterable, Mapping, Sequence
from math import inf

import networkx as nx

from planner.problem.placement_problem import PlacementProblem
from planner.problem.units import Option

# (stage, stage, model) -> seconds of the model's tensors from one to the other; None: the source or the sink.
TransferSeconds = Mapping[tuple[int | None, int | None, int], float]


def makespans_s(
    problem: PlacementProblem,
    busy_s: Sequence[float],
    transfer_s: TransferSeconds,
    order: Sequence[int] | None,
) -> list[float]:
    """Return when each model's last answer is there, if each stage starts once its tensors have come.

    Parameters
    ----------
    busy_s
        Seconds that each device computes.
    order
        Devices in the order in which their stages run.
        Where it is None or lacks one, infinity.
    """
    models = problem.models
    if order is None or len(order) < len(busy_s):
        return [inf for _ in models]
    ends: dict[int | None, float] = {None: 0.0}
    for device in order:
        arrivals = [ends[start] + seconds for (start, end, _), seconds in transfer_s.items() if end == device]
        ends[device] = max(arrivals, default=0.0) + busy_s[device]
    due = [
        (model, ends[start] + seconds) for (start, end, model), seconds in transfer_s.items() if end is None
    ]
    due += [(problem.devices[d].model, ends[d]) for d in order]
    return [max((at for of, at in due if of == model), default=0.0) for model in models]


def stage_order(
    problem: PlacementProblem, chosen: Sequence[Option], decided: Iterable[tuple[int, int]] = ()
) -> tuple[int, ...] | None:
    """Return contiguous devices in running order, or None if a path leaves one's units and comes back.

    Parameters
    ----------
    decided
        Pairs of contiguous devices of which the first has to run first.
    """
    after: nx.DiGraph = nx.DiGraph()
    contiguous = [d for d, device in enumerate(problem.devices) if device.contiguous]
    after.add_nodes_from(contiguous)
    count = len(problem.devices)

    def group(vertex: int) -> int:
        # Units of other devices stand for themselves: those may run in any number of stages.
        device = chosen[vertex].device
        return device if problem.devices[device].contiguous else count + vertex

    for flow in problem.flows:
        for consumer in flow.consumers:
            if not problem.vertices[flow.producer].is_terminal and not problem.vertices[consumer].is_terminal:
                after.add_edge(group(flow.producer), group(consumer))
    after.remove_edges_from(list(nx.selfloop_edges(after)))
    after.add_edges_from(decided)
    # Visits of one device run in the order of their numbers.
    after.add_edges_from((a, b) for b in contiguous if (a := _earlier_visit(problem, b)) is not None)
    if not nx.is_directed_acyclic_graph(after):
        return None
    return tuple(d for d in nx.lexicographical_topological_sort(after) if d < count)


def _earlier_visit(problem: PlacementProblem, device: int) -> int | None:
    physical = problem.physical_device(device)
    visits = [d for d in range(device) if problem.physical_device(d) == physical]
    return visits[-1] if visits and physical != device else None
