"""How tensors move and change, a function per constraint family: transport, links, wires, switches, seams."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import inf, isfinite

import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.tensors import FLOAT, Flow, WireForm
from planner.problem.units import Option
from planner.solver.milp.builder import (
    Charges,
    CostAccount,
    Lanes,
    Program,
    add_shared_cost,
    names_of,
    readable_formats,
)


def add_transport(program: Program) -> None:
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
        kinds = list(readable_formats(program.problem, flow, vertex, option))
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


def add_links(program: Program) -> None:
    """Pay a tensor once per link and form: s[t,l,m] >= sum of the g of each consumer that use the link."""
    for f, flow in enumerate(program.problem.flows):
        for (number, link), before in program.sides[f].items():
            _send_over(program, f, number, link, before)
        for number, form in enumerate(flow.forms):
            for link, lanes in sorted(_by_link(program, f, number).items()):
                add_shared_cost(
                    program, f"link_{f}_{link}_{number}", lanes, _link_charges(program.problem, form, link)
                )
        if program.uses(CostMetric.MAKESPAN):
            _between(program, f, flow)


def _send_over(program: Program, f: int, number: int, link: int, before: frozenset[int]) -> None:
    """Pay for a link of a tree: s[t,l,m] >= sum of a before the link - sum of c before it, per consumer."""
    flow = program.problem.flows[f]
    charges = _link_charges(program.problem, flow.forms[number], link)
    if not any(charges.values()):
        return
    paid = program.variable(f"s_link_{f}_{link}_{number}")
    program.add_cost(paid, charges)
    made = _in_format(program, flow.producer, program.a[f], number, before)
    consumers = zip(flow.consumers, program.c[f], strict=True)
    reads = [_in_format(program, vertex, beside, number, before) for vertex, beside in consumers]
    for place, read in enumerate(reads):
        known = [names_of(made), *map(names_of, reads[:place])]
        if names_of(read) not in known:
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


def _link_charges(problem: PlacementProblem, form: WireForm, link: int) -> Charges:
    known, seconds = problem.links[link], form.link_s[link]
    charges: Charges = defaultdict(float)
    charges[CostAccount.LINK, link] = seconds
    charges[CostAccount.TRAFFIC, link] = form.size_bytes
    joules = form.link_j[link] if form.link_j else (0.0, 0.0)
    for device, spent in zip((known.source, known.target), joules, strict=True):
        charges[CostAccount.JOULES, problem.physical_device(device)] += spent
        if problem.devices[device].transfers_block:
            charges[CostAccount.LOAD, problem.physical_device(device)] += seconds
    return charges


def _between(program: Program, f: int, flow: Flow) -> None:
    """Pay a tensor's seconds once per pair of stages, of which None is the source or the sink."""
    vertices, devices = program.problem.vertices, range(len(program.problem.devices))
    fixed = vertices[flow.producer].is_terminal
    for source, target in itertools.product(devices, devices):
        for number, form in enumerate(flow.forms):
            seconds = form.seconds(source, target)
            if not 0 < seconds < inf:
                continue
            for ends in (False, True):
                lanes = [
                    [lane[source, target, number]] if (source, target, number) in lane else []
                    for vertex, lane in zip(flow.consumers, program.g[f], strict=True)
                    if vertices[vertex].is_terminal == ends
                ]
                pair = (None if fixed else source, None if ends else target)
                name = f"between_{f}_{source}_{target}_{number}_{int(ends)}"
                add_shared_cost(program, name, lanes, {(CostAccount.BETWEEN, pair): seconds})


def add_wires(program: Program) -> None:
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
            program.add_cost(variable, {(CostAccount.NOISE, None): flow.forms[number].noise_power})
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
                    add_shared_cost(program, name, lanes, {(CostAccount.BUSY, device): spent})


def add_quantize(program: Program) -> None:
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
                    add_shared_cost(
                        program, f"quantize_{f}_{kind}_{device}", lanes, {(CostAccount.BUSY, device): seconds}
                    )
                continue
            for (o, k), variable in program.a[f].items():
                if k == kind and producer[o].format != kind:
                    device = producer[o].device
                    program.add_cost(variable, {(CostAccount.BUSY, device): flow.quantize_s[kind][device]})


def add_dequantize(program: Program) -> None:
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
            charges: Charges = {(CostAccount.BUSY, device): flow.dequantize_s[kind][device]}
            add_shared_cost(program, f"dequantize_{f}_{kind}_{device}", lanes, charges)


def add_stage_boundaries(program: Program) -> None:
    """Pay once where a unit's tensor leaves its device, and once per device on which units receive it."""
    vertices = program.problem.vertices
    for f, flow in enumerate(program.problem.flows):
        if vertices[flow.producer].is_terminal:
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
                        if not vertices[vertex].is_terminal
                    ]
                    name = f"seam_{f}_{side}_{kind}_{device}"
                    add_shared_cost(program, name, lanes, {(CostAccount.BUSY, device): seconds})


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
        for kind in readable_formats(problem, flow, vertex, option)
    }
    return sorted(found)
