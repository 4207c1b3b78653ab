"""The placement problem as an integer program, a function per constraint family.

Symbols (README, "Formulation"): x choice of an option, a an option beside its tensor's format, g transport of
a tensor from device to device in a form, c a consumer's option beside the format it reads, z format of a
tensor, w its wire, s a payment shared by a tensor's consumers, b order of devices, l a device left behind.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from math import floor, inf, isfinite, log10

import networkx as nx
import pulp

from planner.prices import Prices, prices_of
from planner.problem import FLOAT, Flow, Form, Measure, Option, PlacementProblem, Quantity
from planner.symmetry import alike_classes

Terms = list[tuple[pulp.LpVariable, float]]
Lanes = dict[tuple[int, int, int], pulp.LpVariable]  # from device, to device, form
_MICRO = 1e6  # seconds of stages and loads are counted so inside
_DIGITS = 3  # the greatest cost of one variable in the objective is brought to 10^3..10^4


class Account(Enum):
    """Where costs add up, with an index: of a device, a link, a pair of stages, or none."""

    BUSY = auto()
    LINK = auto()
    TRAFFIC = auto()
    JOULES = auto()
    LOAD = auto()  # of transfers, on devices that these block
    BETWEEN = auto()  # seconds from stage to stage
    WEIGHTS = auto()
    NOISE = auto()


Place = int | tuple[int | None, int | None] | None
Charges = dict[tuple[Account, Place], float]


@dataclass(slots=True)
class Program:
    """The program under construction.

    Parameters
    ----------
    x
        Vertex -> option -> variable.
    z
        Flow -> format other than float -> variable, where something quantizes it.
    a
        Flow -> (producer's option, format) -> variable.
    c
        Flow -> consumer -> (its option, format) -> variable.
    g
        Flow -> consumer -> lanes.
    w
        Flow -> form of the float tensor -> variable, where it has wires.
    scale
        What the objective is multiplied with.
    sides
        Flow -> (form, link) -> devices before the link, where that says all of its transport.
    known
        (a, b) with a < b -> whether device a runs first, where that is known.
    """

    problem: PlacementProblem
    lp: pulp.LpProblem
    horizon_s: float
    x: list[list[pulp.LpVariable]] = field(default_factory=list)
    z: list[dict[int, pulp.LpVariable]] = field(default_factory=list)
    a: list[dict[tuple[int, int], pulp.LpVariable]] = field(default_factory=list)
    c: list[list[dict[tuple[int, int], pulp.LpVariable]]] = field(default_factory=list)
    g: list[list[Lanes]] = field(default_factory=list)
    w: dict[int, dict[int, pulp.LpVariable]] = field(default_factory=dict)
    order: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    accounts: dict[tuple[Account, Place], Terms] = field(default_factory=lambda: defaultdict(list))
    quantities: dict[Quantity, Terms] = field(default_factory=dict)
    scale: float = _MICRO
    known: Mapping[tuple[int, int], bool] = field(default_factory=dict)
    sides: list[dict[tuple[int, int], frozenset[int]]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, constraint: pulp.LpConstraint) -> None:
        """Add a named constraint."""
        self.counts[name] += 1
        self.lp.addConstraint(constraint, f"{name}_{self.counts[name]}")

    def charge(self, variable: pulp.LpVariable, charges: Charges) -> None:
        """Let a variable cost."""
        for account, amount in charges.items():
            if amount:
                self.accounts[account].append((variable, amount))

    def variable(self, name: str, *, upper: float | None = None) -> pulp.LpVariable:
        """Add a continuous variable >= 0; names are numbered, since pulp merges some characters."""
        return self.lp.add_variable(name, lowBound=0, upBound=upper)

    @property
    def on_trees(self) -> bool:
        """Whether no rule speaks of lanes from device to device: stages have no order of lanes, nor times."""
        return not all(device.convex for device in self.problem.devices)

    def options(self, vertex: int) -> Iterator[tuple[pulp.LpVariable, Option]]:
        """Return a vertex's choices."""
        return zip(self.x[vertex], self.problem.vertices[vertex].options, strict=True)

    def uses(self, measure: Measure) -> bool:
        """Return whether a limit or the objective speaks of a measure."""
        return any(quantity.measure is measure for quantity in self.problem.quantities)


def build(
    problem: PlacementProblem, horizon_s: float = inf, known: Mapping[tuple[int, int], bool] | None = None
) -> Program:
    """Return the integer program of a problem, without solving it.

    Parameters
    ----------
    horizon_s
        A makespan that no wanted plan exceeds.
    known
        Which device of a pair runs first, from `known_order`; by default that of this problem.
    """
    horizon_s = min(horizon_s, problem.limit(Measure.MAKESPAN), _longest(problem))
    program = Program(problem, pulp.LpProblem("placement", pulp.LpMinimize), horizon_s)
    program.x = [[] for _ in problem.vertices]
    program.known = known_order(problem) if known is None else known
    _choose(program)
    _together(program)
    _apart(program)
    _form(program)
    _transport(program)
    _absorb(program)
    _within(program)
    _send(program)
    _wire(program)
    _quantize(program)
    _dequantize(program)
    _seam(program)
    _start(program)
    _order(program)
    _passed(program)
    _noise(program)
    _objective(program)
    _limit(program)
    return program


def _choose(program: Program) -> None:
    """Give each vertex exactly one option: sum_o x[v,o] = 1."""
    problem = program.problem
    groups = _groups(problem)
    firsts = {v: group[0] for group in groups for v in group if _follows(problem, group[0], v)}
    for v in sorted(range(len(problem.vertices)), key=lambda v: firsts.get(v, v) != v):
        vertex, first = problem.vertices[v], firsts.get(v, v)
        if first != v:
            own = {o.device: x for x, o in program.options(first)}
            program.x[v] = row = [own[option.device] for option in vertex.options]
        else:
            count = len(vertex.options)
            program.x[v] = row = [
                program.lp.add_variable(f"x_{v}_{o}", cat=pulp.LpBinary) for o in range(count)
            ]
            program.add("choose", pulp.lpSum(row) == 1)
        for x, option in zip(row, vertex.options, strict=True):
            home = problem.home(option.device)
            program.charge(
                x,
                {
                    (Account.BUSY, option.device): option.seconds,
                    (Account.JOULES, home): option.joules,
                    (Account.WEIGHTS, home): option.weight_bytes,
                    (Account.NOISE, None): option.noise_power,
                },
            )


def _follows(problem: PlacementProblem, first: int, v: int) -> bool:
    """Return whether the device of one vertex, which is the other's too, says all of it."""
    own, other = ([o.device for o in problem.vertices[w].options] for w in (first, v))
    return len(set(own)) == len(own) and sorted(own) == sorted(other)


def _groups(problem: PlacementProblem) -> list[list[int]]:
    """Return the groups that are to be together, those that share a vertex as one."""
    joined: nx.Graph = nx.Graph()
    for group in problem.together:
        nx.add_path(joined, group)
    return [sorted(group) for group in nx.connected_components(joined)]


def _names(variables: Iterable[pulp.LpVariable]) -> frozenset[str]:
    """Return what tells sets of variables apart; `==` of pulp's variables makes a constraint."""
    return frozenset(variable.name for variable in variables)


def _together(program: Program) -> None:
    """Keep a group on one device: sum of x[v,.] on d = sum of x[first,.] on d."""
    for group in _groups(program.problem):
        for vertex, home in itertools.product(group[1:], _homes(program.problem)):
            first, own = _on_home(program, group[0], home), _on_home(program, vertex, home)
            if _names(first) != _names(own):
                program.add("together", pulp.lpSum(first) == pulp.lpSum(own))


def _apart(program: Program) -> None:
    """Keep two vertices on different devices: sum of x[v,.] on d + sum of x[w,.] on d <= 1."""
    for (v, w), home in itertools.product(program.problem.apart, _homes(program.problem)):
        if (one := _on_home(program, v, home)) and (other := _on_home(program, w, home)):
            program.add("apart", pulp.lpSum(one) + pulp.lpSum(other) <= 1)


def _form(program: Program) -> None:
    """Give a tensor the format that its quantizers ask for, float if none does."""
    formats = program.problem.formats
    for f, flow in enumerate(program.problem.flows):
        program.z.append({kind: program.variable(f"z_{f}_{kind}", upper=1) for kind in flow.formats[1:]})
        z = program.z[f]
        if len(z) > 1:
            program.add("form", pulp.lpSum(z.values()) <= 1)
        for kind in z:
            asking = []
            for vertex in flow.quantizers:
                if row := _asking(program, vertex, kind):
                    asking += row
                    program.add("form", pulp.lpSum(row) <= pulp.lpSum(z[one] for one in formats[kind].suits))
            program.add("form", z[kind] <= pulp.lpSum(asking))


def _transport(program: Program) -> None:
    """Lead each consumer edge's unit of flow through four layers, so that the relaxation is tight.

    Producer's option x -> option and format a -> device to device in a form g -> option and format c -> x.
    """
    for f, flow in enumerate(program.problem.flows):
        producer = _beside(program, flow, flow.producer, f"a_{f}")
        program.a.append(producer)
        for kind, z in program.z[f].items():
            program.add("transport", pulp.lpSum(var for (_, k), var in producer.items() if k == kind) == z)
        program.c.append([])
        program.g.append([])
        program.sides.append(_sides(program.problem, flow) if program.on_trees else {})
        for number, vertex in enumerate(flow.consumers):
            consumer = _beside(program, flow, vertex, f"c_{f}_{number}")
            if program.sides[f]:
                _agree(program, f, consumer)
                program.c[f].append(consumer)
                continue
            lanes = {
                lane: program.variable(f"g_{f}_{number}_{'_'.join(map(str, lane))}")
                for lane in _lanes(program.problem, flow, vertex)
            }
            program.c[f].append(consumer)
            program.g[f].append(lanes)
            for side, (end, beside) in enumerate(((flow.producer, producer), (vertex, consumer))):
                _join(program, flow, lanes, side, program.problem.vertices[end].options, beside)


def _beside(program: Program, flow: Flow, vertex: int, name: str) -> dict[tuple[int, int], pulp.LpVariable]:
    """Return (option, format) -> variable whose rows sum to the option's; x itself where one is possible."""
    found: dict[tuple[int, int], pulp.LpVariable] = {}
    for o, (x, option) in enumerate(program.options(vertex)):
        kinds = list(_readable(program.problem, flow, vertex, option))
        if len(kinds) == 1:
            found[o, kinds[0]] = x
            continue
        row = {(o, kind): program.variable(f"{name}_{o}_{kind}") for kind in kinds}
        program.add("transport", pulp.lpSum(row.values()) == x)
        found |= row
    return found


def _agree(program: Program, f: int, beside: Mapping[tuple[int, int], pulp.LpVariable]) -> None:
    """Let a consumer read the format that the tensor has."""
    for kind, z in program.z[f].items():
        program.add("transport", pulp.lpSum(var for (_, k), var in beside.items() if k == kind) == z)


def _sides(problem: PlacementProblem, flow: Flow) -> dict[tuple[int, int], frozenset[int]]:
    """Return (form, link) -> devices before it, if exactly what goes from these to the others goes over it.

    So it is where links make a tree. Then transport needs no lanes: over a link goes what is made before it
    and not read there, which is all that a transport of least cost sends. Empty if it is not so, or if
    anything else of a lane matters.
    """
    if flow.wires or flow.leave_s or flow.enter_s:
        return {}
    found, every = {}, range(len(problem.devices))
    for number, form in enumerate(flow.forms):
        if any(route is None for row in form.routes for route in row):
            return {}
        for link in range(len(problem.links)):
            used = {(d, e) for d in every for e in every if link in (form.routes[d][e] or ())}
            before = frozenset(d for d, _ in used)
            if used != {(d, e) for d in before for e in every if e not in before}:
                return {}
            found[number, link] = before
    return found


def _join(
    program: Program,
    flow: Flow,
    lanes: Lanes,
    side: int,
    options: Sequence[Option],
    beside: Mapping[tuple[int, int], pulp.LpVariable],
) -> None:
    """Let what leaves (side 0) or enters (side 1) a device in a format be what is computed there in it."""
    inside, outside = defaultdict(list), defaultdict(list)
    for lane, variable in lanes.items():
        outside[lane[side], flow.forms[lane[2]].format].append(variable)
    for (o, kind), variable in beside.items():
        inside[options[o].device, kind].append(variable)
    for place in sorted({*inside, *outside}):
        program.add("transport", pulp.lpSum(outside[place]) == pulp.lpSum(inside[place]))


def _absorb(program: Program) -> None:
    """Let no option be what the runtime turns into another where all n tensors are in format f.

    sum z[.,f] - (n - 1) <= sum of the other x[v,.].
    """
    around = defaultdict(list)
    for f, flow in enumerate(program.problem.flows):
        for vertex in flow.quantizers:
            around[vertex].append(f)
    for vertex, flows in around.items():
        for kind in sorted(set.intersection(*(set(program.z[f]) for f in flows))):
            known = list(program.options(vertex))
            others = [x for x, option in known if not program.problem.absorbs(vertex, option, kind)]
            if len(others) < len(known):
                tensors = pulp.lpSum(program.z[f][kind] for f in flows)
                program.add("absorb", tensors - (len(flows) - 1) <= pulp.lpSum(others))


def _within(program: Program) -> None:
    """Let what is slow alone be quantized only beside the like on its device: x[v,d,f] <= x[u,d,f]."""
    for v, vertex in enumerate(program.problem.vertices):
        own = defaultdict(list)
        for x, option in program.options(v):
            if vertex.within and program.problem.has_kernels(option):
                own[option.device, option.format].append(x)
        for place, row in own.items():
            for other in vertex.within:
                beside = [x for x, o in program.options(other) if (o.device, o.format) == place]
                program.add("within", pulp.lpSum(row) <= pulp.lpSum(beside))


def _send(program: Program) -> None:
    """Pay a tensor once per link and form: s[t,l,m] >= sum of the g of each consumer that use the link."""
    for f, flow in enumerate(program.problem.flows):
        for (number, link), before in program.sides[f].items():
            _send_over(program, f, number, link, before)
        for number, form in enumerate(flow.forms):
            for link, lanes in sorted(_by_link(program, f, number).items()):
                _pay(program, f"link_{f}_{link}_{number}", lanes, _link_charges(program.problem, form, link))
        if program.uses(Measure.MAKESPAN):
            _between(program, f, flow)


def _send_over(program: Program, f: int, number: int, link: int, before: frozenset[int]) -> None:
    """Pay for a link of a tree: s[t,l,m] >= sum of a before the link - sum of c before it, per consumer."""
    flow = program.problem.flows[f]
    charges = _link_charges(program.problem, flow.forms[number], link)
    if not any(charges.values()):
        return
    paid = program.variable(f"s_link_{f}_{link}_{number}")
    program.charge(paid, charges)
    made = _in_format(program, flow.producer, program.a[f], number, before)
    consumers = zip(flow.consumers, program.c[f], strict=True)
    reads = [_in_format(program, vertex, beside, number, before) for vertex, beside in consumers]
    for place, read in enumerate(reads):
        known = [_names(made), *map(_names, reads[:place])]
        if _names(read) not in known:
            program.add("pay", pulp.lpSum(made) - pulp.lpSum(read) <= paid)


def _in_format(
    program: Program,
    vertex: int,
    beside: Mapping[tuple[int, int], pulp.LpVariable],
    kind: int,
    devices: frozenset[int],
) -> list[pulp.LpVariable]:
    """Return what makes or reads a tensor in a format on some devices."""
    options = program.problem.vertices[vertex].options
    return [x for (o, k), x in beside.items() if k == kind and options[o].device in devices]


def _by_link(program: Program, f: int, number: int) -> dict[int, list[list[pulp.LpVariable]]]:
    """Return link -> consumer -> the lanes in a form that go over it."""
    routes, consumers = program.problem.flows[f].forms[number].routes, program.g[f]
    found: dict[int, list[list[pulp.LpVariable]]] = {}
    for k, lanes in enumerate(consumers):
        for (source, target, form), variable in lanes.items():
            for link in (routes[source][target] or ()) if form == number else ():
                found.setdefault(link, [[] for _ in consumers])[k].append(variable)
    return found


def _link_charges(problem: PlacementProblem, form: Form, link: int) -> Charges:
    known, seconds = problem.links[link], form.link_s[link]
    charges: Charges = defaultdict(float)
    charges[Account.LINK, link] = seconds
    charges[Account.TRAFFIC, link] = form.size_bytes
    joules = form.link_j[link] if form.link_j else (0.0, 0.0)
    for device, spent in zip((known.source, known.target), joules, strict=True):
        charges[Account.JOULES, problem.home(device)] += spent
        if problem.devices[device].transfers_block:
            charges[Account.LOAD, problem.home(device)] += seconds
    return charges


def _between(program: Program, f: int, flow: Flow) -> None:
    """Pay a tensor's seconds once per pair of stages, of which None is the source or the sink."""
    vertices, devices = program.problem.vertices, range(len(program.problem.devices))
    fixed = vertices[flow.producer].fixed
    for source, target in itertools.product(devices, devices):
        for number, form in enumerate(flow.forms):
            seconds = form.seconds(source, target)
            if not 0 < seconds < inf:
                continue
            for ends in (False, True):
                lanes = [
                    [lane[source, target, number]] if (source, target, number) in lane else []
                    for vertex, lane in zip(flow.consumers, program.g[f], strict=True)
                    if vertices[vertex].fixed == ends
                ]
                pair = (None if fixed else source, None if ends else target)
                name = f"between_{f}_{source}_{target}_{number}_{int(ends)}"
                _pay(program, name, lanes, {(Account.BETWEEN, pair): seconds})


def _wire(program: Program) -> None:
    """Let all crossings of a float tensor take one form, converted once per device, its noise once."""
    for f, flow in enumerate(program.problem.flows):
        if not flow.wires:
            continue
        program.w[f] = w = {
            number: program.lp.add_variable(f"w_{f}_{number}", cat=pulp.LpBinary)
            for number in (FLOAT, *flow.wires)
        }
        program.add("wire", pulp.lpSum(w.values()) <= 1)
        for number, variable in w.items():
            program.charge(variable, {(Account.NOISE, None): flow.forms[number].noise_power})
            for edge in program.g[f]:
                used = [g for (d, e, m), g in edge.items() if d != e and m == number]
                program.add("wire", pulp.lpSum(used) <= variable)
        for number in flow.wires:
            for side, seconds in enumerate((flow.forms[number].encode_s, flow.forms[number].decode_s)):
                for device, spent in enumerate(seconds):
                    lanes = [
                        [g for lane, g in row.items() if lane[2] == number and lane[side] == device]
                        for row in program.g[f]
                    ]
                    name = f"wire_{f}_{number}_{side}_{device}"
                    _pay(program, name, lanes, {(Account.BUSY, device): spent})


def _quantize(program: Program) -> None:
    """Quantize a tensor once, where it arises in another format (or per receiver, see Flow)."""
    for f, flow in enumerate(program.problem.flows):
        producer = program.problem.vertices[flow.producer].options
        for kind in program.z[f]:
            if flow.converts_at_consumer:
                for device, seconds in enumerate(flow.quantize_s[kind]):
                    here = frozenset([device])
                    lanes = [
                        _in_format(program, vertex, beside, kind, here)
                        for vertex, beside in zip(flow.consumers, program.c[f], strict=True)
                    ]
                    _pay(program, f"quantize_{f}_{kind}_{device}", lanes, {(Account.BUSY, device): seconds})
                continue
            for (o, k), variable in program.a[f].items():
                if k == kind and producer[o].format != kind:
                    device = producer[o].device
                    program.charge(variable, {(Account.BUSY, device): flow.quantize_s[kind][device]})


def _dequantize(program: Program) -> None:
    """Bring a quantized tensor back once per device on which a consumer wants another format."""
    for f, flow in enumerate(program.problem.flows):
        for kind, device in itertools.product(program.z[f], range(len(program.problem.devices))):
            lanes = []
            for vertex, beside in zip(flow.consumers, program.c[f], strict=True):
                options = program.problem.vertices[vertex].options
                lanes.append(
                    [
                        variable
                        for (o, k), variable in beside.items()
                        if k == kind and options[o].format != kind and options[o].device == device
                    ]
                )
            charges: Charges = {(Account.BUSY, device): flow.dequantize_s[kind][device]}
            _pay(program, f"dequantize_{f}_{kind}_{device}", lanes, charges)


def _seam(program: Program) -> None:
    """Pay once where a unit's tensor leaves its device, and once per device on which units receive it."""
    vertices = program.problem.vertices
    for f, flow in enumerate(program.problem.flows):
        if vertices[flow.producer].fixed:
            continue
        for side, table in enumerate((flow.leave_s, flow.enter_s)):
            for kind, row in enumerate(table):
                for device, seconds in enumerate(row):
                    lanes = [
                        [
                            variable
                            for lane, variable in lanes.items()
                            if lane[0] != lane[1]
                            and lane[side] == device
                            and flow.forms[lane[2]].format == kind
                        ]
                        for vertex, lanes in zip(flow.consumers, program.g[f], strict=True)
                        if not vertices[vertex].fixed
                    ]
                    name = f"seam_{f}_{side}_{kind}_{device}"
                    _pay(program, name, lanes, {(Account.BUSY, device): seconds})


def _start(program: Program) -> None:
    """Pay for a stage on each device that is used: sum of x[v,.] on d <= u[d]."""
    for d, device in enumerate(program.problem.devices):
        if not device.start_s:
            continue
        used = program.variable(f"u_{d}", upper=1)
        program.charge(used, {(Account.BUSY, d): device.start_s})
        for v, vertex in enumerate(program.problem.vertices):
            here = [x for x, option in program.options(v) if option.device == d]
            if here and not vertex.fixed:
                program.add("start", pulp.lpSum(here) <= used)


def _order(program: Program) -> None:
    """Let stages run one after another: units' tensors cross only forward in one order of convex devices."""
    problem = program.problem
    convex = [d for d, device in enumerate(problem.devices) if device.convex]
    fixed = program.known
    for a, b in itertools.combinations(convex, 2):
        bound = fixed.get((a, b))
        low, high = (0, 1) if bound is None else (int(bound), int(bound))
        program.order[a, b] = program.lp.add_variable(f"b_{a}_{b}", low, high, pulp.LpInteger)
    for a, b, c in itertools.permutations(convex, 3):
        if a < b and a < c:
            rule = _before(program, a, b) + _before(program, b, c) + _before(program, c, a)
            program.add("order", rule <= 2)  # noqa: PLR2004
    if len(convex) < len(problem.devices):
        return  # tensors between convex devices may take other ways: see `_passed`
    for row in _crossings(program):
        for (a, b), variables in row.items():
            program.add("order", pulp.lpSum(variables) <= _before(program, a, b))


def _before(program: Program, a: int, b: int) -> pulp.LpAffineExpression:
    return program.order[a, b] + 0 if a < b else 1 - program.order[b, a]


def _crossings(program: Program) -> Iterator[dict[tuple[int, int], list[pulp.LpVariable]]]:
    """Yield per edge between units: pair of devices -> lanes."""
    vertices = program.problem.vertices
    for flow, edges in zip(program.problem.flows, program.g, strict=True):
        for vertex, lanes in zip(flow.consumers, edges, strict=True):
            if vertices[flow.producer].fixed or vertices[vertex].fixed:
                continue
            row = defaultdict(list)
            for (a, b, _), variable in lanes.items():
                if a != b:
                    row[a, b].append(variable)
            yield row


def _passed(program: Program) -> None:
    """Where some devices may be returned to, let no path that left a convex device d come back to it.

    With l[v,d] for "v comes behind d", r[v,d] = l[v,d] + x[v,.] on d for "at d or behind" and an edge u -> v:
    l[v,d] >= l[u,d]; r[v,d] >= r[u,d]; r[v,d] <= 1. What comes behind d runs after it: l[v,d] >= r[v,e] if e
    is known to run next, else x[v,.] on e + l[v,d] <= 1 + b[d,e].
    """
    problem = program.problem
    convex = [d for d, device in enumerate(problem.devices) if device.convex]
    if len(convex) == len(problem.devices):
        return
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.fixed]
    behind = {(v, d): program.variable(f"l_{v}_{d}", upper=1) for v in units for d in convex}
    reached = {(v, d): behind[v, d] + pulp.lpSum(_on(program, v, d)) for v, d in behind}
    edges = {(flow.producer, v) for flow in problem.flows for v in flow.consumers}
    for u, v in sorted(edge for edge in edges if edge[0] in units and edge[1] in units):
        for d in convex:
            program.add("passed", behind[v, d] >= behind[u, d])
            program.add("passed", reached[v, d] >= reached[u, d])
    for v, d in behind:
        later = [e for e in convex if program.known.get((d, e))]
        program.add("passed", reached[v, d] <= 1)
        if later:
            program.add("passed", behind[v, d] >= reached[v, later[0]])
        for e in convex:
            if e != d and (min(d, e), max(d, e)) not in program.known:
                here = pulp.lpSum(_on(program, v, e))
                program.add("passed", here + behind[v, d] <= 1 + _before(program, d, e))


def known_order(problem: PlacementProblem) -> dict[tuple[int, int], bool]:
    """Return (a, b) with a < b -> whether a runs first, where that is known: visits, and alike devices."""
    classes = {d: number for number, row in enumerate(alike_classes(problem)) for d in row}
    convex = [d for d, device in enumerate(problem.devices) if device.convex]

    def known(a: int, b: int) -> bool:
        return problem.home(a) == problem.home(b) or (a in classes and classes[a] == classes.get(b))

    return {(a, b): True for a, b in itertools.combinations(convex, 2) if known(a, b)}


def _noise(program: Program) -> None:
    """Count a quantized tensor's noise once: z, or an i >= z - x if its producer can hand on a scale."""
    for f, flow in enumerate(program.problem.flows):
        for kind, z in program.z[f].items():
            charges: Charges = {(Account.NOISE, None): flow.noise_power[kind]}
            passing = _asking(program, flow.producer, kind) if flow.inherits else []
            if passing:
                own = program.variable(f"i_{f}_{kind}")
                program.add("inherit", z - pulp.lpSum(passing) <= own)
                program.charge(own, charges)
            else:
                program.charge(z, charges)


def _objective(program: Program) -> None:
    """Minimise the weighted sum of quantities."""
    for quantity in program.problem.quantities:
        program.quantities[quantity] = _quantity(program, quantity)
    terms = [
        (variable, factor * term.weight)
        for term in program.problem.objective
        for variable, factor in program.quantities[term.quantity]
    ]
    total = _sum(terms)
    greatest = max((abs(c) for c in total.values()), default=0.0)
    program.scale = 10.0 ** (_DIGITS - floor(log10(greatest))) if greatest else 1.0
    program.lp.setObjective(total * program.scale)


def _limit(program: Program) -> None:
    """Keep each quantity within its limit, which is brought to 1."""
    for limit in program.problem.limits:
        terms = program.quantities[limit.quantity]
        if limit.at_most == 0:
            program.add("limit", _sum([(x, 1.0) for x, factor in terms if factor > 0]) <= 0)
        else:
            program.add("limit", _sum([(x, c / limit.at_most) for x, c in terms]) <= 1)


def _quantity(program: Program, quantity: Quantity) -> Terms:
    """Return a quantity as terms that are never below it, and equal it in the best solution."""
    if quantity.measure is Measure.PERIOD:
        return _period(program)
    if quantity.measure is Measure.MAKESPAN:
        return _makespan(program)
    prices = prices_of(program.problem, quantity)
    terms = _priced(program, prices) if prices else []
    return [*terms, *_peaks(program, quantity.of)] if quantity.measure is Measure.MEMORY else terms


def _priced(program: Program, prices: Prices) -> Terms:
    """Return a sum over accounts."""
    rows = (
        (Account.BUSY, prices.busy),
        (Account.LINK, prices.link),
        (Account.TRAFFIC, prices.byte),
        (Account.JOULES, prices.joule),
        (Account.WEIGHTS, prices.weight),
    )
    priced: list[tuple[tuple[Account, Place], float]] = [
        ((account, place), price) for account, row in rows for place, price in enumerate(row)
    ]
    priced.append(((Account.NOISE, None), prices.noise))
    return [(x, c * price) for account, price in priced if price for x, c in program.accounts[account]]


def _peaks(program: Program, of: int | None) -> Terms:
    """Return the inputs and outputs of the largest unit on a device, or on each."""
    problem = program.problem
    found: Terms = []
    unit = max((o.activation_bytes for v in problem.vertices for o in v.options), default=0) or 1.0
    for home in _homes(problem) if of is None else [of]:
        peak = program.variable(f"peak_{home}")
        for v in range(len(problem.vertices)):
            held = [
                (x, o.activation_bytes / unit)
                for x, o in program.options(v)
                if problem.home(o.device) == home
            ]
            if any(size for _, size in held):
                program.add("peak", _sum(held) <= peak)
        found.append((peak, unit))
    return found


def _period(program: Program) -> Terms:
    """Return a T that no device's and no link's load exceeds (family period)."""
    problem = program.problem
    period = program.variable("period")
    loads: dict[int, Terms] = defaultdict(list)
    for d in range(len(problem.devices)):
        loads[problem.home(d)] += program.accounts[Account.BUSY, d]
    for home, terms in loads.items():
        terms += program.accounts[Account.LOAD, home]
    links = [program.accounts[Account.LINK, place] for place in range(len(problem.links))]
    for terms in (*loads.values(), *links):
        if terms:
            program.add("period", _sum([(x, c * _MICRO) for x, c in terms]) <= period)
    return [(period, 1 / _MICRO)]


def _makespan(program: Program) -> Terms:
    """Return when the last answer is there (family makespan).

    start[e] >= start[d] + busy[d] + between[d,e] - H (1 - q[d,e]); q[d,e] >= each sum of g from d to e.
    """
    problem, lp = program.problem, program.lp
    horizon = program.horizon_s * _MICRO
    span = program.variable("makespan", upper=horizon)
    start = [program.variable(f"start_{d}", upper=horizon) for d in range(len(problem.devices))]
    busy = [_micro(program, (Account.BUSY, d)) for d in range(len(problem.devices))]
    joined: dict[tuple[int, int], pulp.LpVariable] = {}
    for row in _crossings(program):
        for pair, variables in row.items():
            if pair not in joined:
                joined[pair] = lp.add_variable(f"q_{pair[0]}_{pair[1]}", 0, 1)
            program.add("makespan", pulp.lpSum(variables) <= joined[pair])
    for d in range(len(problem.devices)):
        program.add("makespan", start[d] >= _micro(program, (Account.BETWEEN, (None, d))))
        due = start[d] + busy[d] + _micro(program, (Account.BETWEEN, (d, None)))
        program.add("makespan", due <= span)
    program.add("makespan", _micro(program, (Account.BETWEEN, (None, None))) <= span)
    _paths(program, span)
    for (d, e), both in joined.items():
        arrival = start[d] + busy[d] + _micro(program, (Account.BETWEEN, (d, e)))
        program.add("makespan", start[e] >= arrival - horizon * (1 - both))
    return [(span, 1 / _MICRO)]


def _paths(program: Program, span: pulp.LpVariable) -> None:
    """Let no path take longer than the makespan: its units, switches, seams and transfers (family path).

    For an edge u -> v: T[v] >= T[u] + what lies between + seconds of v; T[v] <= makespan. Stages imply
    it, but in the relaxation, where H blurs them, paths give the better bound.
    """
    problem = program.problem
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.fixed]
    ends = {v: program.variable(f"T_{v}") for v in units}
    own = {v: _sum([(x, o.seconds * _MICRO) for x, o in program.options(v)]) for v in units}
    for v in units:
        program.add("path", ends[v] >= own[v])
        program.add("path", ends[v] <= span)
    for f, flow in enumerate(problem.flows):
        begin = ends.get(flow.producer)
        for k, v in enumerate(flow.consumers):
            between = _sum([(x, c * _MICRO) for x, c in _between_units(program, f, k)])
            before = between + begin if begin is not None else between
            program.add("path", before + own[v] <= ends[v] if v in ends else before <= span)


def _between_units(program: Program, f: int, k: int) -> Iterator[tuple[pulp.LpVariable, float]]:
    """Yield what takes time between a tensor's producer and one of its consumers, but for shared payments."""
    problem, flow = program.problem, program.problem.flows[f]
    inside = not (problem.vertices[flow.producer].fixed or problem.vertices[flow.consumers[k]].fixed)
    for (d, e, m), g in program.g[f][k].items():
        form = flow.forms[m]
        spent = form.seconds(d, e)
        if d != e and form.encode_s:
            spent += form.encode_s[d] + form.decode_s[e]
        if d != e and inside:
            spent += problem.devices[e].start_s
            spent += sum(
                table[form.format][at] for table, at in ((flow.leave_s, d), (flow.enter_s, e)) if table
            )
        yield g, spent
    options = problem.vertices[flow.consumers[k]].options
    for (o, kind), c in program.c[f][k].items() if inside else ():
        if kind not in (FLOAT, options[o].format):
            yield c, flow.dequantize_s[kind][options[o].device]
    made = problem.vertices[flow.producer].options
    for (o, kind), a in program.a[f].items() if inside else ():
        if kind not in (FLOAT, made[o].format):
            yield a, flow.quantize_s[kind][made[o].device]


def _micro(program: Program, account: tuple[Account, Place]) -> pulp.LpAffineExpression:
    return _sum([(x, c * _MICRO) for x, c in program.accounts[account]])


def _lanes(problem: PlacementProblem, flow: Flow, consumer: int) -> Iterator[tuple[int, int, int]]:
    """Yield the (from device, to device, form) in which a tensor can reach a consumer."""
    made = _places(problem, flow, flow.producer)
    read = _places(problem, flow, consumer)
    for number, form in enumerate(flow.forms):
        for (source, kind), (target, other) in itertools.product(made, read):
            if kind == other == form.format and isfinite(form.seconds(source, target)):
                if number in flow.wires and source == target:
                    continue
                yield source, target, number


def _places(problem: PlacementProblem, flow: Flow, vertex: int) -> list[tuple[int, int]]:
    """Return (device, format) of what a vertex can make or read of a tensor."""
    found = {
        (option.device, kind)
        for option in problem.vertices[vertex].options
        for kind in _readable(problem, flow, vertex, option)
    }
    return sorted(found)


def _readable(problem: PlacementProblem, flow: Flow, vertex: int, option: Option) -> Iterable[int]:
    """Return the formats that the tensor can have beside an option of one of its vertices."""
    if option.quantized and vertex in flow.quantizers:
        return problem.formats[option.format].suits
    return flow.formats


def _asking(program: Program, vertex: int, kind: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that ask for a format."""
    return [x for x, option in program.options(vertex) if option.format == kind]


def _on(program: Program, vertex: int, device: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that compute on a device."""
    return [x for x, option in program.options(vertex) if option.device == device]


def _on_home(program: Program, vertex: int, home: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that compute on a device in any of its visits."""
    return [x for x, option in program.options(vertex) if program.problem.home(option.device) == home]


def _homes(problem: PlacementProblem) -> list[int]:
    return [d for d in range(len(problem.devices)) if problem.home(d) == d]


def _longest(problem: PlacementProblem) -> float:
    """Return seconds that no request takes longer than."""
    total = sum(max((o.seconds for o in v.options), default=0.0) for v in problem.vertices)
    total += sum(device.start_s for device in problem.devices)
    count = len(problem.devices)
    for flow in problem.flows:
        tables = (*flow.quantize_s, *flow.dequantize_s, *flow.leave_s, *flow.enter_s)
        total += sum(count * max(row, default=0.0) for row in tables)
        for form in flow.forms:
            total += count * (sum(form.link_s) + sum(form.encode_s) + sum(form.decode_s))
    return total


def _pay(program: Program, name: str, lanes: Iterable[list[pulp.LpVariable]], charges: Charges) -> None:
    """Charge once if any consumer uses one of its lanes."""
    used = [lane for lane in lanes if lane]
    if not used or not any(charges.values()):
        return
    if len(used) == 1:
        for variable in used[0]:
            program.charge(variable, charges)
        return
    paid = program.variable(f"s_{name}")
    program.charge(paid, charges)
    for lane in used:
        program.add("pay", pulp.lpSum(lane) <= paid)


def _sum(terms: Iterable[tuple[pulp.LpVariable, float]]) -> pulp.LpAffineExpression:
    total: dict[pulp.LpVariable, float] = {}
    for variable, factor in terms:
        if factor:
            total[variable] = total.get(variable, 0.0) + factor
    return pulp.LpAffineExpression(total)
