"""What is minimised and limited: sums over accounts, and families for noise, peaks, period and makespan."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from math import floor, log10

import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.tensors import FLOAT
from planner.solver.lagrangian.linear_quantity import Multipliers, multipliers_of
from planner.solver.milp.program import (
    AccountCosts,
    AccountIndex,
    CostAccount,
    Program,
    Terms,
    crossings,
    options_with_format,
    physical_devices,
    sum_of,
)

# The greatest cost of one variable in the objective is brought to 10^3..10^4. The solvers' absolute gap of
# 1e-6 is then small beside it, and costs of hundreds of seconds do not give HiGHS false optima.
_DIGITS = 3


def add_noise(program: Program) -> None:
    """Count a quantized tensor's noise once: z, or an i >= z - x if its producer can hand on a scale."""
    for f, flow in enumerate(program.problem.flows):
        for tensor_format, z in program.z[f].items():
            noise = (CostAccount.NOISE, program.problem.flow_model(flow))
            costs: AccountCosts = {noise: flow.noise_power[tensor_format]}
            scale_preserving = (
                options_with_format(program, flow.producer, tensor_format) if flow.inherits else []
            )
            if scale_preserving:
                own_noise = program.variable(f"i_{f}_{tensor_format}")
                program.add("inherit", z - pulp.lpSum(scale_preserving) <= own_noise)
                program.add_cost(own_noise, costs)
            else:
                program.add_cost(z, costs)


def add_objective(program: Program) -> None:
    """Minimise the weighted sum of quantities."""
    for quantity in program.problem.quantities:
        program.quantities[quantity] = _quantity(program, quantity)
    terms = [
        (variable, factor * term.weight)
        for term in program.problem.objective
        for variable, factor in program.quantities[term.quantity]
    ]
    total = sum_of(terms)
    largest = max((abs(c) for c in total.values()), default=0.0)
    program.scale = 10.0 ** (_DIGITS - floor(log10(largest))) if largest else 1.0
    program.lp.setObjective(total * program.scale)


def add_limits(program: Program) -> None:
    """Keep each quantity within its limit, which is brought to 1."""
    for limit in program.problem.limits:
        terms = program.quantities[limit.quantity]
        # A limit of 0 cannot be scaled; whatever counts must not be.
        if limit.at_most == 0:
            program.add("limit", sum_of([(x, 1.0) for x, factor in terms if factor > 0]) <= 0)
        else:
            program.add("limit", sum_of([(x, c / limit.at_most) for x, c in terms]) <= 1)


def _quantity(program: Program, quantity: Quantity) -> Terms:
    """Return a quantity as terms that are never below it, and equal it in the best solution."""
    if quantity.metric is CostMetric.PERIOD:
        return _period(program)
    if quantity.metric is CostMetric.MAKESPAN:
        return _makespan(program, quantity.model)
    prices = multipliers_of(program.problem, quantity)
    terms = _priced(program, prices) if prices else []
    return [*terms, *_peaks(program, quantity.of)] if quantity.metric is CostMetric.MEMORY else terms


def _priced(program: Program, prices: Multipliers) -> Terms:
    """Return a sum over accounts."""
    rows = (
        (CostAccount.BUSY, prices.busy),
        (CostAccount.LINK, prices.link),
        (CostAccount.TRAFFIC, prices.byte),
        (CostAccount.JOULES, prices.joule),
        (CostAccount.WEIGHTS, prices.weight),
        (CostAccount.MODEL_LINK, prices.model_link),
        (CostAccount.NOISE, prices.noise),
    )
    priced: list[tuple[tuple[CostAccount, AccountIndex], float]] = [
        ((account, index), price) for account, row in rows for index, price in enumerate(row)
    ]
    return [(x, c * price) for account, price in priced if price for x, c in program.accounts[account]]


def _peaks(program: Program, of: int | None) -> Terms:
    """Return the inputs and outputs of each model's largest unit on a device, or on each device."""
    problem = program.problem
    terms: Terms = []
    # Scaled to at most 1, as the limits are: the solvers' tolerances are absolute.
    unit = max((o.activation_bytes for v in problem.vertices for o in v.options), default=0) or 1.0
    devices = physical_devices(problem) if of is None else [of]
    for device, model in itertools.product(devices, problem.models):
        if (device, model) in program.peaks:
            terms.append((program.peaks[device, model], unit))
            continue
        peak = program.variable(f"peak_{device}_{model}" if model else f"peak_{device}")
        program.peaks[device, model] = peak
        for v, vertex in enumerate(problem.vertices):
            if vertex.model != model:
                continue
            activations = [
                (x, o.activation_bytes / unit)
                for x, o in program.options(v)
                if problem.physical_device(o.device) == device
            ]
            if any(size for _, size in activations):
                program.add("peak", sum_of(activations) <= peak)
        terms.append((peak, unit))
    return terms


def _period(program: Program) -> Terms:
    """Return a T that no device's and no link's load exceeds (family period)."""
    problem = program.problem
    period = program.variable("period")
    loads: dict[int, Terms] = defaultdict(list)
    for d in range(len(problem.devices)):
        loads[problem.physical_device(d)] += program.accounts[CostAccount.BUSY, d]
    for device, terms in loads.items():
        terms += program.accounts[CostAccount.LOAD, device]
    links = [program.accounts[CostAccount.LINK, link] for link in range(len(problem.links))]
    for terms in (*loads.values(), *links):
        if terms:
            program.add("period", sum_of(terms) <= period)
    return [(period, 1.0)]


def _makespan(program: Program, of: int | None) -> Terms:
    """Return when the last answer of a model is there; of all models the sum."""
    if not program.spans:
        _add_makespans(program)
    return [(program.spans[model], 1.0) for model in (program.problem.models if of is None else [of])]


def _add_makespans(program: Program) -> None:
    """Let no model's last answer be there before its stages have run (family makespan).

    start[e] >= start[d] + busy[d] + between[d,e] - H (1 - q[d,e]); q[d,e] >= each sum of g from d to e.
    """
    problem, lp = program.problem, program.lp
    horizon = program.horizon_s
    for model in problem.models:
        name = f"makespan_{model}" if model else "makespan"
        program.spans[model] = program.variable(name, upper=horizon)
    start = [program.variable(f"start_{d}", upper=horizon) for d in range(len(problem.devices))]
    busy = [_seconds(program, (CostAccount.BUSY, d)) for d in range(len(problem.devices))]
    runs_after: dict[tuple[int, int], pulp.LpVariable] = {}
    for row in crossings(program):
        for pair, variables in row.items():
            if pair not in runs_after:
                runs_after[pair] = lp.add_variable(f"q_{pair[0]}_{pair[1]}", 0, 1)
            program.add("makespan", pulp.lpSum(variables) <= runs_after[pair])
    for d, device in enumerate(problem.devices):
        arrives, leaves = (None, d, device.model), (d, None, device.model)
        program.add("makespan", start[d] >= _seconds(program, (CostAccount.BETWEEN, arrives)))
        due = start[d] + busy[d] + _seconds(program, (CostAccount.BETWEEN, leaves))
        program.add("makespan", due <= program.spans[device.model])
    for model, span in program.spans.items():
        past_stages = _seconds(program, (CostAccount.BETWEEN, (None, None, model)))
        program.add("makespan", past_stages <= span)
    _paths(program)
    _serial_paths(program, busy)
    for (d, e), follows in runs_after.items():
        between = (d, e, problem.devices[d].model)
        arrival = start[d] + busy[d] + _seconds(program, (CostAccount.BETWEEN, between))
        program.add("makespan", start[e] >= arrival - horizon * (1 - follows))


def _paths(program: Program) -> None:
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


def _serial_paths(program: Program, busy: list[pulp.LpAffineExpression]) -> None:
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
            work = [busy[d] for d in program.serial if problem.devices[d].model == vertex.model]
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
        seconds = form.seconds(d, e)
        if d != e and form.encode_s:
            seconds += leaves_unit * form.encode_s[d] + enters_unit * form.decode_s[e]
        if d != e and between_units:
            seconds += problem.devices[e].start_s
            seconds += sum(
                table[form.format][at] for table, at in ((flow.leave_s, d), (flow.enter_s, e)) if table
            )
        yield g, seconds
    options = problem.vertices[flow.consumers[k]].options
    for (o, tensor_format), c in program.c[f][k].items() if between_units else ():
        if tensor_format not in (FLOAT, options[o].format):
            yield c, flow.dequantize_s[tensor_format][options[o].device]
    producer_options = problem.vertices[flow.producer].options
    for (o, tensor_format), a in program.a[f].items() if between_units else ():
        if tensor_format not in (FLOAT, producer_options[o].format):
            yield a, flow.quantize_s[tensor_format][producer_options[o].device]


def _seconds(program: Program, account: tuple[CostAccount, AccountIndex]) -> pulp.LpAffineExpression:
    return sum_of(program.accounts[account])


def longest_s(problem: PlacementProblem) -> float:
    """Return seconds that no request takes longer than: the slowest of every choice, one after another."""
    total = sum(max((o.seconds for o in v.options), default=0.0) for v in problem.vertices)
    # A device that only switches may do so at the source and once more at the sink.
    total += sum(2 * device.start_s for device in problem.devices)
    count = len(problem.devices)
    for flow in problem.flows:
        tables = (*flow.quantize_s, *flow.dequantize_s, *flow.leave_s, *flow.enter_s)
        total += sum(count * max(row, default=0.0) for row in tables)
        for form in flow.forms:
            total += count * (sum(form.link_s) + sum(form.encode_s) + sum(form.decode_s))
    return total
