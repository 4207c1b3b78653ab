"""What a plan must keep, a function per constraint family: choices, formats, groups, order."""

import itertools
from collections import defaultdict
from collections.abc import Iterator

import networkx as nx
import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import FLOAT
from planner.solver.milp.builder import (
    CostAccount,
    Program,
    crossings,
    homes,
    names_of,
    on_device,
    on_physical_device,
    options_with_format,
    runs_before,
)
from planner.solver.presolve.device_symmetry import interchangeable_devices


def add_choice(program: Program) -> None:
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
            home = problem.physical_device(option.device)
            program.add_cost(
                x,
                {
                    (CostAccount.BUSY, option.device): option.seconds,
                    (CostAccount.JOULES, home): option.joules,
                    (CostAccount.WEIGHTS, home): option.weight_bytes,
                    (CostAccount.NOISE, None): option.noise_power,
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


def add_together(program: Program) -> None:
    """Keep a group on one device: sum of x[v,.] on d = sum of x[first,.] on d."""
    for group in _groups(program.problem):
        for vertex, home in itertools.product(group[1:], homes(program.problem)):
            first, own = (
                on_physical_device(program, group[0], home),
                on_physical_device(program, vertex, home),
            )
            if names_of(first) != names_of(own):
                program.add("together", pulp.lpSum(first) == pulp.lpSum(own))


def add_apart(program: Program) -> None:
    """Keep two vertices on different devices: sum of x[v,.] on d + sum of x[w,.] on d <= 1."""
    for (v, w), home in itertools.product(program.problem.apart, homes(program.problem)):
        if (one := on_physical_device(program, v, home)) and (other := on_physical_device(program, w, home)):
            program.add("apart", pulp.lpSum(one) + pulp.lpSum(other) <= 1)


def add_formats(program: Program) -> None:
    """Give a tensor the format that its quantizers ask for, float if none does."""
    formats = program.problem.formats
    for f, flow in enumerate(program.problem.flows):
        program.z.append({kind: program.variable(f"z_{f}_{kind}", upper=1) for kind in flow.formats[1:]})
        z = program.z[f]
        if len(z) > 1:
            program.add("form", pulp.lpSum(z.values()) <= 1)
        for kind in z:
            everyone: list[pulp.LpVariable] = []
            for vertex in flow.quantizers:
                if row := options_with_format(program, vertex, kind):
                    everyone += row
                    program.add(
                        "form", pulp.lpSum(row) <= pulp.lpSum(z[one] for one in formats[kind].accepts)
                    )
            program.add("form", z[kind] <= pulp.lpSum(everyone))


def add_forced_kernels(program: Program) -> None:
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
            others = [x for x, option in known if not program.problem.forces_kernel(vertex, option, kind)]
            if len(others) < len(known):
                tensors = pulp.lpSum(program.z[f][kind] for f in flows)
                program.add("absorb", tensors - (len(flows) - 1) <= pulp.lpSum(others))


def add_coupling(program: Program) -> None:
    """Let what is slow alone be quantized only beside the like on its device: x[v,d,f] <= x[u,d,f]."""
    for v, vertex in enumerate(program.problem.vertices):
        own = defaultdict(list)
        for x, option in program.options(v):
            if vertex.coupled_with and program.problem.has_kernels(option):
                own[option.device, option.format].append(x)
        for place, row in own.items():
            for other in vertex.coupled_with:
                beside = [x for x, o in program.options(other) if (o.device, o.format) == place]
                program.add("within", pulp.lpSum(row) <= pulp.lpSum(beside))


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
    lanes = program.g[f] or [{} for _ in flow.consumers]
    if vertices[flow.producer].is_terminal:
        options = vertices[flow.producer].options
        made = [] if flow.converts_at_consumer else list(program.a[f].items())
        yield [a for (o, kind), a in made if kind != FLOAT and options[o].device == d]
        for row in lanes:
            yield [g for (s, e, m), g in row.items() if m in flow.wires and s == d != e]
    for v, read, row in zip(flow.consumers, program.c[f], lanes, strict=True):
        if vertices[v].is_terminal:
            options = vertices[v].options
            yield [c for (o, kind), c in read.items() if kind != FLOAT and options[o].device == d]
            yield [g for (s, e, m), g in row.items() if m in flow.wires and s != e == d]


def add_order(program: Program) -> None:
    """Let stages run one after another: units' tensors cross only forward in one order of convex devices."""
    problem = program.problem
    convex = [d for d, device in enumerate(problem.devices) if device.contiguous]
    fixed = program.known
    for a, b in itertools.combinations(convex, 2):
        bound = fixed.get((a, b))
        low, high = (0, 1) if bound is None else (int(bound), int(bound))
        program.order[a, b] = program.lp.add_variable(f"b_{a}_{b}", low, high, pulp.LpInteger)
    for a, b, c in itertools.permutations(convex, 3):
        if a < b and a < c:
            rule = runs_before(program, a, b) + runs_before(program, b, c) + runs_before(program, c, a)
            program.add("order", rule <= 2)  # noqa: PLR2004
    if len(convex) < len(problem.devices):
        return  # tensors between convex devices may take other ways: see `_passed`
    for row in crossings(program):
        for (a, b), variables in row.items():
            program.add("order", pulp.lpSum(variables) <= runs_before(program, a, b))


def add_revisits(program: Program) -> None:
    """Where some devices may be returned to, let no path that left a convex device d come back to it.

    With l[v,d] for "v comes behind d", r[v,d] = l[v,d] + x[v,.] on d for "at d or behind" and an edge u -> v:
    l[v,d] >= l[u,d]; r[v,d] >= r[u,d]; r[v,d] <= 1. What comes behind d runs after it: l[v,d] >= r[v,e] if e
    is known to run next, else x[v,.] on e + l[v,d] <= 1 + b[d,e].
    """
    problem = program.problem
    convex = [d for d, device in enumerate(problem.devices) if device.contiguous]
    if len(convex) == len(problem.devices):
        return
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    behind = {(v, d): program.variable(f"l_{v}_{d}", upper=1) for v in units for d in convex}
    reached = {(v, d): behind[v, d] + pulp.lpSum(on_device(program, v, d)) for v, d in behind}
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
                here = pulp.lpSum(on_device(program, v, e))
                program.add("passed", here + behind[v, d] <= 1 + runs_before(program, d, e))


def known_order(problem: PlacementProblem) -> dict[tuple[int, int], bool]:
    """Return (a, b) with a < b -> whether a runs first, where that is known: visits, and alike devices."""
    classes = {d: number for number, row in enumerate(interchangeable_devices(problem)) for d in row}
    convex = [d for d, device in enumerate(problem.devices) if device.contiguous]

    def known(a: int, b: int) -> bool:
        return problem.physical_device(a) == problem.physical_device(b) or (
            a in classes and classes[a] == classes.get(b)
        )

    return {(a, b): True for a, b in itertools.combinations(convex, 2) if known(a, b)}
