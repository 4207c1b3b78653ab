"""Units that are never worth separating are put together before the search; no optimum is lost."""

from collections import defaultdict
from dataclasses import replace
from math import inf

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.units import Option


def merge_costless_units(problem: PlacementProblem) -> PlacementProblem:
    """Return the problem with units that cost nothing themselves kept beside their only reader.

    Such a unit reads nothing (a weight, say). Beside its reader it saves its transfer; it loads no device,
    and memory is no matter where everything fits or it has no weight. No path leaves through it. So a best
    plan has it there.
    """
    ample = _ample(problem)
    fed: set[int] = set()
    outgoing = defaultdict(list)
    for flow in problem.flows:
        fed.update(flow.consumers)
        outgoing[flow.producer].append(flow)
    bound = {v for vertex in problem.vertices for v in vertex.coupled_with}
    bound |= {v for group in (*problem.together, *problem.apart) for v in group}
    pairs = []
    for v, vertex in enumerate(problem.vertices):
        readers = {w for flow in outgoing[v] for w in flow.consumers}
        if vertex.is_terminal or vertex.coupled_with or v in fed | bound or len(readers) != 1:
            continue
        (reader,) = readers
        places = {option.device for option in problem.vertices[reader].options}
        free = all(_is_free(option, ample) for option in vertex.options)
        plain = all(not flow.quantizers for flow in outgoing[v])
        at_hand = places <= {o.device for o in vertex.options}
        if free and plain and at_hand and not problem.vertices[reader].is_terminal:
            pairs.append((v, reader))
    return replace(problem, together=(*problem.together, *pairs)) if pairs else problem


def _is_free(option: Option, ample: set[int]) -> bool:
    costs = (option.seconds, option.noise_power, option.joules, option.activation_bytes, option.format)
    return not any(costs) and (not option.weight_bytes or option.device in ample)


def _ample(problem: PlacementProblem) -> set[int]:
    """Return the devices on which everything fits, and of whose memory the objective does not speak."""
    spoken = {term.quantity.of for term in problem.objective if term.quantity.metric is CostMetric.MEMORY}
    found = set()
    for d in range(len(problem.devices)):
        home = problem.physical_device(d)
        every = [
            max((o.weight_bytes for o in v.options if problem.physical_device(o.device) == home), default=0.0)
            for v in problem.vertices
        ]
        largest = max((o.activation_bytes for v in problem.vertices for o in v.options), default=0.0)
        limit = min(
            problem.tightest_limit(CostMetric.MEMORY, home), problem.tightest_limit(CostMetric.MEMORY)
        )
        if sum(every) + largest <= limit or limit == inf:
            found.add(d)
    return set() if None in spoken else {d for d in found if problem.physical_device(d) not in spoken}
