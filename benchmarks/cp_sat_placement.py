"""The placement problem's variables and rules for CP-SAT, and what each variable costs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, pairwise, permutations
from math import inf

from cp_sat_sums import Bool, Terms
from ortools.sat.python import cp_model

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.tensors import FLOAT, Flow


class NotModelledError(Exception):
    """The problem has something that this model does not state."""


class Placement:
    """The model without limits and objective, and its variables by what they say.

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

    def new_bool(self) -> Bool:
        """Return a variable that is 0 or 1."""
        return self.model.new_bool_var("")

    # Vertices

    def _add_vertices(self) -> None:
        """State that each vertex takes one option; add what options cost."""
        self.takes = [[self.new_bool() for _ in vertex.options] for vertex in self.problem.vertices]
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
        y = self.new_bool()
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
                asked[format_] = self.new_bool()
                self.model.add_max_equality(asked[format_], asking)
        chosen = {format_: self.new_bool() for format_ in (FLOAT, *asked)}
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
        pairs = {(d, f): self.new_bool() for d in places for f in formats}
        for d, place in places.items():
            self.model.add(sum(pairs[d, f] for f in formats) == place)
        for f, format_ in formats.items():
            self.model.add(sum(pairs[d, f] for d in places) == format_)
        return pairs

    def _at_least(self, *conditions: Bool) -> Bool:
        """Return a variable that is 1 where all conditions are."""
        y = self.new_bool()
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
                    costs[d] = self.new_bool()
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
            found[d] = places[0] if len(places) == 1 else self.new_bool()
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
        form, ends, use = flow.forms[f], self.problem.links[link], self.new_bool()
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
            leaves = self.new_bool()
            for v in units:
                self.model.add(here - self.on[v].get(a, 0) <= leaves)
            self.busy[a].append((leaves, flow.leave_s[f][a]))
        for b, there in self._reading(units).items() if flow.enter_s else ():
            for f, has in self.formats[t].items():
                enters = self.new_bool()
                self.model.add(there + has - self.on[flow.producer].get(b, 0) - 1 <= enters)
                self.busy[b].append((enters, flow.enter_s[f][b]))

    # Devices

    def _add_stage_starts(self) -> None:
        """Add what a stage costs besides: of units, or of a change of format at the source or the sink."""
        used = {d: self.new_bool() for d in self.devices if self.problem.devices[d].start_s}
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
            before[a, b] = self.new_bool()
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
