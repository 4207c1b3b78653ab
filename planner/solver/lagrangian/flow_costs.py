"""What tensors spend, as tables over the kinds of options of those that touch them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import inf

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.solver.lagrangian.elimination_order import Scope
from planner.solver.lagrangian.linear_quantity import Multipliers
from planner.solver.lagrangian.option_table import OptionKinds
from planner.solver.lagrangian.table_stack import Ways
from planner.solver.lagrangian.tree_decomposition import Table

_CLASH = -1  # the format of a tensor that is asked for in two that do not go together


@dataclass(frozen=True, slots=True)
class _FinalFormat:
    """The format of a tensor; of None it is what those ask for who are in a table's scope.

    Parameters
    ----------
    origins
        What those may ask for together, where others ask, too.
    """

    format: int | None
    origins: frozenset[int] = frozenset()


class FlowTables:
    """The costs of a problem's tensors, for rows of multipliers.

    Parameters
    ----------
    kinds
        Vertex -> its options by device and format.
    """

    def __init__(self, problem: PlacementProblem, kinds: Sequence[OptionKinds]) -> None:
        self.problem, self.kinds = problem, kinds
        self.is_terminal = [vertex.is_terminal for vertex in problem.vertices]
        self.common_format = _common_formats(problem)
        self._route_masks: dict[object, tuple[NDArray[np.bool_], NDArray[np.bool_]]] = {}

    def ways(
        self,
        flow: Flow,
        scope: Scope,
        consumers: Sequence[int],
        rows: Sequence[Multipliers],
        share: float,
    ) -> Ways:
        """Return way to cross -> row -> cost of a tensor; what is forbidden is infinite in the first row.

        Where not all who ask for a format are in the scope, the ways are those for each format that the
        tensor may have in the end: the cheapest counts.

        Parameters
        ----------
        consumers
            Those whose cost it is, all in the scope.
        rows
            The multipliers of each row; the objective's first.
        share
            What part of the tensor's cost this is.
        """
        is_whole = all(v in scope for v in flow.quantizers)
        finals = (_FinalFormat(None),) if is_whole else self._final_formats(flow, scope)
        return tuple(
            tuple(
                share * costs.cost(row, wire) + (costs.forbidden(wire) if number == 0 else 0.0)
                for number, row in enumerate(rows)
            )
            for costs in (_FlowCosts(self, flow, scope, consumers, final) for final in finals)
            for wire in (None, *flow.wires)
        )

    def _final_formats(self, flow: Flow, scope: Scope) -> tuple["_FinalFormat", ...]:
        """Return the formats that a tensor may have, each with those from which others can lead to it."""
        asked = {int(one) for v in flow.quantizers if v not in scope for one in self.kinds[v].formats}
        leads: nx.DiGraph = nx.DiGraph()
        leads.add_nodes_from(flow.formats)
        for so_far, request in product(flow.formats, asked):
            if self.common_format[so_far, request] != _CLASH:
                leads.add_edge(so_far, int(self.common_format[so_far, request]))
        return tuple(_FinalFormat(one, frozenset({one, *nx.ancestors(leads, one)})) for one in flow.formats)

    def routes_mask(self, form: WireForm) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which links a form's routes use, and which devices they do not reach.

        Shapes [links, devices, devices] and [devices, devices], the latter two from and to.
        """
        if form.routes not in self._route_masks:
            self._route_masks[form.routes] = _route_masks(self.problem, form)
        return self._route_masks[form.routes]


class _FlowCosts:
    """What a tensor spends, as arrays over the options of the vertices in its scope.

    Each array has an axis per vertex of the scope, of length 1 where it does not depend on that vertex.
    """

    def __init__(
        self,
        tables: FlowTables,
        flow: Flow,
        scope: Scope,
        consumers: Sequence[int],
        final: _FinalFormat,
    ) -> None:
        self._tables, self._flow, self._problem = tables, flow, tables.problem
        self._consumers, self._model = consumers, tables.problem.flow_model(flow)
        self._axes = {v: axis for axis, v in enumerate(scope)}
        self.zeros = np.zeros([1] * len(scope))
        self._device = {v: self._spread(v, tables.kinds[v].devices) for v in scope}
        self._requested = {v: self._spread(v, tables.kinds[v].formats) for v in scope}
        tensor_format = np.zeros([1] * len(scope), dtype=np.int64)
        for v in flow.quantizers:
            if v in self._axes:
                tensor_format = tables.common_format[tensor_format, self._requested[v]]
        self._is_impossible = tensor_format == _CLASH
        if final.format is not None:
            self._is_impossible = ~np.isin(tensor_format, list(final.origins))
            tensor_format = np.full([1] * len(scope), final.format)
        self._tensor_format = tensor_format
        self._units = [v for v in consumers if not tables.is_terminal[v]]
        self._starts_at_unit = not tables.is_terminal[flow.producer]
        producer_device = self._device[flow.producer]
        devices = range(len(self._problem.devices))
        self._received = [self._any(consumers, d) & (producer_device != d) for d in devices]
        self._received_by_units = [self._any(self._units, d) & (producer_device != d) for d in devices]

    def _spread(self, vertex: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
        shape = [1] * len(self._axes)
        shape[self._axes[vertex]] = -1
        return values.reshape(shape)

    def _any(self, vertices: Sequence[int], device: int) -> NDArray[np.bool_]:
        on_device = np.zeros([1] * len(self._axes), dtype=bool)
        for v in vertices:
            on_device = on_device | (self._device[v] == device)
        return on_device

    def cost(self, multipliers: Multipliers, wire: int | None) -> Table:
        """Return the tensor's cost at some multipliers, a float tensor crossing links in a form."""
        total = self.zeros
        noise = multipliers.noise[self._model]
        if any((*multipliers.link, *multipliers.model_link, *multipliers.byte, *multipliers.joule)):
            for tensor_format, form in self._forms(wire):
                total = np.where(
                    self._tensor_format == tensor_format, self._crossed(multipliers, form), total
                )
        if noise:
            total = total + noise * self._noise()
        if any(multipliers.busy):
            total = total + self._busy(multipliers)
        if wire is not None and (noise or any(multipliers.busy)):
            total = total + self._converted(multipliers, self._flow.forms[wire])
        return total

    def forbidden(self, wire: int | None) -> Table:
        """Return infinity where formats clash or no links lead to a consumer, else 0."""
        producer_device = self._device[self._flow.producer]
        impossible = self._is_impossible
        for tensor_format, form in self._forms(wire):
            unreachable = self._tables.routes_mask(form)[1]
            for v in self._consumers if unreachable.any() else ():
                impossible = impossible | (
                    (self._tensor_format == tensor_format) & unreachable[producer_device, self._device[v]]
                )
        return np.where(impossible, inf, 0.0)

    def _forms(self, wire: int | None) -> Iterator[tuple[int, WireForm]]:
        """Yield (format, form in which it crosses)."""
        for tensor_format in self._flow.formats:
            yield (
                tensor_format,
                self._flow.forms[wire if wire is not None and tensor_format == FLOAT else tensor_format],
            )

    def _crossed(self, multipliers: Multipliers, form: WireForm) -> Table:
        """Return the cost of links, each once whatever the number of consumers behind it."""
        costs = _link_costs(self._problem, multipliers, form)
        costs = costs + multipliers.model_link[self._model] * np.array(form.link_s)
        passes = self._tables.routes_mask(form)[0]
        producer_device = self._device[self._flow.producer]
        total = self.zeros
        for link in np.flatnonzero(costs):
            used = passes[link][producer_device, self._device[self._consumers[0]]]
            for v in self._consumers[1:]:
                used = used | passes[link][producer_device, self._device[v]]
            total = total + costs[link] * used
        return total

    def _noise(self) -> Table:
        noise = np.array(self._flow.noise_power)[self._tensor_format]
        if self._flow.inherits:
            producer_asks = self._requested[self._flow.producer] == self._tensor_format
            noise = np.where(producer_asks, 0.0, noise)
        return noise

    def _busy(self, multipliers: Multipliers) -> Table:
        """Return the cost of switches, and of stages that end or begin here."""
        flow, total = self._flow, self.zeros
        producer_device = self._device[flow.producer]
        busy = np.array(multipliers.busy)
        for tensor_format in flow.formats[1:]:
            format_cost = self.zeros
            arises_otherwise = self._requested[flow.producer] != tensor_format
            seconds = busy * np.array(flow.quantize_s[tensor_format])
            if flow.converts_at_consumer:
                for d in np.flatnonzero(seconds):
                    format_cost = format_cost + seconds[d] * (
                        self._any(self._consumers, d) & arises_otherwise
                    )
            else:
                format_cost = format_cost + seconds[producer_device] * arises_otherwise
            for d in np.flatnonzero(busy * np.array(flow.dequantize_s[tensor_format])):
                reading = np.zeros([1] * len(self._axes), dtype=bool)
                for v in self._consumers:
                    reading = reading | ((self._device[v] == d) & (self._requested[v] != tensor_format))
                format_cost = format_cost + busy[d] * flow.dequantize_s[tensor_format][d] * reading
            total = np.where(self._tensor_format == tensor_format, format_cost, total)
        return total + self._stage_boundaries(busy)

    def _stage_boundaries(self, busy: Table) -> Table:
        total, flow = self.zeros, self._flow
        if not self._starts_at_unit or not (flow.leave_s or flow.enter_s):
            return total
        producer_device = self._device[flow.producer]
        leaves = np.logical_or.reduce(np.broadcast_arrays(*self._received_by_units))
        if flow.leave_s:
            total = total + np.where(
                leaves, (busy * np.array(flow.leave_s))[self._tensor_format, producer_device], 0.0
            )
        for d, entered in enumerate(self._received_by_units):
            if flow.enter_s:
                seconds = busy[d] * np.array([row[d] for row in flow.enter_s])
                total = total + np.where(entered, seconds[self._tensor_format], 0.0)
        return total

    def _converted(self, multipliers: Multipliers, form: WireForm) -> Table:
        """Return the cost of a float tensor's conversion for its crossings."""
        total = np.where(
            np.logical_or.reduce(np.broadcast_arrays(*self._received)),
            (np.array(multipliers.busy) * np.array(form.encode_s or (0.0,) * len(multipliers.busy)))[
                self._device[self._flow.producer]
            ]
            + multipliers.noise[self._model] * form.noise_power,
            0.0,
        )
        for d, entered in enumerate(self._received if form.decode_s else ()):
            total = total + multipliers.busy[d] * form.decode_s[d] * entered
        where_float: Table = np.where(self._tensor_format == FLOAT, total, 0.0)
        return where_float


def _common_formats(problem: PlacementProblem) -> NDArray[np.int64]:
    """Return (format so far, format asked for) -> format that both accept, or _CLASH.

    Shape [formats + 1, formats].
    """
    count = len(problem.formats)
    # Index -1, a clash so far, addresses the last row: a clash stays one.
    table = np.full((count + 1, count), _CLASH)  # the last row is that of a clash
    for so_far in range(count):
        for request in range(count):
            if FLOAT in (so_far, request):
                table[so_far, request] = max(so_far, request)
            else:
                common = (
                    set(problem.formats[so_far].accepts)
                    & set(problem.formats[request].accepts)
                    & {so_far, request}
                )
                table[so_far, request] = min(common, default=_CLASH)
    return table


def _link_costs(problem: PlacementProblem, multipliers: Multipliers, form: WireForm) -> Table:
    seconds = np.array(multipliers.link) * np.array(form.link_s)
    costs: Table = seconds + np.array(multipliers.byte) * form.size_bytes
    if form.link_j and any(multipliers.joule):
        for number, link in enumerate(problem.links):
            for device, joules in zip((link.source, link.target), form.link_j[number], strict=True):
                costs[number] += multipliers.joule[problem.physical_device(device)] * joules
    return costs


def _route_masks(problem: PlacementProblem, form: WireForm) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return link -> from -> to -> whether the route uses it, and from -> to -> whether there is none."""
    count = len(problem.devices)
    passes = np.zeros((len(problem.links), count, count), dtype=bool)
    unreachable = np.zeros((count, count), dtype=bool)
    for a, row in enumerate(form.routes):
        for b, route in enumerate(row):
            unreachable[a, b] = route is None
            passes[list(route or ()), a, b] = True
    return passes, unreachable
