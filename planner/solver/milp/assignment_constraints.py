"""What a plan must keep, a function per constraint family: formats, groups, order."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator

import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import FLOAT
from planner.solver.device_order import next_devices
from planner.solver.milp.option_variables import groups_together
from planner.solver.milp.program import (
    CostAccount,
    Program,
    crossings,
    on_device,
    on_physical_device,
    options_with_format,
    physical_devices,
    runs_before,
    variable_names,
)


def add_together(program: Program) -> None:
    """Keep a group on one device: sum of x[v,.] on d = sum of x[first,.] on d."""
    for group in groups_together(program.problem):
        for vertex, device in itertools.product(group[1:], physical_devices(program.problem)):
            first, others = (
                on_physical_device(program, group[0], device),
                on_physical_device(program, vertex, device),
            )
            # Shared variables make the two sums the same expression.
            if variable_names(first) != variable_names(others):
                program.add("together", pulp.lpSum(first) == pulp.lpSum(others))


def add_apart(program: Program) -> None:
    """Keep two vertices on different devices: sum of x[v,.] on d + sum of x[w,.] on d <= 1."""
    for (v, w), device in itertools.product(program.problem.apart, physical_devices(program.problem)):
        if (first := on_physical_device(program, v, device)) and (
            second := on_physical_device(program, w, device)
        ):
            program.add("apart", pulp.lpSum(first) + pulp.lpSum(second) <= 1)


def add_formats(program: Program) -> None:
    """Give a tensor the format that its quantizers ask for, float if none does."""
    formats = program.problem.formats
    for f, flow in enumerate(program.problem.flows):
        program.z.append(
            {
                quantized_format: program.variable(f"z_{f}_{quantized_format}", upper=1)
                for quantized_format in flow.formats[1:]
            }
        )
        z = program.z[f]
        if len(z) > 1:
            program.add("form", pulp.lpSum(z.values()) <= 1)
        for quantized_format in z:
            askers: list[pulp.LpVariable] = []
            for vertex in flow.quantizers:
                if row := options_with_format(program, vertex, quantized_format):
                    askers += row
                    program.add(
                        "form",
                        pulp.lpSum(row)
                        <= pulp.lpSum(z[accepted] for accepted in formats[quantized_format].accepts),
                    )
            program.add("form", z[quantized_format] <= pulp.lpSum(askers))


def add_forced_kernels(program: Program) -> None:
    """Let no option be what the runtime turns into another where all n tensors are in format f.

    sum z[.,f] - (n - 1) <= sum of the other x[v,.].
    """
    flows_around = defaultdict(list)
    for f, flow in enumerate(program.problem.flows):
        for vertex in flow.quantizers:
            flows_around[vertex].append(f)
    for vertex, flows in flows_around.items():
        for quantized_format in sorted(set.intersection(*(set(program.z[f]) for f in flows))):
            # All others become an integer kernel: one of these is taken, or a tensor is in another format.
            options = list(program.options(vertex))
            unaffected = [
                x
                for x, option in options
                if not program.problem.forces_kernel(vertex, option, quantized_format)
            ]
            if len(unaffected) < len(options):
                tensors = pulp.lpSum(program.z[f][quantized_format] for f in flows)
                program.add("absorb", tensors - (len(flows) - 1) <= pulp.lpSum(unaffected))


def add_coupling(program: Program) -> None:
    """Let what is slow alone be quantized only beside the like on its device: x[v,d,f] <= x[u,d,f]."""
    for v, vertex in enumerate(program.problem.vertices):
        by_device_and_format = defaultdict(list)
        for x, option in program.options(v):
            if vertex.coupled_with and program.problem.has_kernels(option):
                by_device_and_format[option.device, option.format].append(x)
        for device_and_format, row in by_device_and_format.items():
            for neighbour in vertex.coupled_with:
                neighbours = [
                    x for x, o in program.options(neighbour) if (o.device, o.format) == device_and_format
                ]
                program.add("within", pulp.lpSum(row) <= pulp.lpSum(neighbours))


def add_starts(program: Program) -> None:
    """Pay for a stage on each device that is used: sum of x[v,.] on d <= u[d].

    So do a tensor that changes its format at the source, and one at the sink: what of a, c or g says so.
    """
    for d, device in enumerate(program.problem.devices):
        if not device.start_s:
            continue
        used = program.variable(f"u_{d}", upper=1)
        program.add_cost(used, {(CostAccount.BUSY, d): device.start_s})
        for v, vertex in enumerate(program.problem.vertices):
            here = [x for x, option in program.options(v) if option.device == d]
            if here and not vertex.is_terminal:
                program.add("start", pulp.lpSum(here) <= used)
        for f in range(len(program.problem.flows)):
            for changing in _changing_ends(program, f, d):
                program.add("start", pulp.lpSum(changing) <= used)


def _changing_ends(program: Program, f: int, d: int) -> Iterator[list[pulp.LpVariable]]:
    """Yield what says that a tensor changes its format at the source or the sink on a device."""
    flow, vertices = program.problem.flows[f], program.problem.vertices
    transports = program.g[f] or [{} for _ in flow.consumers]
    if vertices[flow.producer].is_terminal:
        options = vertices[flow.producer].options
        produced = [] if flow.converts_at_consumer else list(program.a[f].items())
        yield [a for (o, tensor_format), a in produced if tensor_format != FLOAT and options[o].device == d]
        for row in transports:
            yield [g for (s, e, m), g in row.items() if m in flow.wires and s == d != e]
    for v, read, row in zip(flow.consumers, program.c[f], transports, strict=True):
        if vertices[v].is_terminal:
            options = vertices[v].options
            yield [
                c
                for (o, tensor_format), c in read.items()
                if tensor_format != FLOAT and options[o].device == d
            ]
            yield [g for (s, e, m), g in row.items() if m in flow.wires and s != e == d]


def add_order(program: Program) -> None:
    """Let stages run one after another: units' tensors cross only forward in one order of the devices.

    b is a linear order of the contiguous devices: no cycle of three of them is enough (Groetschel, Juenger
    and Reinelt, "A cutting plane algorithm for the linear ordering problem", Operations Research 32, 1984).
    """
    problem = program.problem
    contiguous = [d for d, device in enumerate(problem.devices) if device.contiguous]
    for a, b in _of_one_model(problem, itertools.combinations(contiguous, 2)):
        low, high = int((a, b) in program.device_order), int((b, a) not in program.device_order)
        program.order[a, b] = program.lp.add_variable(f"b_{a}_{b}", low, high, pulp.LpInteger)
    for a, b, c in _of_one_model(problem, itertools.permutations(contiguous, 3)):
        if a < b and a < c:
            rule = runs_before(program, a, b) + runs_before(program, b, c) + runs_before(program, c, a)
            program.add("order", rule <= 2)  # noqa: PLR2004
    if len(contiguous) < len(problem.devices):
        return  # a path may go through devices that have no order: see `add_revisits`
    for row in crossings(program):
        for (a, b), variables in row.items():
            program.add("order", pulp.lpSum(variables) <= runs_before(program, a, b))


def _of_one_model(problem: PlacementProblem, groups: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """Yield the groups of devices whose stages are of one model: between models there is no order."""
    return (group for group in groups if len({problem.devices[d].model for d in group}) == 1)


def add_revisits(program: Program) -> None:
    """Where some devices may be returned to, let no path that left a contiguous device d come back to it.

    With l[v,d] for "v comes behind d", r[v,d] = l[v,d] + x[v,.] on d for "at d or behind" and an edge u -> v:
    l[v,d] >= l[u,d]; r[v,d] >= r[u,d]; r[v,d] <= 1. What comes behind d runs after it: l[v,d] >= r[v,e] if e
    is known to run next, else x[v,.] on e + l[v,d] <= 1 + b[d,e].
    """
    problem = program.problem
    contiguous = [d for d, device in enumerate(problem.devices) if device.contiguous]
    if len(contiguous) == len(problem.devices):
        return
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    behind = {
        (v, d): program.variable(f"l_{v}_{d}", upper=1)
        for v in units
        for d in contiguous
        if problem.vertices[v].model == problem.devices[d].model
    }
    at_or_behind = {(v, d): behind[v, d] + pulp.lpSum(on_device(program, v, d)) for v, d in behind}
    edges = {(flow.producer, v) for flow in problem.flows for v in flow.consumers}
    for (u, v), d in itertools.product(sorted(edges), contiguous):
        if (u, d) in behind and (v, d) in behind:
            program.add("passed", behind[v, d] >= behind[u, d])
            program.add("passed", at_or_behind[v, d] >= at_or_behind[u, d])
    for v, d in behind:
        others = [e for e in contiguous if (v, e) in behind and e != d]
        program.add("passed", at_or_behind[v, d] <= 1)
        for e in next_devices(program.device_order, d, others):
            program.add("passed", behind[v, d] >= at_or_behind[v, e])
        for e in others:
            if not {(d, e), (e, d)} & program.device_order:
                here = pulp.lpSum(on_device(program, v, e))
                program.add("passed", here + behind[v, d] <= 1 + runs_before(program, d, e))
