"""Units that are never worth separating are put together before the search; no optimum is lost."""

from collections import defaultdict
from dataclasses import replace
from math import inf

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.units import Option


def merge_costless_units(problem: PlacementProblem) -> PlacementProblem:
    """Return the problem with units that cost nothing themselves placed with their only reader.

    Such a unit reads nothing (a weight, say). On its reader's device it saves its transfer; it loads no
    device, and memory does not count where everything fits or it has no weight. No path leaves through it.
    So one of the best plans has it there.
    """
    ample = _devices_with_ample_memory(problem)
    reading: set[int] = set()
    outgoing = defaultdict(list)
    for flow in problem.flows:
        reading.update(flow.consumers)
        outgoing[flow.producer].append(flow)
    # Rules say where these are.
    constrained = {v for vertex in problem.vertices for v in vertex.coupled_with}
    constrained |= {v for group in (*problem.together, *problem.apart) for v in group}
    pairs = []
    for v, vertex in enumerate(problem.vertices):
        readers = {w for flow in outgoing[v] for w in flow.consumers}
        if vertex.is_terminal or vertex.coupled_with or v in reading | constrained or len(readers) != 1:
            continue
        (reader,) = readers
        reader_devices = {option.device for option in problem.vertices[reader].options}
        costless = all(_is_free(option, ample) for option in vertex.options)
        always_float = all(not flow.quantizers for flow in outgoing[v])
        available = reader_devices <= {o.device for o in vertex.options}
        if costless and always_float and available and not problem.vertices[reader].is_terminal:
            pairs.append((v, reader))
    return replace(problem, together=(*problem.together, *pairs)) if pairs else problem


def _is_free(option: Option, ample: set[int]) -> bool:
    costs = (option.seconds, option.noise_power, option.joules, option.activation_bytes, option.format)
    return not any(costs) and (not option.weight_bytes or option.device in ample)


def _devices_with_ample_memory(problem: PlacementProblem) -> set[int]:
    """Return the devices on which everything fits, and of whose memory the objective does not speak."""
    in_objective = {
        term.quantity.of for term in problem.objective if term.quantity.metric is CostMetric.MEMORY
    }
    ample = set()
    for d in range(len(problem.devices)):
        physical = problem.physical_device(d)
        largest_weights = [
            max(
                (o.weight_bytes for o in v.options if problem.physical_device(o.device) == physical),
                default=0.0,
            )
            for v in problem.vertices
        ]
        largest = len(problem.models) * max(
            (o.activation_bytes for v in problem.vertices for o in v.options), default=0.0
        )
        limit = min(
            problem.tightest_limit(CostMetric.MEMORY, physical), problem.tightest_limit(CostMetric.MEMORY)
        )
        if sum(largest_weights) + largest <= limit or limit == inf:
            ample.add(d)
    return (
        set()
        if None in in_objective
        else {d for d in ample if problem.physical_device(d) not in in_objective}
    )
