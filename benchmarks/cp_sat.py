"""The same placement problem for CP-SAT of OR-tools: a model as people write it, over integers.

Costs become integers of at least nine digits, rounded down, so that the bound holds for the real costs; the
plan is priced by the planner's own `cost_evaluation`.

Needs ortools 9.8 or later (`pip install ortools`). That is no extra of this package: it cannot be installed
beside the extra `qat`, for tensorflow-model-optimization wants absl-py < 2, and ortools wants >= 2.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations, pairwise, permutations
from math import floor, inf

from ortools.sat.python import cp_model

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.tensors import FLOAT, Flow

_RESOLUTION = 1e9  # of limits, and of about the largest objective that there can be
_MOST_SUM = 1e17  # of an objective's integers: CP-SAT wants room below 2**63
_TOLERANCE = 2e-6  # relative, of limits; what the planner grants its own solvers
_ROUNDING = 1 - 1e-12  # a product of doubles may be above the real one by less
_LEAST_TIME_S = 0.5

Bool = cp_model.IntVar
Terms = list[tuple[Bool, float]]  # a sum of variables times costs


class NotModelledError(Exception):
    """The problem has something that this model does not state."""


class CpSatStatus(StrEnum):
    """What CP-SAT says."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CpSatAnswer:
    """CP-SAT's answer in the problem's own units; None for what it does not have.

    Parameters
    ----------
    objective
        Of its plan, by `cost_evaluation`; None, too, if that plan breaks a limit by what rounding allows.
    seconds
        Of building the model and solving it.
    """

    status: CpSatStatus
    choice: Choice | None
    objective: float | None
    bound: float | None
    seconds: float


_STATUS = {
    cp_model.OPTIMAL: CpSatStatus.OPTIMAL,
    cp_model.FEASIBLE: CpSatStatus.FEASIBLE,
    cp_model.INFEASIBLE: CpSatStatus.INFEASIBLE,
    cp_model.UNKNOWN: CpSatStatus.UNKNOWN,
}


def solve_with_cp_sat(
    problem: PlacementProblem, time_limit_s: float, gap: float, workers: int = 2
) -> CpSatAnswer:
    """Solve within a time limit that building the model counts in.

    Raises
    ------
    NotModelledError
        If the problem has wires, or contiguous devices beside others.
    RuntimeError
        If the model is not valid, or CP-SAT's plan is none.
    """
    began = time.perf_counter()
    placement = _Placement(problem)
    solver = cp_model.CpSolver()
    left_s = time_limit_s - (time.perf_counter() - began)
    solver.parameters.max_time_in_seconds = max(left_s, _LEAST_TIME_S)
    solver.parameters.relative_gap_limit = gap
    solver.parameters.num_workers = workers
    code = solver.solve(placement.model)
    seconds = time.perf_counter() - began
    if code not in _STATUS:
        raise RuntimeError(f"CP-SAT calls the model {solver.status_name(code)}: {placement.model.validate()}")
    status = _STATUS[code]
    if status is CpSatStatus.INFEASIBLE:
        return CpSatAnswer(status, None, None, None, seconds)
    bound = max(solver.best_objective_bound, 0.0) / placement.scale
    if status is CpSatStatus.UNKNOWN:
        return CpSatAnswer(status, None, None, bound, seconds)
    choice = Choice(
        tuple(next(o for o, x in enumerate(row) if solver.boolean_value(x)) for row in placement.takes)
    )
    return CpSatAnswer(status, choice, _priced(problem, choice), bound, seconds)


def _priced(problem: PlacementProblem, choice: Choice) -> float | None:
    cost = evaluate(problem, choice)
    if cost.order is None or cost.violations or cost.latency_s == inf:
        raise RuntimeError(f"CP-SAT's plan breaks a rule: {cost.violations or 'order or links'}")
    return cost.objective if is_feasible(problem, cost, _TOLERANCE) else None


class _Placement:
    """The model, and its variables by what they say.

    Every cost is minimised or limited from above, so that variables that cost something are bounded from
    below only: they are 1 where they have to be.
    """

    def __init__(self, problem: PlacementProblem) -> None:
        _refuse(problem)
        self.problem, self.model = problem, cp_model.CpModel()
        self.devices = range(len(problem.devices))
        self.busy: list[Terms] = [[] for _ in self.devices]
        self.link_s: list[Terms] = [[] for _ in problem.links]
        self.traffic: list[Terms] = [[] for _ in problem.links]
        self.joules: list[Terms] = [[] for _ in self.devices]
        self.noise: Terms = []
        # (producer's device, consumer's device) -> seconds of the tensors between their units
        self.between: dict[tuple[int, int], Terms] = defaultdict(list)
        self.from_source: dict[int, Terms] = defaultdict(list)
        self.to_sink: dict[int, Terms] = defaultdict(list)
        self.past_units: Terms = []
        self.scale = 1.0
        self._add_vertices()
        self.formats = [self._add_format(flow) for flow in problem.flows]
        self.at = [self._producer_in_format(t, flow) for t, flow in enumerate(problem.flows)]
        for t, flow in enumerate(problem.flows):
            self._add_noise_and_conversions(t, flow)
            self._add_crossings(t, flow)
            self._add_boundaries(t, flow)
        self._add_stage_starts()
        self._add_kernels()
        self._add_coupling()
        self._add_groups()
        self.before = self._add_order()
        self._add_limits()
        self._add_objective()

    def _bool(self) -> Bool:
        return self.model.new_bool_var("")

    # Vertices

    def _add_vertices(self) -> None:
        """State that each vertex takes one option; add what options cost."""
        self.takes = [[self._bool() for _ in vertex.options] for vertex in self.problem.vertices]
        self.on: list[dict[int, Bool]] = []
        for vertex, row in zip(self.problem.vertices, self.takes, strict=True):
            self.model.add_exactly_one(row)
            by_device = defaultdict(list)
            for x, option in zip(row, vertex.options, strict=True):
                by_device[option.device].append(x)
                self.busy[option.device].append((x, option.seconds))
                self.noise.append((x, option.noise_power))
                self.joules[self.problem.physical_device(option.device)].append((x, option.joules))
            self.on.append({d: self._any_of(xs) for d, xs in by_device.items()})

    def _any_of(self, xs: Sequence[Bool]) -> Bool:
        """Return a variable that equals the sum of some, of which one can be 1 at most."""
        if len(xs) == 1:
            return xs[0]
        y = self._bool()
        self.model.add(sum(xs) == y)
        return y

    def _asking(self, vertex: int, format_: int) -> list[Bool]:
        options = self.problem.vertices[vertex].options
        return [x for x, o in zip(self.takes[vertex], options, strict=True) if o.format == format_]

    # Formats

    def _add_format(self, flow: Flow) -> dict[int, Bool]:
        """Return format -> whether the tensor has it: the coarsest that all who ask accept."""
        asked = {}
        for format_ in flow.formats[1:]:
            asking = [x for v in flow.quantizers for x in self._asking(v, format_)]
            if asking:
                asked[format_] = self._bool()
                self.model.add_max_equality(asked[format_], asking)
        chosen = {format_: self._bool() for format_ in (FLOAT, *asked)}
        self.model.add_exactly_one(chosen.values())
        for count in range(len(asked) + 1):
            for requested in combinations(asked, count):
                otherwise = [~x if f in requested else x for f, x in asked.items()]
                found = _format_of(self.problem, requested)
                self.model.add_bool_or([*otherwise, *(() if found is None else (chosen[found],))])
        return chosen

    def _producer_in_format(self, t: int, flow: Flow) -> dict[tuple[int, int], Bool]:
        """Return (device, format) -> whether the producer is there and the tensor has that format."""
        formats, places = self.formats[t], self.on[flow.producer]
        pairs = {(d, f): self._bool() for d in places for f in formats}
        for d, place in places.items():
            self.model.add(sum(pairs[d, f] for f in formats) == place)
        for f, format_ in formats.items():
            self.model.add(sum(pairs[d, f] for d in places) == format_)
        return pairs

    def _at_least(self, *conditions: Bool) -> Bool:
        """Return a variable that is 1 where all conditions are."""
        y = self._bool()
        self.model.add(sum(conditions) - (len(conditions) - 1) <= y)
        return y

    # Tensors

    def _add_noise_and_conversions(self, t: int, flow: Flow) -> None:
        for f, has in self.formats[t].items():
            if f != FLOAT:
                self._add_quantizing(flow, f, has)
                self._add_dequantizing(flow, f, has)

    def _add_quantizing(self, flow: Flow, f: int, has: Bool) -> None:
        options = self.problem.vertices[flow.producer].options
        others = [x for x, o in zip(self.takes[flow.producer], options, strict=True) if o.format != f]
        arises = self._at_least(has, self._any_of(others)) if others else None
        if flow.inherits:
            self.noise += [(arises, flow.noise_power[f])] if arises is not None else []
        else:
            self.noise.append((has, flow.noise_power[f]))
        if arises is None:
            return
        if flow.converts_at_consumer:
            for d, place in self._reading(flow.consumers).items():
                self.busy[d].append((self._at_least(arises, place), flow.quantize_s[f][d]))
            return
        for d in self.on[flow.producer]:
            here = [
                x
                for x, o in zip(self.takes[flow.producer], options, strict=True)
                if o.device == d and o.format != f
            ]
            if here and flow.quantize_s[f][d]:
                self.busy[d].append((self._at_least(has, self._any_of(here)), flow.quantize_s[f][d]))

    def _add_dequantizing(self, flow: Flow, f: int, has: Bool) -> None:
        costs: dict[int, Bool] = {}
        for v in flow.consumers:
            wanting = defaultdict(list)
            for x, option in zip(self.takes[v], self.problem.vertices[v].options, strict=True):
                if option.format != f and flow.dequantize_s[f][option.device]:
                    wanting[option.device].append(x)
            for d, xs in wanting.items():
                if d not in costs:
                    costs[d] = self._bool()
                    self.busy[d].append((costs[d], flow.dequantize_s[f][d]))
                self.model.add(sum(xs) + has - 1 <= costs[d])

    def _reading(self, vertices: Iterable[int]) -> dict[int, Bool]:
        """Return device -> whether one of some vertices is there."""
        there: dict[int, list[Bool]] = defaultdict(list)
        for v in vertices:
            for d, place in self.on[v].items():
                there[d].append(place)
        found = {}
        for d, places in there.items():
            found[d] = places[0] if len(places) == 1 else self._bool()
            if len(places) > 1:
                self.model.add_max_equality(found[d], places)
        return found

    def _add_crossings(self, t: int, flow: Flow) -> None:
        """Add links once per tensor, in its format, wherever a reader's route uses them."""
        readers = self._reading(flow.consumers)
        # (format, link, reader's device) -> whether the tensor arises where that route begins
        begins: dict[tuple[int, int, int], list[Bool]] = defaultdict(list)
        for (a, f), here in self.at[t].items():
            for b, there in readers.items():
                route = flow.forms[f].routes[a][b]
                if route is None:
                    self.model.add_bool_or([~here, ~there])
                for link in route or ():
                    begins[f, link, b].append(here)
        uses = {pair: self._use(flow, *pair) for pair in dict.fromkeys((f, link) for f, link, _ in begins)}
        for (f, link, b), here in begins.items():
            self.model.add(sum(here) + readers[b] - 1 <= uses[f, link])
        self._strengthen(t, flow, uses)
        if self._asks_for_makespan:
            self._add_between(t, flow)

    def _use(self, flow: Flow, f: int, link: int) -> Bool:
        form, ends, use = flow.forms[f], self.problem.links[link], self._bool()
        self.link_s[link].append((use, form.link_s[link]))
        self.traffic[link].append((use, form.size_bytes))
        if form.link_j:
            for device, joules in zip((ends.source, ends.target), form.link_j[link], strict=True):
                self.joules[self.problem.physical_device(device)].append((use, joules))
        return use

    def _strengthen(self, t: int, flow: Flow, uses: dict[tuple[int, int], Bool]) -> None:
        """Add what follows, and is stronger in fractions: a reader elsewhere gets the tensor by some link."""
        links = self.problem.links
        for v in dict.fromkeys(flow.consumers):
            for (a, f), here in self.at[t].items():
                home = self.problem.physical_device(a)
                leaving = [use for (g, link), use in uses.items() if g == f and links[link].source == home]
                self.model.add(here - self._at_home(v, home) <= sum(leaving))
            for home in {self.problem.physical_device(d) for d in self.on[v]}:
                arriving = [use for (_, link), use in uses.items() if links[link].target == home]
                self.model.add(self._at_home(v, home) - self._at_home(flow.producer, home) <= sum(arriving))

    def _add_boundaries(self, t: int, flow: Flow) -> None:
        """Add what stages lose where a unit's tensor leaves, and on each other device that reads it."""
        vertices = self.problem.vertices
        if vertices[flow.producer].is_terminal or not (flow.leave_s or flow.enter_s):
            return
        units = [v for v in flow.consumers if not vertices[v].is_terminal]
        for (a, f), here in self.at[t].items() if units and flow.leave_s else ():
            leaves = self._bool()
            for v in units:
                self.model.add(here - self.on[v].get(a, 0) <= leaves)
            self.busy[a].append((leaves, flow.leave_s[f][a]))
        for b, there in self._reading(units).items() if flow.enter_s else ():
            for f, has in self.formats[t].items():
                enters = self._bool()
                self.model.add(there + has - self.on[flow.producer].get(b, 0) - 1 <= enters)
                self.busy[b].append((enters, flow.enter_s[f][b]))

    # Devices

    def _add_stage_starts(self) -> None:
        """Add what a stage costs besides: of units, or of a change of format at the source or the sink."""
        used = {d: self._bool() for d in self.devices if self.problem.devices[d].start_s}
        for vertex, row in zip(self.problem.vertices, self.on, strict=True):
            if not vertex.is_terminal:
                self._mark(used, row)
        for t, flow in enumerate(self.problem.flows):
            for v in self._switching_ends(flow):
                for has in (has for f, has in self.formats[t].items() if f != FLOAT):
                    self._mark(used, self.on[v], has)
        for d, x in used.items():
            self.busy[d].append((x, self.problem.devices[d].start_s))

    def _mark(self, used: dict[int, Bool], places: dict[int, Bool], *conditions: Bool) -> None:
        for d in used.keys() & places.keys():
            self.model.add_bool_or([~places[d], *(~x for x in conditions), used[d]])

    def _switching_ends(self, flow: Flow) -> Iterator[int]:
        vertices = self.problem.vertices
        yield from (v for v in flow.consumers if vertices[v].is_terminal)
        if vertices[flow.producer].is_terminal and not flow.converts_at_consumer:
            yield flow.producer

    def _add_order(self) -> dict[tuple[int, int], Bool]:
        """Return (device, device) -> whether the one's stage comes first; no path comes back."""
        contiguous = [d for d in self.devices if self.problem.devices[d].contiguous]
        before: dict[tuple[int, int], Bool] = {}
        for a, b in combinations(contiguous, 2):
            before[a, b] = self._bool()
            before[b, a] = ~before[a, b]
            if self.problem.physical_device(a) == self.problem.physical_device(b):
                self.model.add(before[a, b] == 1)
        for a, b, c in permutations(contiguous, 3):
            self.model.add_bool_or([~before[a, b], ~before[b, c], before[a, c]])
        for u, v in dict.fromkeys(self._edges()) if before else ():
            for a, here in self.on[u].items():
                for b, there in self.on[v].items():
                    if a != b:
                        self.model.add_bool_or([~here, ~there, before[a, b]])
        return before

    def _edges(self) -> Iterator[tuple[int, int]]:
        vertices = self.problem.vertices
        for flow in self.problem.flows:
            for v in flow.consumers:
                if not vertices[flow.producer].is_terminal and not vertices[v].is_terminal:
                    yield flow.producer, v

    # Rules

    def _add_kernels(self) -> None:
        """Forbid what the runtime would compute in another format than the option asks for."""
        around: dict[int, list[dict[int, Bool]]] = defaultdict(list)
        for t, flow in enumerate(self.problem.flows):
            for v in dict.fromkeys(flow.quantizers):
                around[v].append(self.formats[t])
        for v, formats in around.items():
            common = set(formats[0]).intersection(*formats[1:]) - {FLOAT}
            for x, option in zip(self.takes[v], self.problem.vertices[v].options, strict=True):
                for f in common:
                    if self.problem.forces_kernel(v, option, f):
                        self.model.add_bool_or([~x, *(~row[f] for row in formats)])

    def _add_coupling(self) -> None:
        for vertex, row in zip(self.problem.vertices, self.takes, strict=True):
            for x, option in zip(row, vertex.options, strict=True):
                for neighbour in vertex.coupled_with if self.problem.has_kernels(option) else ():
                    options = self.problem.vertices[neighbour].options
                    same = [
                        y
                        for y, o in zip(self.takes[neighbour], options, strict=True)
                        if (o.format, o.device) == (option.format, option.device)
                    ]
                    self.model.add_bool_or([~x, *same])

    def _add_groups(self) -> None:
        for group in self.problem.together:
            for home in self.devices:
                for a, b in pairwise(group):
                    self.model.add(self._at_home(a, home) == self._at_home(b, home))
        for a, b in self.problem.apart:
            for home in self.devices:
                self.model.add(self._at_home(a, home) + self._at_home(b, home) <= 1)

    def _at_home(self, vertex: int, home: int) -> cp_model.LinearExprT:
        return sum(x for d, x in self.on[vertex].items() if self.problem.physical_device(d) == home)

    # Quantities

    @property
    def _asks_for_makespan(self) -> bool:
        return any(quantity.metric is CostMetric.MAKESPAN for quantity in self.problem.quantities)

    def _add_between(self, t: int, flow: Flow) -> None:
        """Add seconds from stage to stage, and from the source and to the sink."""
        vertices = self.problem.vertices
        from_source = vertices[flow.producer].is_terminal
        units = self._reading(v for v in flow.consumers if not vertices[v].is_terminal)
        ends = self._reading(v for v in flow.consumers if vertices[v].is_terminal)
        for (a, f), here in self.at[t].items():
            seconds = [flow.forms[f].seconds(a, b) for b in self.devices]  # infinite where no links lead
            for b, there in units.items():
                if (from_source or a != b) and seconds[b] < inf:
                    where = self.from_source[b] if from_source else self.between[a, b]
                    where.append((self._at_least(here, there), seconds[b]))
            for b, there in ends.items():
                if seconds[b] < inf:
                    where = self.past_units if from_source else self.to_sink[a]
                    where.append((self._at_least(here, there), seconds[b]))

    def _sum_of(self, quantity: Quantity) -> Terms:
        """Return a quantity that is a sum of costs."""
        metric, of = quantity.metric, quantity.of
        if metric is CostMetric.LATENCY:
            return [*_joined(self.busy), *_joined(self.link_s)]
        if metric is CostMetric.NOISE:
            return self.noise
        if metric is CostMetric.TRAFFIC:
            return list(_joined(self.traffic) if of is None else self.traffic[of])
        if metric is CostMetric.ENERGY:
            homes = self.devices if of is None else (of,)
            return [term for home in homes for term in self._energy(home)]
        if metric is CostMetric.MONEY:
            return [*self._prices()]
        if metric is CostMetric.MEMORY:
            homes = self.devices if of is None else (of,)
            return [term for home in homes for term in self._memory(home)]
        raise NotModelledError(f"{metric.value} is no sum of costs")

    def _prices(self) -> Iterator[tuple[Bool, float]]:
        for device, terms in zip(self.problem.devices, self.busy, strict=True):
            yield from _times(device.price_per_s, terms)
        for link, terms in zip(self.problem.links, self.traffic, strict=True):
            yield from _times(link.price_per_byte, terms)

    def _energy(self, home: int) -> Terms:
        device = self.problem.devices[home]
        if self.problem.physical_device(home) != home:
            return []
        terms = list(self.joules[home])
        for d in self._visits(home):
            terms += _times(device.active_w - device.idle_w, self.busy[d])
        return [*terms, *_times(device.idle_w, self._sum_of(Quantity(CostMetric.LATENCY)))]

    def _memory(self, home: int) -> Terms:
        """Return weights, and the largest activation as a sum of steps from one size to the next."""
        here = [
            (x, option)
            for vertex, row in zip(self.problem.vertices, self.takes, strict=True)
            for x, option in zip(row, vertex.options, strict=True)
            if option.device in self._visits(home)
        ]
        terms = [(x, option.weight_bytes) for x, option in here]
        below, smaller = 0.0, None
        for size in sorted({option.activation_bytes for _, option in here} - {0}):
            reaches = self._bool()  # whether some activation is of this size or above
            for x in (x for x, option in here if option.activation_bytes == size):
                self.model.add_implication(x, reaches)
            if smaller is not None:
                self.model.add_implication(reaches, smaller)
            terms.append((reaches, size - below))
            below, smaller = size, reaches
        return terms

    def _visits(self, home: int) -> list[int]:
        """Return a device and its further visits; none of a visit, which has no memory or load of its own."""
        return [d for d in self.devices if self.problem.physical_device(d) == home]

    def _loads(self) -> list[Terms]:
        """Return what a device or link works on a request, each."""
        return [*map(self._load, self.devices), *self.link_s]

    def _load(self, home: int) -> Terms:
        visits = self._visits(home)
        terms = list(_joined(self.busy[d] for d in visits))
        for link, messages in zip(self.problem.links, self.link_s, strict=True):
            for end in (link.source, link.target):
                if end in visits and self.problem.devices[end].transfers_block:
                    terms += messages
        return terms

    # Limits and the objective

    def _add_limits(self) -> None:
        for limit in self.problem.limits:
            if limit.quantity.metric is CostMetric.PERIOD:
                for load in self._loads():
                    self._limit(load, limit.at_most)
            elif limit.quantity.metric is CostMetric.MAKESPAN:
                scale = _RESOLUTION / limit.at_most if limit.at_most else _RESOLUTION
                self._makespan(scale, int(_RESOLUTION) if limit.at_most else 0)
            else:
                self._limit(self._sum_of(limit.quantity), limit.at_most)

    def _limit(self, terms: Terms, at_most: float) -> None:
        """State that a sum is within a limit, with costs rounded down."""
        merged = _merged(terms)
        if at_most == 0:
            for x, _ in merged:
                self.model.add(x == 0)
            return
        most = int(_RESOLUTION)
        # A coefficient above the limit says the same as the first one above it.
        scaled = [(x, min(_down(cost * (most / at_most)), most + 1)) for x, cost in merged]
        self.model.add(_weighted(scaled) <= most)

    def _add_objective(self) -> None:
        linear: Terms = []
        others = []
        for term in self.problem.objective:
            if term.quantity.metric in (CostMetric.PERIOD, CostMetric.MAKESPAN):
                others.append(term)
            else:
                linear += _times(term.weight, self._sum_of(term.quantity))
        merged = _merged(linear)
        everything = sum(cost for _, cost in merged)
        for term in others:
            latency = _merged(self._sum_of(Quantity(CostMetric.LATENCY)))
            everything += term.weight * sum(cost for _, cost in latency)
        self._scale_to(merged, [term.weight for term in others if term.weight], everything)
        parts = [_weighted([(x, _down(cost * self.scale)) for x, cost in merged])]
        for term in others:
            if term.weight:
                metric_of = self._period if term.quantity.metric is CostMetric.PERIOD else self._makespan
                parts.append(metric_of(term.weight * self.scale, int(everything * self.scale) + 1))
        self.model.minimize(sum(parts))

    def _scale_to(self, merged: Terms, weights: Sequence[float], everything: float) -> None:
        """Choose the scale: of the objective if each vertex took its most expensive option."""
        costs = {x.index: cost for x, cost in merged}
        typical = sum(max((costs.get(x.index, 0.0) for x in row), default=0.0) for row in self.takes)
        for weight in weights:
            typical += weight * sum(
                max(option.seconds for option in vertex.options) for vertex in self.problem.vertices
            )
        typical = typical or everything
        if everything:
            self.scale = min(_RESOLUTION / typical, _MOST_SUM / everything)

    def _period(self, scale: float, most: int) -> Bool:
        period = self.model.new_int_var(0, most, "")
        for load in self._loads():
            self.model.add(_scaled(load, scale) <= period)
        return period

    def _makespan(self, scale: float, most: int) -> Bool:
        """Return when the last answer is there; each stage starts once all its tensors have come."""
        end = {d: self.model.new_int_var(0, most, "") for d in self.devices}
        last = self.model.new_int_var(0, most, "")
        busy = {d: _scaled(terms, scale) for d, terms in enumerate(self.busy)}
        self.model.add(_scaled(self.past_units, scale) <= last)
        for d in self.devices:
            self.model.add(busy[d] + _scaled(self.from_source[d], scale) <= end[d])
            self.model.add(end[d] + _scaled(self.to_sink[d], scale) <= last)
        for (a, b), terms in self.between.items():
            crossed = self._bool()
            for x, _ in terms:
                self.model.add_implication(x, crossed)
            arrives = end[a] + _scaled(terms, scale)
            self.model.add(arrives + busy[b] <= end[b]).only_enforce_if(crossed)
        return last


def _refuse(problem: PlacementProblem) -> None:
    if any(flow.wires for flow in problem.flows):
        raise NotModelledError("other forms in which tensors cross links (wires)")
    if len({device.contiguous for device in problem.devices}) > 1:
        raise NotModelledError("devices of one stage beside others that may be returned to")
    if any(quantity.metric is CostMetric.MAKESPAN for quantity in problem.quantities) and any(
        device.transfers_block or device.visit_of is not None or not device.contiguous
        for device in problem.devices
    ):
        raise NotModelledError("makespans of devices that transfers block, or that run any number of stages")


def _format_of(problem: PlacementProblem, requested: Sequence[int]) -> int | None:
    """Return the format of a tensor for which these are asked; None if none suits all."""
    if not requested:
        return FLOAT
    suiting = [f for f in requested if all(f in problem.formats[g].accepts for g in requested)]
    return min(suiting, default=None)


def _joined(parts: Iterable[Terms]) -> Iterator[tuple[Bool, float]]:
    for part in parts:
        yield from part


def _times(factor: float, terms: Iterable[tuple[Bool, float]]) -> Terms:
    return [(x, factor * cost) for x, cost in terms] if factor else []


def _merged(terms: Iterable[tuple[Bool, float]]) -> Terms:
    """Return each variable once, without those that cost nothing."""
    variables, costs = {}, defaultdict(float)
    for x, cost in terms:
        variables[x.index] = x
        costs[x.index] += cost
    return [(x, costs[index]) for index, x in variables.items() if costs[index]]


def _down(number: float) -> int:
    return floor(number * _ROUNDING)


def _weighted(terms: Sequence[tuple[Bool, int]]) -> cp_model.LinearExprT:
    return cp_model.LinearExpr.weighted_sum([x for x, _ in terms], [cost for _, cost in terms])


def _scaled(terms: Iterable[tuple[Bool, float]], scale: float) -> cp_model.LinearExprT:
    return _weighted([(x, _down(cost * scale)) for x, cost in _merged(terms)])
