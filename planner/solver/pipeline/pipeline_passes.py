"""A pipeline whose devices run consecutive units of several passes, such as forward and backward.

A group of units that share a device, such as a layer in both passes, becomes one unit, and what goes back in
the order of the groups crosses as if it went ahead. So the stages of one pass are those of the other, and the
dynamic program over consecutive stages applies. Tarnawski et al., "Efficient Algorithms for Device Placement
of DNN Graph Operators", NeurIPS 2020, place training workloads so.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import networkx as nx

from planner.problem.device_visits import over_devices
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.tensors import Flow
from planner.problem.units import Option, Vertex
from planner.solver.pipeline.pipeline_dp import best_pipeline


def best_passes(problem: PlacementProblem, time_limit_s: float, clock: Callable[[], float]) -> Choice | None:
    """Return a plan of one stage per device and pass; None without groups, or if no such plan is found.

    The plan is a good one and no more: what it costs, and whether it keeps the limits, is for `evaluate`.
    """
    # Formats of tensors have no place in a fold, nor do several models, which share a device as its visits.
    if not problem.together or any(flow.quantizers for flow in problem.flows):
        return None
    if any(vertex.model for vertex in problem.vertices):
        return None
    passes = _Passes.of(problem)
    pipeline = best_pipeline(passes.folded(), time_limit_s, clock)
    return None if pipeline is None else passes.unfolded(pipeline.choice)


@dataclass(frozen=True, slots=True)
class _Passes:
    """The groups of a problem in the order in which they are first needed.

    Parameters
    ----------
    groups
        Group -> its vertices.
    group_of, pass_of
        Vertex -> its group, and the pass in which it runs: from one pass to the next the order of the groups
        turns.
    """

    problem: PlacementProblem
    groups: tuple[tuple[int, ...], ...]
    group_of: tuple[int, ...]
    pass_of: tuple[int, ...]

    @classmethod
    def of(cls, problem: PlacementProblem) -> "_Passes":
        """Return the passes of a problem."""
        graph: nx.DiGraph = nx.DiGraph()
        graph.add_nodes_from(range(len(problem.vertices)))  # inputs and outputs, too
        graph.add_edges_from((flow.producer, v) for flow in problem.flows for v in flow.consumers)
        order = list(nx.topological_sort(graph))
        position = {v: i for i, v in enumerate(order)}
        together: nx.Graph = nx.Graph()
        together.add_nodes_from(order)
        for vertices in problem.together:
            nx.add_path(together, vertices)
        members = [sorted(group, key=position.__getitem__) for group in nx.connected_components(together)]
        groups = sorted(members, key=lambda group: position[group[0]])
        group_of = [0] * len(problem.vertices)
        for number, group in enumerate(groups):
            for v in group:
                group_of[v] = number
        pass_of = [0] * len(problem.vertices)
        for v in order:
            entered = (_pass_after(pass_of[u], group_of[u], group_of[v]) for u in graph.predecessors(v))
            pass_of[v] = max(entered, default=0)
        return cls(problem, tuple(map(tuple, groups)), tuple(group_of), tuple(pass_of))

    def folded(self) -> PlacementProblem:
        """Return the problem of its groups, without further visits; of its limits, those on memory."""
        problem = self.problem
        devices = tuple(device for device in problem.devices if device.visit_of is None)
        # Further visits come behind all devices.
        flows = (over_devices(flow, range(len(devices))) for flow in problem.flows)
        return PlacementProblem(
            devices,
            tuple(self._vertex(group) for group in self.groups),
            tuple(folded for flow in flows for folded in self._flows(flow)),
            problem.links,
            problem.formats,
            tuple(x for x in problem.limits if x.quantity.metric is CostMetric.MEMORY),
            problem.objective,
        )

    def _vertex(self, group: Sequence[int]) -> Vertex:
        """Return a group as one unit, with the options that all its members have."""
        first = self.problem.vertices[group[0]]
        if first.is_terminal:
            return first
        chosen = [self._options(v) for v in group]
        shared = [key for key in chosen[0] if all(key in options for options in chosen)]
        return replace(first, options=tuple(_sum([options[key] for options in chosen]) for key in shared))

    def _options(self, vertex: int) -> dict[tuple[int, str], Option]:
        """Return (device, precision) -> the option of a unit, of first visits."""
        return {
            (option.device, option.precision): option
            for option in self.problem.vertices[vertex].options
            if self.problem.devices[option.device].visit_of is None
        }

    def _flows(self, flow: Flow) -> Iterator[Flow]:
        """Yield a tensor as those of groups, from earlier to later ones."""
        source = self.group_of[flow.producer]
        readers = sorted({self.group_of[v] for v in flow.consumers} - {source})
        ahead = tuple(group for group in readers if group > source)
        if ahead:
            yield replace(flow, producer=source, consumers=ahead)
        for group in readers[: len(readers) - len(ahead)]:
            yield replace(flow, producer=group, consumers=(source,))

    def unfolded(self, choice: Choice) -> Choice:
        """Return a plan of the groups as one of all units: each pass in another visit, where there is one."""
        visits: dict[int, list[int]] = defaultdict(list)
        for d in range(len(self.problem.devices)):
            visits[self.problem.physical_device(d)].append(d)
        options = [0] * len(self.problem.vertices)
        for group, taken in zip(self.groups, choice.options, strict=True):
            option = self._vertex(group).options[taken]
            for v in group:
                own = self.problem.vertices[v]
                here = visits[option.device]
                device = option.device if own.is_terminal else here[min(self.pass_of[v], len(here) - 1)]
                options[v] = next(
                    number
                    for number, one in enumerate(own.options)
                    if (one.device, one.precision) == (device, option.precision)
                )
        return Choice(tuple(options))


def _pass_after(number: int, source: int, target: int) -> int:
    """Return the pass of a unit that reads from one of a pass: even passes go ahead, odd ones back."""
    if source == target:
        return number
    goes_back = target < source
    return number if goes_back == bool(number % 2) else number + 1


def _sum(options: Sequence[Option]) -> Option:
    return replace(
        options[0],
        seconds=sum(option.seconds for option in options),
        noise_power=sum(option.noise_power for option in options),
        joules=sum(option.joules for option in options),
        weight_bytes=sum(option.weight_bytes for option in options),
        activation_bytes=max(option.activation_bytes for option in options),
    )
