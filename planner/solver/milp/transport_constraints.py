"""How tensors move, a function per constraint family: transport, links, wires."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isfinite

import pulp

from planner.problem.lone_switches import lone_switches
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric
from planner.problem.stage_ways import end_changes, end_stage, free_seconds, received_links, sent_links
from planner.problem.tensors import FLOAT, Flow
from planner.problem.units import Option
from planner.solver.milp.program import (
    AccountCosts,
    AccountIndex,
    CostAccount,
    Program,
    TransportVariables,
    add_shared_cost,
    host_of,
    readable_formats,
    variable_names,
    variables_in_format,
)


def add_transport(program: Program) -> None:
    """Lead each consumer edge's unit of flow through four layers, so that the relaxation is tight.

    Producer's option x -> option and format a -> device to device in a form g -> option and format c -> x.
    """
    for f, flow in enumerate(program.problem.flows):
        producer = _options_with_formats(program, flow, flow.producer, f"a_{f}")
        program.a.append(producer)
        for tensor_format, z in program.z[f].items():
            program.add(
                "transport", pulp.lpSum(var for (_, k), var in producer.items() if k == tensor_format) == z
            )
        program.c.append([])
        program.g.append([])
        program.devices_before.append(
            _devices_before_links(program.problem, flow) if program.without_lanes else {}
        )
        for number, vertex in enumerate(flow.consumers):
            consumer = _options_with_formats(program, flow, vertex, f"c_{f}_{number}")
            if program.devices_before[f]:
                _read_tensor_format(program, f, consumer)
                program.c[f].append(consumer)
                continue
            transports = {
                move: program.variable(f"g_{f}_{number}_{'_'.join(map(str, move))}")
                for move in _possible_moves(program.problem, flow, vertex)
            }
            program.c[f].append(consumer)
            program.g[f].append(transports)
            for side, (end, options_with_formats) in enumerate(
                ((flow.producer, producer), (vertex, consumer))
            ):
                _match_transport(
                    program,
                    flow,
                    transports,
                    side,
                    program.problem.vertices[end].options,
                    options_with_formats,
                )


def _options_with_formats(
    program: Program, flow: Flow, vertex: int, name: str
) -> dict[tuple[int, int], pulp.LpVariable]:
    """Return (option, format) -> variable whose rows sum to the option's; x itself where one is possible."""
    variables: dict[tuple[int, int], pulp.LpVariable] = {}
    for o, (x, option) in enumerate(program.options(vertex)):
        formats = list(readable_formats(program.problem, flow, vertex, option))
        if len(formats) == 1:
            variables[o, formats[0]] = x
            continue
        row = {
            (o, tensor_format): program.variable(f"{name}_{o}_{tensor_format}") for tensor_format in formats
        }
        program.add("transport", pulp.lpSum(row.values()) == x)
        variables |= row
    return variables


def _read_tensor_format(
    program: Program, f: int, with_formats: Mapping[tuple[int, int], pulp.LpVariable]
) -> None:
    """Let a consumer read the format that the tensor has."""
    for tensor_format, z in program.z[f].items():
        program.add(
            "transport", pulp.lpSum(var for (_, k), var in with_formats.items() if k == tensor_format) == z
        )


def _devices_before_links(problem: PlacementProblem, flow: Flow) -> dict[tuple[int, int], frozenset[int]]:
    """Return (form, link) -> devices before it, if exactly what goes from these to the others goes over it.

    So it is where links make a tree. Then no variable per pair of devices is needed: over a link goes what is
    made before it and not read there, which is all that a transport of least cost sends. Empty if it is not
    so, or if something depends on the pair of devices.
    """
    if flow.wires or flow.leave_s or flow.enter_s:
        return {}
    devices_before, devices = {}, range(len(problem.devices))
    for number, form in enumerate(flow.forms):
        # Where links do not reach all, whether a tensor can go matters, not only what it costs.
        if any(route is None for row in form.routes for route in row):
            return {}
        for link in range(len(problem.links)):
            used = {(d, e) for d in devices for e in devices if link in (form.routes[d][e] or ())}
            before = frozenset(d for d, _ in used)
            if used != {(d, e) for d in before for e in devices if e not in before}:
                return {}
            devices_before[number, link] = before
    return devices_before


def _match_transport(
    program: Program,
    flow: Flow,
    transports: TransportVariables,
    side: int,
    options: Sequence[Option],
    with_formats: Mapping[tuple[int, int], pulp.LpVariable],
) -> None:
    """Let what leaves (side 0) or enters (side 1) a device in a format be what is computed there in it."""
    inside, outside = defaultdict(list), defaultdict(list)
    for move, variable in transports.items():
        outside[move[side], flow.forms[move[2]].format].append(variable)
    for (o, tensor_format), variable in with_formats.items():
        inside[options[o].device, tensor_format].append(variable)
    for device_and_format in sorted({*inside, *outside}):
        program.add(
            "transport", pulp.lpSum(outside[device_and_format]) == pulp.lpSum(inside[device_and_format])
        )


def add_links(program: Program) -> None:
    """Pay a tensor once per link and form: s[t,l,m] >= sum of the g of each consumer that use the link."""
    for f, flow in enumerate(program.problem.flows):
        for (number, link), before in program.devices_before[f].items():
            _add_tree_link(program, f, number, link, before)
        for number in range(len(flow.forms)):
            for link, transports in sorted(_by_link(program, f, number).items()):
                add_shared_cost(
                    program,
                    f"link_{f}_{link}_{number}",
                    transports,
                    _link_costs(program.problem, flow, number, link),
                )
        if program.uses(CostMetric.MAKESPAN):
            _add_between_stages(program, f, flow)
            _add_blocking(program, f, flow)
    if program.uses(CostMetric.MAKESPAN):
        _add_lone_switches(program)


def _add_tree_link(program: Program, f: int, number: int, link: int, before: frozenset[int]) -> None:
    """Pay for a link of a tree: s[t,l,m] >= sum of a before the link - sum of c before it, per consumer."""
    flow = program.problem.flows[f]
    costs = _link_costs(program.problem, flow, number, link)
    if not any(costs.values()):
        return
    paid = program.variable(f"s_link_{f}_{link}_{number}")
    program.add_cost(paid, costs)
    made = variables_in_format(program, flow.producer, program.a[f], number, before)
    consumers = zip(flow.consumers, program.c[f], strict=True)
    reads = [
        variables_in_format(program, vertex, with_formats, number, before)
        for vertex, with_formats in consumers
    ]
    for number_of_consumer, read in enumerate(reads):
        # Consumers with the same variables would give the same row, and the producer's own a trivial one.
        distinct = [variable_names(made), *map(variable_names, reads[:number_of_consumer])]
        if variable_names(read) not in distinct:
            program.add("pay", pulp.lpSum(made) - pulp.lpSum(read) <= paid)


def _by_link(program: Program, f: int, number: int) -> dict[int, list[list[pulp.LpVariable]]]:
    """Return link -> consumer -> the transport variables in a form that go over it."""
    routes, consumers = program.problem.flows[f].forms[number].routes, program.g[f]
    by_link: dict[int, list[list[pulp.LpVariable]]] = {}
    for k, transports in enumerate(consumers):
        for (source, target, form), variable in transports.items():
            for link in (routes[source][target] or ()) if form == number else ():
                by_link.setdefault(link, [[] for _ in consumers])[k].append(variable)
    return by_link


def _link_costs(problem: PlacementProblem, flow: Flow, number: int, link: int) -> AccountCosts:
    form, ends = flow.forms[number], problem.links[link]
    seconds = form.link_s[link]
    costs: AccountCosts = defaultdict(float)
    costs[CostAccount.LINK, link] = seconds
    costs[CostAccount.MODEL_LINK, problem.flow_model(flow)] = seconds
    costs[CostAccount.TRAFFIC, link] = form.size_bytes
    joules = form.link_j[link] if form.link_j else (0.0, 0.0)
    for device, device_joules in zip((ends.source, ends.target), joules, strict=True):
        costs[CostAccount.JOULES, problem.physical_device(device)] += device_joules
        if problem.devices[device].transfers_block:
            costs[CostAccount.LOAD, problem.physical_device(device)] += seconds
    return costs


def _add_between_stages(program: Program, f: int, flow: Flow) -> None:
    """Pay a tensor's seconds once per pair of stages, as `stage_ways` has them."""
    for way in _ways(program.problem, flow):
        if 0 < way.seconds < inf:
            name = f"between_{f}_{way.source}_{way.target}_{way.form}_{int(way.is_due)}"
            costs: AccountCosts = {(CostAccount.BETWEEN, way.stages): way.seconds}
            add_shared_cost(program, name, _moves(program, f, way), costs)


def _add_blocking(program: Program, f: int, flow: Flow) -> None:
    """Pay the transfers that keep a device from computing in its stage, or apart for sources and sinks."""
    problem = program.problem
    is_given = problem.vertices[flow.producer].is_terminal
    uses: dict[tuple[CostAccount, int, int, int], list[list[pulp.LpVariable]]] = {}
    for k, (v, transports) in enumerate(zip(flow.consumers, program.g[f], strict=True)):
        receiver = CostAccount.RECEIVED if problem.vertices[v].is_terminal else CostAccount.STAGE
        sender = CostAccount.SENT if is_given else CostAccount.STAGE
        for (d, e, m), g in transports.items():
            form = flow.forms[m]
            paid = [(sender, d, m, x) for x in sent_links(problem, form, d, e)]
            paid += [(receiver, e, m, x) for x in received_links(problem, form, d, e)]
            for key in paid:
                uses.setdefault(key, [[] for _ in flow.consumers])[k].append(g)
    for (account, device, m, link), by_consumer in uses.items():
        name = f"blocked_{f}_{account.name}_{device}_{m}_{link}"
        add_shared_cost(program, name, by_consumer, {(account, device): flow.forms[m].link_s[link]})


def _add_lone_switches(program: Program) -> None:
    """Pay, where no unit runs, what a source or a sink changes on a tensor's way, and the start of a stage.

    lone >= sum of g - h[d] for each consumer; h[d] <= sum of the units' x on d, h[d] <= 1.
    """
    starts: dict[tuple[int, AccountIndex], list[pulp.LpAffineExpression]] = defaultdict(list)
    for f, flow in enumerate(program.problem.flows):
        for way in _ways(program.problem, flow):
            uses = [pulp.lpSum(row) for row in _moves(program, f, way) if row]
            for device, seconds in way.switches if uses else ():
                _pay_alone(program, host_of(program, device), uses, way.stages, seconds)
                starts[device, way.stages] += uses
    for (device, stages), uses in starts.items():
        _pay_alone(program, host_of(program, device), uses, stages, program.problem.devices[device].start_s)


def _pay_alone(
    program: Program,
    host: pulp.LpVariable,
    uses: Sequence[pulp.LpAffineExpression],
    stages: AccountIndex,
    seconds: float,
) -> None:
    if seconds:
        program.counts["lone_s"] += 1
        lone = program.variable(f"lone_{program.counts['lone_s']}")
        program.add_cost(lone, {(CostAccount.BETWEEN, stages): seconds})
        for use in uses:
            program.add("lone", use - host <= lone)


@dataclass(frozen=True, slots=True)
class _Way:
    """A way of a tensor from device to device in a form, to a unit's stage or to a sink.

    Parameters
    ----------
    seconds
        On links that block neither end, and of changes that no stage does.
    switches
        (device, seconds) of changes of a source or a sink, where no unit runs there.
    """

    source: int
    target: int
    form: int
    is_due: bool
    stages: tuple[int | None, int | None, int]
    seconds: float
    switches: tuple[tuple[int, float], ...]


def _ways(problem: PlacementProblem, flow: Flow) -> Iterator[_Way]:
    """Yield all ways of a tensor between stages; one on the sink's device and the sink itself each wait.

    Units that stand for themselves are in no such stage.
    """
    devices = range(len(problem.devices))
    model, is_given = problem.flow_model(flow), problem.vertices[flow.producer].is_terminal
    for source, target in itertools.product(devices, devices):
        for form, is_due in itertools.product(range(len(flow.forms)), (False, True)):
            stands_alone = (
                not is_given and not problem.devices[source].contiguous,
                not is_due and not problem.devices[target].contiguous,
            )
            if any(stands_alone):
                continue
            stages = (
                end_stage(problem, source) if is_given else source,
                end_stage(problem, target) if is_due else target,
                model,
            )
            if source == target and not is_given and not is_due:
                continue  # within a stage
            switches = tuple(
                (device, seconds)
                for device, seconds in lone_switches(problem, flow, form, source, target, is_due=is_due)
                if problem.devices[device].contiguous
            )
            seconds = free_seconds(problem, flow.forms[form], source, target)
            seconds += sum(end_changes(problem, flow, form, source, target, is_due=is_due))
            yield _Way(source, target, form, is_due, stages, seconds, switches)


def _moves(program: Program, f: int, way: _Way) -> list[list[pulp.LpVariable]]:
    """Return consumer -> the variables with which a tensor goes this way to it."""
    vertices, move = program.problem.vertices, (way.source, way.target, way.form)
    return [
        [transports[move]] if move in transports else []
        for vertex, transports in zip(program.problem.flows[f].consumers, program.g[f], strict=True)
        if vertices[vertex].is_terminal == way.is_due
    ]


def add_wire_choice(program: Program) -> None:
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
            # w is 0 where nothing crosses, so that noise is paid only for a tensor that does.
            noise = (CostAccount.NOISE, program.problem.flow_model(flow))
            program.add_cost(variable, {noise: flow.forms[number].noise_power})
            for edge in program.g[f]:
                used = [g for (d, e, m), g in edge.items() if d != e and m == number]
                program.add("wire", pulp.lpSum(used) <= variable)
        for number in flow.wires:
            for side, seconds in enumerate((flow.forms[number].encode_s, flow.forms[number].decode_s)):
                for device, device_s in enumerate(seconds):
                    conversions = [
                        [g for move, g in row.items() if move[2] == number and move[side] == device]
                        for row in program.g[f]
                    ]
                    name = f"wire_{f}_{number}_{side}_{device}"
                    add_shared_cost(program, name, conversions, {(CostAccount.BUSY, device): device_s})


def _possible_moves(problem: PlacementProblem, flow: Flow, consumer: int) -> Iterator[tuple[int, int, int]]:
    """Yield the (from device, to device, form) in which a tensor can reach a consumer."""
    produced = _devices_and_formats(problem, flow, flow.producer)
    read = _devices_and_formats(problem, flow, consumer)
    for number, form in enumerate(flow.forms):
        for (source, tensor_format), (target, read_format) in itertools.product(produced, read):
            if tensor_format == read_format == form.format and isfinite(form.seconds(source, target)):
                if number in flow.wires and source == target:
                    continue  # a tensor that stays is not converted
                yield source, target, number


def _devices_and_formats(problem: PlacementProblem, flow: Flow, vertex: int) -> list[tuple[int, int]]:
    """Return (device, format) of what a vertex can make or read of a tensor."""
    ends = {
        (option.device, tensor_format)
        for option in problem.vertices[vertex].options
        for tensor_format in readable_formats(problem, flow, vertex, option)
    }
    return sorted(ends)
