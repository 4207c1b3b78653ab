"""Paths of units through a model's graph: none takes longer than the makespan."""

from collections.abc import Iterator

import pulp

from planner.problem.tensors import FLOAT
from planner.solver.milp.program import CostAccount, Program, account_seconds, sum_of


def add_paths(program: Program) -> dict[int, pulp.LpVariable]:
    """Let no path take longer than the makespan: units, conversions, overheads, transfers (family path).

    For an edge u -> v: T[v] >= T[u] + what lies between + seconds of v; T[v] <= makespan. Stages imply
    it, but in the relaxation, where H blurs them, paths give the better bound.
    """
    problem, spans = program.problem, program.spans
    units = [v for v, vertex in enumerate(problem.vertices) if not vertex.is_terminal]
    finish = {v: program.variable(f"T_{v}") for v in units}
    unit_s = {v: sum_of([(x, o.seconds) for x, o in program.options(v)]) for v in units}
    for v in units:
        program.add("path", finish[v] >= unit_s[v])
        program.add("path", finish[v] <= spans[problem.vertices[v].model])
    for f, flow in enumerate(problem.flows):
        start, span = finish.get(flow.producer), spans[problem.flow_model(flow)]
        for k, v in enumerate(flow.consumers):
            between = sum_of(list(_between_units(program, f, k)))
            before = between + start if start is not None else between
            program.add("path", before + unit_s[v] <= finish[v] if v in finish else before <= span)
    return finish


def add_serial_paths(program: Program) -> None:
    """Let no path take longer than the makespan, with all work of the devices that every path waits for.

    For an edge u -> v: W[v] >= W[u] + transfer + seconds of v elsewhere; W + their work <= makespan.
    """
    problem = program.problem
    waits, elsewhere_s = {}, {}
    for v, vertex in enumerate(problem.vertices) if program.serial else ():
        if not vertex.is_terminal:
            waits[v] = program.variable(f"W_{v}")
            options = program.options(v)
            elsewhere_s[v] = sum_of([(x, o.seconds) for x, o in options if o.device not in program.serial])
            work = [
                account_seconds(program, CostAccount.BUSY, d)
                for d in program.serial
                if problem.devices[d].model == vertex.model
            ]
            program.add("path", waits[v] >= elsewhere_s[v])
            program.add("path", waits[v] + pulp.lpSum(work) <= program.spans[vertex.model])
    for f, flow in enumerate(problem.flows):
        for k, v in enumerate(flow.consumers):
            if v in waits:
                moves = program.g[f][k].items()
                transfer = sum_of([(g, flow.forms[m].seconds(d, e)) for (d, e, m), g in moves])
                start = waits.get(flow.producer)
                before = transfer if start is None else transfer + start
                program.add("path", before + elsewhere_s[v] <= waits[v])


def _between_units(program: Program, f: int, k: int) -> Iterator[tuple[pulp.LpVariable, float]]:
    """Yield what takes time between a tensor's producer and one of its consumers, but for shared payments."""
    problem, flow = program.problem, program.problem.flows[f]
    # A source or a sink is part of no stage: no path waits for what its device does for it.
    leaves_unit = not problem.vertices[flow.producer].is_terminal
    enters_unit = not problem.vertices[flow.consumers[k]].is_terminal
    between_units = leaves_unit and enters_unit
    for (d, e, m), g in program.g[f][k].items():
        form = flow.forms[m]
        move_s = form.seconds(d, e)
        if d != e and form.encode_s:
            move_s += leaves_unit * form.encode_s[d] + enters_unit * form.decode_s[e]
        if d != e and between_units:
            move_s += problem.devices[e].start_s
            move_s += sum(
                table[form.format][at] for table, at in ((flow.leave_s, d), (flow.enter_s, e)) if table
            )
        yield g, move_s
    options = problem.vertices[flow.consumers[k]].options
    for (o, tensor_format), c in program.c[f][k].items() if between_units else ():
        if tensor_format not in (FLOAT, options[o].format):
            yield c, flow.dequantize_s[tensor_format][options[o].device]
    producer_options = problem.vertices[flow.producer].options
    for (o, tensor_format), a in program.a[f].items() if between_units else ():
        # Where each receiver quantizes it, that is not done where it arises.
        if tensor_format not in (FLOAT, producer_options[o].format) and not flow.converts_at_consumer:
            yield a, flow.quantize_s[tensor_format][producer_options[o].device]
