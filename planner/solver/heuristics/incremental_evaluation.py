"""The cost of a choice, kept up to date while options change: `evaluate` for few changes at a time."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

from planner.problem.cost_evaluation import flow_formats
from planner.problem.energy import energy_j
from planner.problem.lone_switches import lone_switches
from planner.problem.makespan import makespans_s, stage_sequence
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.stage_ways import is_blocked, stage_ways
from planner.problem.tensors import FLOAT, Flow

Key = tuple[str | int | float | None, ...]
Part = tuple[str, int]


@dataclass(slots=True)
class _Before:
    """What a change replaced."""

    options: list[tuple[int, int]]
    wires: list[tuple[int, int]]
    terms: dict[Part, list[tuple[Key, float]]] = field(default_factory=dict)
    sums: dict[Key, float] = field(default_factory=dict)


class IncrementalEvaluation:
    """A choice with its cost as sums of parts; a change prices again only the parts that it touches."""

    def __init__(self, problem: PlacementProblem, choice: Choice) -> None:
        self.problem = problem
        self.numbers = list(choice.options)
        self.wires = [choice.wire(flow) for flow in range(len(problem.flows))]
        self.chosen = [v.options[o] for v, o in zip(problem.vertices, self.numbers, strict=True)]
        self.sums: defaultdict[Key, float] = defaultdict(float)
        self.edges: set[tuple[int, int]] = set()
        self.between: set[tuple[int | None, int | None]] = set()
        self.lone: set[tuple[int, int | None, int | None]] = set()
        self.activations: list[list[float]] = [[] for _ in problem.devices]
        devices = range(len(problem.devices))
        # Then what goes from stage to stage is a sum, which is kept up to date.
        self._sums_ways = all(problem.devices[d].contiguous and not is_blocked(problem, d) for d in devices)
        self._undo: list[_Before] = []
        self._quantized: defaultdict[int, list[int]] = defaultdict(list)
        self._touched: list[set[Part]] = [{("vertex", v)} for v in range(len(problem.vertices))]
        self._find_parts()
        self._terms: dict[Part, list[tuple[Key, float]]] = {}
        self._price({part for parts in self._touched for part in parts}, _Before([], []))

    @property
    def choice(self) -> Choice:
        """The choice as it is now."""
        return Choice(tuple(self.numbers), tuple(self.wires) if any(self.wires) else ())

    def change(self, options: Sequence[tuple[int, int]], wires: Sequence[tuple[int, int]] = ()) -> None:
        """Give vertices these options, and flows these wires."""
        before = _Before([(v, self.numbers[v]) for v, _ in options], [(f, self.wires[f]) for f, _ in wires])
        self._undo.append(before)
        parts: set[Part] = {("flow", f) for f, _ in wires}
        for v, _ in options:
            parts |= self._touched[v]
        self._take(options, wires)
        self._price(parts, before)

    def undo(self) -> None:
        """Take the last change back: every sum is again what it was, to the last bit."""
        before = self._undo.pop()
        self._take(before.options[::-1], before.wires[::-1])
        self._terms.update(before.terms)
        for key, amount in before.sums.items():
            self._set(key, amount)

    def keep(self) -> None:
        """Forget how to take changes back."""
        self._undo.clear()

    def value(self, quantity: Quantity) -> float:
        """Return the value of a quantity, as `Cost.value` does."""
        metric, of, sums = quantity.metric, quantity.of, self.sums
        if metric is CostMetric.NOISE:
            return sums["noise",]
        if metric is CostMetric.TRAFFIC:
            links = range(len(self.problem.links)) if of is None else (of,)
            return sum(sums["traffic", link] for link in links)
        if metric is CostMetric.MEMORY:
            devices = range(len(self.problem.devices)) if of is None else (of,)
            return sum(sums["weights", d] + self._largest(d) for d in devices)
        return self._timed(metric, of)

    def objective(self) -> float:
        """Return what is minimised."""
        if self.sums["unreachable",] > 0:
            return inf
        return sum(term.weight * self.value(term.quantity) for term in self.problem.objective)

    def unevenness(self) -> float:
        """Return what falls on the way to a lower objective where a maximum hides it from single changes."""
        metrics = {term.quantity.metric for term in self.problem.objective}
        if CostMetric.PERIOD in metrics:
            return sum(load * load for load in self.loads())
        return sum(self._busy()) if CostMetric.MAKESPAN in metrics else 0.0

    def loads(self) -> list[float]:
        """Return the seconds of each device with its visits, and of each link."""
        sums, problem = self.sums, self.problem
        loads = [sums["load", d] for d in range(len(problem.devices))]
        for d, seconds in enumerate(self._busy()):
            loads[problem.physical_device(d)] += seconds
        return [*loads, *(sums["link", link] for link in range(len(problem.links)))]

    def excesses(self) -> list[float]:
        """Return by how much each limit is exceeded, as a fraction of it; then broken rules and cycles."""
        rows = []
        for limit in self.problem.limits:
            value = self.value(limit.quantity)
            over = value - limit.at_most * (1 + 1e-9)
            rows.append(0.0 if over <= 0 else 10.0 if value == inf else over / (limit.at_most or 1.0))
        return [*rows, self.sums["broken",] + self.sums["unreachable",], self._cycles()]

    def _find_parts(self) -> None:
        for f, flow in enumerate(self.problem.flows):
            for v in {flow.producer, *flow.consumers, *flow.quantizers}:
                self._touched[v].add(("flow", f))
            for v in flow.quantizers:
                self._quantized[v].append(f)
        for v, flows in self._quantized.items():
            for other in {v} | {q for f in flows for q in self.problem.flows[f].quantizers}:
                self._touched[other].add(("kernel", v))
        self._find_groups()

    def _find_groups(self) -> None:
        for v, vertex in enumerate(self.problem.vertices):
            for other in vertex.coupled_with:
                self._touched[other].add(("vertex", v))
        for kind, groups in (("together", self.problem.together), ("apart", self.problem.apart)):
            for number, group in enumerate(groups):
                for v in group:
                    self._touched[v].add((kind, number))

    def _take(self, options: Sequence[tuple[int, int]], wires: Sequence[tuple[int, int]]) -> None:
        for v, o in options:
            self.numbers[v], self.chosen[v] = o, self.problem.vertices[v].options[o]
        for f, wire in wires:
            self.wires[f] = wire

    def _price(self, parts: set[Part], before: _Before) -> None:
        # Sorted, so that sums do not depend on how strings are hashed.
        for part in sorted(parts):
            old, new = self._terms.get(part, []), list(self._terms_of(part))
            if old == new:
                continue
            before.terms[part], self._terms[part] = old, new
            for sign, terms in ((-1, old), (1, new)):
                for key, amount in terms:
                    total = self.sums[key]
                    before.sums.setdefault(key, total)
                    self._set(key, total + sign * amount)

    def _set(self, key: Key, total: float) -> None:
        was, self.sums[key] = self.sums[key], total
        kind = key[0]
        if kind == "edge":
            (self.edges.add if total > 0 else self.edges.discard)(key[1:])  # type: ignore[arg-type]
        elif kind == "between":
            self.between.add(key[1:])  # type: ignore[arg-type]
        elif kind == "lone passes":
            (self.lone.add if total > 0 else self.lone.discard)(key[1:])  # type: ignore[arg-type]
        elif kind == "activation" and was == 0:
            heappush(self.activations[key[1]], -key[2])  # type: ignore[index,operator]

    def _largest(self, device: int) -> float:
        heap = self.activations[device]
        while heap and self.sums["activation", device, -heap[0]] == 0:
            heappop(heap)
        return -heap[0] if heap else 0.0

    def _terms_of(self, part: Part) -> Iterator[tuple[Key, float]]:
        kind, number = part
        if kind == "vertex":
            yield from self._vertex(number)
        elif kind == "flow":
            yield from self._flow(number, self.problem.flows[number])
        elif self._is_broken(kind, number):
            yield ("broken",), 1.0

    def _is_broken(self, kind: str, number: int) -> bool:
        problem, chosen = self.problem, self.chosen
        if kind == "kernel":
            around = {
                (flow_formats(problem, problem.flows[f], chosen) or (FLOAT,))[0]
                for f in self._quantized[number]
            }
            return len(around) == 1 and problem.forces_kernel(number, chosen[number], around.pop())
        group = problem.together[number] if kind == "together" else problem.apart[number]
        homes = {problem.physical_device(chosen[v].device) for v in group}
        return len(homes) > 1 if kind == "together" else len(homes) == 1

    def _vertex(self, v: int) -> Iterator[tuple[Key, float]]:
        option, vertex = self.chosen[v], self.problem.vertices[v]
        physical = self.problem.physical_device(option.device)
        yield ("busy", option.device), option.seconds
        yield ("noise",), option.noise_power
        yield ("joules", physical), option.joules
        yield ("weights", physical), option.weight_bytes
        yield ("activation", physical, option.activation_bytes), 1.0
        if not vertex.is_terminal:
            yield ("used", option.device), 1.0
            yield ("units", option.device), 1.0
        pair = (option.format, option.device)
        others = (self.chosen[n] for n in vertex.coupled_with)
        if self.problem.has_kernels(option) and any((o.format, o.device) != pair for o in others):
            yield ("broken",), 1.0

    def _flow(self, number: int, flow: Flow) -> Iterator[tuple[Key, float]]:
        possible = flow_formats(self.problem, flow, self.chosen)
        if not possible:
            yield ("broken",), 1.0
        kind = possible[0] if possible else FLOAT
        wire = self.wires[number]
        form = wire if wire and kind == FLOAT else kind
        producer = self.chosen[flow.producer]
        if kind != FLOAT:
            if not (flow.inherits and producer.format == kind):
                yield ("noise",), flow.noise_power[kind]
            yield from self._conversions(flow, kind)
        yield from self._ends(flow, kind, form)
        yield from self._stages(flow, kind, form)
        yield from self._send(flow, form)

    def _conversions(self, flow: Flow, kind: int) -> Iterator[tuple[Key, float]]:
        producer, readers = self.chosen[flow.producer], [self.chosen[v] for v in flow.consumers]
        if producer.format != kind:
            for d in {o.device for o in readers} if flow.converts_at_consumer else {producer.device}:
                yield ("busy", d), flow.quantize_s[kind][d]
        for d in {o.device for o in readers if o.format != kind}:
            yield ("busy", d), flow.dequantize_s[kind][d]

    def _ends(self, flow: Flow, kind: int, form: int) -> Iterator[tuple[Key, float]]:
        """Yield the stages at a source or sink at which a tensor changes."""
        vertices, home = self.problem.vertices, self.chosen[flow.producer].device
        ends = {self.chosen[v].device for v in flow.consumers if vertices[v].is_terminal}
        away = {self.chosen[v].device for v in flow.consumers} - {home}
        used = ends if kind != FLOAT else ends - {home} if form in flow.wires else set()
        changed = (kind != FLOAT and not flow.converts_at_consumer) or (form in flow.wires and away)
        if vertices[flow.producer].is_terminal and changed:
            used = used | {home}
        for d in used:
            yield ("used", d), 1.0

    def _stages(self, flow: Flow, kind: int, form: int) -> Iterator[tuple[Key, float]]:
        vertices, home = self.problem.vertices, self.chosen[flow.producer].device
        inner = [v for v in flow.consumers if not vertices[v].is_terminal]
        starts_inside = not vertices[flow.producer].is_terminal
        if starts_inside:
            away = {self.chosen[v].device for v in inner} - {home}
            if away and flow.leave_s:
                yield ("busy", home), flow.leave_s[kind][home]
            for d in away if flow.enter_s else ():
                yield ("busy", d), flow.enter_s[kind][d]
            for v in inner:
                if (edge := (self._group(flow.producer), self._group(v)))[0] != edge[1]:
                    yield ("edge", *edge), 1.0
        yield from self._between_stages(flow, form)

    def _between_stages(self, flow: Flow, form: int) -> Iterator[tuple[Key, float]]:
        vertices, home = self.problem.vertices, self.chosen[flow.producer].device
        start = None if vertices[flow.producer].is_terminal else home
        ends = dict.fromkeys(
            (None if vertices[v].is_terminal else self.chosen[v].device, self.chosen[v].device)
            for v in flow.consumers
        )
        for end, d in ends:
            if start is None or end is None or d != home:
                seconds = flow.forms[form].seconds(home, d)
                yield ("between", start, end), 0.0 if seconds == inf else seconds
                yield ("passes", start, end), 1.0
                for at, changed_s in lone_switches(self.problem, flow, form, home, d, is_due=end is None):
                    yield ("lone", at, start, end), changed_s
                    yield ("lone passes", at, start, end), 1.0

    def _group(self, v: int) -> int:
        device = self.chosen[v].device
        return device if self.problem.devices[device].contiguous else len(self.problem.devices) + v

    def _send(self, flow: Flow, number: int) -> Iterator[tuple[Key, float]]:
        problem, form, home = self.problem, flow.forms[number], self.chosen[flow.producer].device
        targets = {self.chosen[v].device for v in flow.consumers} - {home}
        routes = [form.routes[home][target] for target in targets]
        if None in routes:
            yield ("unreachable",), float(routes.count(None))
        for link in {link for route in routes for link in route or ()}:
            yield ("link", link), form.link_s[link]
            yield ("traffic", link), form.size_bytes
            ends = problem.links[link].source, problem.links[link].target
            for d, joules in zip(ends, form.link_j[link] if form.link_j else (0.0, 0.0), strict=True):
                yield ("joules", problem.physical_device(d)), joules
                if problem.devices[d].transfers_block:
                    yield ("load", problem.physical_device(d)), form.link_s[link]
        if number in flow.wires and targets:
            yield ("noise",), form.noise_power
            yield ("busy", home), form.encode_s[home] if form.encode_s else 0.0
            for d in targets:
                yield ("busy", d), form.decode_s[d] if form.decode_s else 0.0

    def _busy(self) -> list[float]:
        return [
            self.sums["busy", d] + (device.start_s if self.sums["used", d] > 0 else 0.0)
            for d, device in enumerate(self.problem.devices)
        ]

    def _timed(self, metric: CostMetric, of: int | None) -> float:
        problem, sums = self.problem, self.sums
        busy = self._busy()
        links = [sums["link", link] for link in range(len(problem.links))]
        if metric is CostMetric.MONEY:
            prices = sum(d.price_per_s * s for d, s in zip(problem.devices, busy, strict=True))
            return prices + sum(x.price_per_byte * sums["traffic", n] for n, x in enumerate(problem.links))
        if sums["unreachable",] > 0:
            return inf
        if metric is CostMetric.PERIOD:
            return max(self.loads(), default=0.0)
        if metric is CostMetric.MAKESPAN:
            return self._makespan(busy)
        latency = sum(busy) + sum(links)
        if metric is CostMetric.LATENCY:
            return latency
        joules = energy_j(problem, busy, latency, [sums["joules", d] for d in range(len(busy))])
        return sum(joules) if of is None else joules[of]

    def _order(self) -> tuple[list[int], set[int]]:
        """Return groups in running order, and those that no order has."""
        edges = set(self.edges)
        last: dict[int, int] = {}
        for d in range(len(self.problem.devices)):
            physical = self.problem.physical_device(d)
            if physical in last:
                edges.add((last[physical], d))
            last[physical] = d
        after: defaultdict[int, list[int]] = defaultdict(list)
        waiting = dict.fromkeys([*range(len(self.problem.devices)), *(b for _, b in edges)], 0)
        for a, b in edges:
            after[a].append(b)
            waiting[b] += 1
            waiting.setdefault(a, 0)
        order = [x for x, count in waiting.items() if count == 0]
        for x in order:
            for y in after[x]:
                waiting[y] -= 1
                if waiting[y] == 0:
                    order.append(y)
        return order, set(waiting) - set(order)

    def _cycles(self) -> float:
        _, left = self._order()
        return float(bool(left)) + sum(
            0.1 * min(self.sums["edge", a, b], self.sums["edge", b, a])
            for a, b in list(self.edges)
            if a in left
        )

    def _makespan(self, busy: Sequence[float]) -> float:
        if not self._sums_ways:
            sequence = stage_sequence(self.problem, self.chosen)
            ways = stage_ways(self.problem, self.chosen, self._forms())
            return sum(makespans_s(self.problem, self.chosen, busy, ways, sequence))
        order, left = self._order()
        if left:
            return inf
        ends: dict[int | None, float] = {None: 0.0}
        between = {way: self.sums["between", *way] for way in self.between if self.sums["passes", *way] > 0}
        for d, a, b in sorted(self.lone, key=str):
            if self.sums["units", d] <= 0:
                between[a, b] += self.sums["lone", d, a, b] + self.problem.devices[d].start_s
        visited: dict[tuple[int, int], float] = {}
        for d in order:
            arrivals = [ends[a] + seconds for (a, b), seconds in between.items() if b == d]
            place = self.problem.physical_device(d), self.problem.devices[d].model
            ends[d] = visited[place] = max([visited.get(place, 0.0), *arrivals]) + busy[d]
        due = [ends[a] + seconds for (a, b), seconds in between.items() if b is None]
        return max((*due, *ends.values()))

    def _forms(self) -> list[int]:
        """Return flow -> the form in which it exists, and crosses links."""
        formats = [
            (flow_formats(self.problem, flow, self.chosen) or (FLOAT,))[0] for flow in self.problem.flows
        ]
        return [wire if kind == FLOAT else kind for wire, kind in zip(self.wires, formats, strict=True)]
