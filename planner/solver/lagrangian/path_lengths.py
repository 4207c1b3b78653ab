"""How long a request takes along paths of units: tables over the options of neighbours.

No path of units takes longer than the makespan: each device runs one stage, which a path that left it does
not enter again, and a stage works on all that the path has on it before its tensors go on; a unit of a device
without stages works for itself. Where paths part and meet again, what one device works between takes no less
time than a path that goes through it. So no mean of paths takes longer either, that is, no flow of one unit
from the source to the sink.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.solver.lagrangian.elimination_order import Scope
from planner.solver.lagrangian.path_regions import regions
from planner.solver.lagrangian.relaxation import AddedTables, LagrangianRelaxation
from planner.solver.lagrangian.tree_decomposition import Table

Shares = NDArray[np.float64]  # segment -> how much of a flow goes over it
BEGIN, END = -1, -2  # where requests begin and end, as nodes of the graph


@dataclass(frozen=True, slots=True)
class Edge:
    """A tensor on its way to a reader; of no flow where a unit reads or is read by nothing."""

    tail: int
    head: int
    model: int
    flow: int | None = None
    consumer: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Edges in a row, with nothing that branches off between them; or what a device works in a region.

    Parameters
    ----------
    device, units
        Of these units the work on the device; None where the segment has edges.
    """

    tail: int
    head: int
    model: int
    edges: tuple[int, ...]
    device: int | None = None
    units: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _EdgeTables:
    """What lies between two neighbours: way to cross -> seconds, by what they are spent on.

    `device_s` is (device that works -> table over the way), for the ends of the edge.
    """

    edge: int
    transfer: tuple[Table, ...]
    sending: tuple[Table, ...]
    receiving: tuple[Table, ...]
    axes: tuple[int, int]


class PathGraph:
    """The paths of a problem's units, those without branches in one piece."""

    def __init__(self, problem: PlacementProblem) -> None:
        self.edges = tuple(_edges(problem))
        self.segments = (*_segments(self.edges), *_stages(problem, self.edges))
        leaving: dict[int, list[int]] = {}
        for number, segment in enumerate(self.segments):
            leaving.setdefault(segment.tail, []).append(number)
        self.leaving = leaving
        self.order = [v for v in _sorted((s.tail, s.head) for s in self.segments) if v != END]
        self.units = [v for v in _sorted((e.tail, e.head) for e in self.edges) if v >= 0]
        self.model_of = {v: e.model for e in self.edges for v in (e.tail, e.head)}

    def flow(self, weights: Sequence[float], amounts: Sequence[float]) -> Shares:
        """Return a flow that leaves each node in proportion to weights.

        Parameters
        ----------
        weights
            Segment -> its part beside others that leave the same node; evenly where all are 0.
        amounts
            Model -> how much begins.
        """
        flow, inside = np.zeros(len(self.segments)), dict.fromkeys(self.order, 0.0)
        for node in self.order:
            if node == BEGIN:
                for model, amount in enumerate(amounts):
                    own = [s for s in self.leaving[node] if self.segments[s].model == model]
                    self._spread(own, amount, weights, flow, inside)
            else:
                self._spread(self.leaving[node], inside[node], weights, flow, inside)
        return flow

    def longest(self, lengths: Sequence[float]) -> float:
        """Return the length of the longest path."""
        reached, longest = dict.fromkeys(self.order, 0.0), 0.0
        for node in self.order:
            for s in self.leaving[node]:
                head, there = self.segments[s].head, reached[node] + lengths[s]
                if head == END:
                    longest = max(longest, there)
                else:
                    reached[head] = max(reached[head], there)
        return longest

    def _spread(
        self,
        segments: Sequence[int],
        amount: float,
        weights: Sequence[float],
        flow: Shares,
        inside: dict[int, float],
    ) -> None:
        total = sum(weights[s] for s in segments)
        for s in segments:
            flow[s] = amount * (weights[s] / total if total > 0 else 1.0 / len(segments))
            head = self.segments[s].head
            if head != END:
                inside[head] += flow[s]


class PathLengths:
    """The seconds of a relaxation's paths."""

    def __init__(self, relaxation: LagrangianRelaxation) -> None:
        self._relaxation, self.problem = relaxation, relaxation.problem
        self.graph = PathGraph(self.problem)
        numbers = {(e.flow, e.consumer): n for n, e in enumerate(self.graph.edges)}
        self._of_factor = []
        for flow, scope in relaxation.tensor_scopes:
            tables = _FlowSeconds(relaxation, self.problem.flows[flow], scope)
            readers = [v for v in self.problem.flows[flow].consumers if v in scope]
            self._of_factor.append([tables.edge(numbers[flow, v], v) for v in readers])
        starts = {e.head for e in self.graph.edges if e.tail == BEGIN and e.flow is None}
        self._unit_s = [
            np.array(
                [o.seconds + (v in starts) * self.problem.devices[o.device].start_s for o in vertex.options]
            )
            for v, vertex in enumerate(self.problem.vertices)
        ]
        self._work_s = [np.array([o.seconds for o in vertex.options]) for vertex in self.problem.vertices]

    def without(self, devices: frozenset[int]) -> "CountedLengths":
        """Return the lengths with the work of some devices left out."""
        left_out = np.isin(np.arange(len(self.problem.devices)), list(devices))
        on_device = self._relaxation.devices
        unit_s, work_s = (
            [np.where(left_out[on_device[v]], 0.0, row) for v, row in enumerate(rows)]
            for rows in (self._unit_s, self._work_s)
        )
        factors = [
            [(one.edge, tuple(self._counted(scope, one, left_out))) for one in row]
            for (_, scope), row in zip(self._relaxation.tensor_scopes, self._of_factor, strict=True)
        ]
        return CountedLengths(self.graph, self._relaxation, unit_s, work_s, factors)

    def _counted(self, scope: Scope, tables: _EdgeTables, left_out: NDArray[np.bool_]) -> Iterator[Table]:
        """Yield the seconds of an edge by each way to cross."""
        ends = []
        for axis in tables.axes:
            shape = [1] * len(scope)
            shape[axis] = -1
            ends.append(~left_out[self._relaxation.kinds[scope[axis]].devices].reshape(shape))
        for transfer, sending, receiving in zip(
            tables.transfer, tables.sending, tables.receiving, strict=True
        ):
            yield transfer + sending * ends[0] + receiving * ends[1]


@dataclass(frozen=True, slots=True)
class CountedLengths:
    """The seconds of paths: vertex -> option's, and tensor's table -> (edge, way to cross -> table).

    `unit_s` has what starts a stage besides, `work_s` the units' own seconds.
    """

    graph: PathGraph
    relaxation: LagrangianRelaxation
    unit_s: Sequence[Table]
    work_s: Sequence[Table]
    factors: Sequence[Sequence[tuple[int, tuple[Table, ...]]]]

    def weighed(self, flow: Sequence[float]) -> AddedTables:
        """Return the tables of a flow's mean length."""
        on_edge = np.zeros(len(self.graph.edges))
        through = np.zeros(len(self.unit_s))
        for share, segment in zip(flow, self.graph.segments, strict=True):
            for e in segment.edges:
                on_edge[e] += share
                if (head := self.graph.edges[e].head) >= 0:
                    through[head] += share
            if segment.device is not None and segment.head >= 0:
                through[segment.head] += share
        unary = [row * share for row, share in zip(self.unit_s, through, strict=True)]
        for share, segment in zip(flow, self.graph.segments, strict=True):
            for v in segment.units if share > 0 else ():
                unary[v] += share * np.where(
                    self.relaxation.devices[v] == segment.device, self.work_s[v], 0.0
                )
        tensors = []
        for row in self.factors:
            used = [(on_edge[e], ways) for e, ways in row if on_edge[e] > 0]
            count = len(row[0][1])
            tensors.append(
                tuple(sum((share * ways[w] for share, ways in used), self._zero(row)) for w in range(count))
            )
        return AddedTables(unary, tensors)

    @staticmethod
    def _zero(row: Sequence[tuple[int, tuple[Table, ...]]]) -> Table:
        return np.zeros([1] * row[0][1][0].ndim)

    def of(self, choice: Choice) -> tuple[float, ...]:
        """Return segment -> its seconds in a choice."""
        seconds = np.zeros(len(self.graph.edges))
        for e, edge in enumerate(self.graph.edges):
            if edge.head >= 0:
                seconds[e] = self.unit_s[edge.head][choice.options[edge.head]]
        kinds = self.relaxation.kinds
        for (f, scope), row in zip(self.relaxation.tensor_scopes, self.factors, strict=True):
            wire = choice.wire(f)
            way = wire - self.relaxation.problem.flows[f].wires.start + 1 if wire else 0
            index = tuple(int(kinds[v].kind[choice.options[v]]) for v in scope)
            for e, ways in row:
                table = ways[way]
                seconds[e] += table[tuple(min(i, n - 1) for i, n in zip(index, table.shape, strict=True))]
        worked = self._worked(choice)
        return tuple(
            float(seconds[list(segment.edges)].sum()) + worked.get(s, 0.0)
            for s, segment in enumerate(self.graph.segments)
        )

    def _worked(self, choice: Choice) -> dict[int, float]:
        """Return the segment of each device in a region -> its seconds, with those of the unit behind it."""
        own_s = [float(row[o]) for row, o in zip(self.work_s, choice.options, strict=True)]
        at = [int(row[o]) for row, o in zip(self.relaxation.devices, choice.options, strict=True)]
        worked = {}
        for s, segment in enumerate(self.graph.segments):
            if segment.device is not None:
                head = segment.head
                worked[s] = sum(own_s[v] for v in segment.units if at[v] == segment.device)
                worked[s] += float(self.unit_s[head][choice.options[head]]) if head >= 0 else 0.0
        return worked


class _FlowSeconds:
    """What lies between a tensor's producer and its readers, as tables over all that touch it."""

    def __init__(self, relaxation: LagrangianRelaxation, flow: Flow, scope: Scope) -> None:
        self._relaxation, self._flow, self._scope = relaxation, flow, scope
        self._problem = relaxation.problem
        # With a table per consumer, the tensor's format is not known there.
        self._is_whole = len(scope) == len({flow.producer, *flow.consumers})
        self._ends = {v: self._spread(v, relaxation.kinds[v].devices) for v in scope}
        self._asked = {v: self._spread(v, relaxation.kinds[v].formats) for v in scope}
        tensor_format = np.zeros([1] * len(scope), dtype=np.int64)
        for v in flow.quantizers if self._is_whole else ():
            tensor_format = relaxation.flow_tables.common_format[tensor_format, self._asked[v]]
        self._format = np.maximum(tensor_format, 0)  # a clash is forbidden by the other tables

    def _spread(self, vertex: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
        shape = [1] * len(self._scope)
        shape[self._scope.index(vertex)] = -1
        return values.reshape(shape)

    def edge(self, number: int, consumer: int) -> _EdgeTables:
        """Return what lies between the producer and one of the readers."""
        ways = (None, *self._flow.wires)
        tables = [
            (self._transfer(consumer, w), self._sending(consumer, w), self._receiving(consumer, w))
            for w in ways
        ]
        transfer, sending, receiving = zip(*tables, strict=True)
        axes = 0, self._scope.index(consumer)
        return _EdgeTables(number, transfer, sending, receiving, axes)

    def _transfer(self, consumer: int, wire: int | None) -> Table:
        source, target = self._ends[self._flow.producer], self._ends[consumer]
        seconds = np.array([_seconds(self._problem, form) for form in self._forms(wire)])
        if not self._is_whole:
            least: Table = seconds.min(axis=0)[source, target]
            return least
        by_format: Table = seconds[self._format, source, target]
        return by_format

    def _forms(self, wire: int | None) -> Iterator[WireForm]:
        """Yield the form in which it crosses, by its format; all forms where the format is not known."""
        if not self._is_whole:
            yield from self._flow.forms
            return
        for number in self._flow.formats:
            yield self._flow.forms[wire if wire is not None and number == FLOAT else number]

    def _sending(self, consumer: int, wire: int | None) -> Table:
        """Return what the producer's device works for the tensor, in the stage that the path is in."""
        flow, vertices = self._flow, self._problem.vertices
        zero = np.zeros([1] * len(self._scope))
        if not self._is_whole:
            return zero
        source, target = self._ends[flow.producer], self._ends[consumer]
        # A source is no part of a stage; what is done there counts if the reader's stage is there, too.
        is_unit, reads_unit = not vertices[flow.producer].is_terminal, not vertices[consumer].is_terminal
        if not is_unit and not reads_unit:
            return zero
        total = zero
        if flow.quantize_s and not flow.converts_at_consumer:
            total = total + self._where_differs(flow.producer, flow.quantize_s, source)
        if flow.leave_s and is_unit and reads_unit:
            total = total + np.where(source != target, np.array(flow.leave_s)[self._format, source], 0.0)
        if wire is not None and is_unit:
            encode_s = np.array(flow.forms[wire].encode_s or (0.0,) * len(self._problem.devices))
            total = total + np.where((source != target) & (self._format == FLOAT), encode_s[source], 0.0)
        return total if is_unit else np.where(source == target, total, 0.0)

    def _receiving(self, consumer: int, wire: int | None) -> Table:
        """Return what the reader's device works for the tensor, in the stage that the path is in."""
        flow, vertices = self._flow, self._problem.vertices
        zero = np.zeros([1] * len(self._scope))
        is_unit, comes_from_unit = not vertices[consumer].is_terminal, not vertices[flow.producer].is_terminal
        if not is_unit and not comes_from_unit:
            return zero
        source, target = self._ends[flow.producer], self._ends[consumer]
        start_s = np.array([device.start_s for device in self._problem.devices])
        total = zero
        if is_unit:
            total = total + (
                np.where(source != target, start_s[target], 0.0) if comes_from_unit else start_s[target]
            )
        if not self._is_whole:
            return total
        if flow.dequantize_s:
            total = total + self._where_differs(consumer, flow.dequantize_s, target)
        if flow.quantize_s and flow.converts_at_consumer:
            total = total + self._where_differs(flow.producer, flow.quantize_s, target)
        if flow.enter_s and is_unit and comes_from_unit:
            total = total + np.where(source != target, np.array(flow.enter_s)[self._format, target], 0.0)
        if wire is not None and is_unit and flow.forms[wire].decode_s:
            decode_s = np.array(flow.forms[wire].decode_s)
            total = total + np.where((source != target) & (self._format == FLOAT), decode_s[target], 0.0)
        return total if is_unit else np.where(source == target, total, 0.0)

    def _where_differs(
        self, vertex: int, seconds: Sequence[Sequence[float]], device: NDArray[np.int64]
    ) -> Table:
        """Return the seconds of a conversion where a vertex asks for another format than the tensor's."""
        differs = (self._asked[vertex] != self._format) & (self._format != FLOAT)
        return np.where(differs, np.array(seconds)[self._format, device], 0.0)


def _seconds(problem: PlacementProblem, form: WireForm) -> Table:
    """Return from device -> to device -> seconds; 0 where no links lead, which other tables forbid."""
    devices = range(len(problem.devices))
    table = np.array([[form.seconds(a, b) for b in devices] for a in devices])
    return np.where(np.isinf(table), 0.0, table)


def _sorted(pairs: Iterator[tuple[int, int]]) -> list[int]:
    graph: nx.DiGraph = nx.DiGraph(pairs)
    return list(nx.lexicographical_topological_sort(graph))


def _edges(problem: PlacementProblem) -> Iterator[Edge]:
    """Yield an edge per tensor and reader, and those that join units without any to the ends."""
    vertices = problem.vertices
    read, written = set(), set()
    for f, flow in enumerate(problem.flows):
        tail = BEGIN if vertices[flow.producer].is_terminal else flow.producer
        for v in dict.fromkeys(flow.consumers):
            head = END if vertices[v].is_terminal else v
            yield Edge(tail, head, problem.flow_model(flow), f, v)
            read.add(head)
            written.add(tail)
    for v, vertex in enumerate(vertices):
        if not vertex.is_terminal and v not in read:
            yield Edge(BEGIN, v, vertex.model)
        if not vertex.is_terminal and v not in written:
            yield Edge(v, END, vertex.model)


def _stages(problem: PlacementProblem, edges: Sequence[Edge]) -> Iterator[Segment]:
    """Yield what each device works in regions in one stage: that takes as long as a path through them."""
    for region in regions([(edge.tail, edge.head) for edge in edges], BEGIN, END):
        model = problem.vertices[region.nodes[0]].model
        on = {option.device for v in region.nodes for option in problem.vertices[v].options}
        for device in sorted(d for d in on if problem.devices[d].contiguous):
            yield Segment(region.tail, region.head, model, (), device, region.nodes)


def _segments(edges: Sequence[Edge]) -> Iterator[Segment]:
    """Yield the edges in rows that end where paths meet or part."""
    into: dict[int, list[int]] = {}
    out: dict[int, list[int]] = {}
    for e, edge in enumerate(edges):
        into.setdefault(edge.head, []).append(e)
        out.setdefault(edge.tail, []).append(e)

    def joins(node: int) -> bool:
        return node < 0 or len(into[node]) != 1 or len(out[node]) != 1

    for e, edge in enumerate(edges):
        if joins(edge.tail):
            row = [e]
            while not joins(head := edges[row[-1]].head):
                row += out[head]
            yield Segment(edge.tail, head, edge.model, tuple(row))
