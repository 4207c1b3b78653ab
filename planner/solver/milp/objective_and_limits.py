"""What is minimised and limited: sums over accounts, and families for noise, peaks and period."""

import itertools
from collections import defaultdict
from math import floor, log10

import pulp

from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.solver.lagrangian.linear_quantity import Multipliers, multipliers_of
from planner.solver.milp.makespan_constraints import makespan_of
from planner.solver.milp.program import (
    AccountCosts,
    AccountIndex,
    CostAccount,
    Program,
    Terms,
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
        return makespan_of(program, quantity.model)
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


def longest_s(problem: PlacementProblem) -> float:
    """Return seconds that no request takes longer than: the slowest of every choice, one after another."""
    total = sum(max((o.seconds for o in v.options), default=0.0) for v in problem.vertices)
    # A device that only switches may do so at the source and once more at the sink.
    total += sum(2 * device.start_s for device in problem.devices)
    count = len(problem.devices)
    # Where transfers block, a stage takes them, and so does each that receives.
    times = 4 if any(device.transfers_block for device in problem.devices) else 1
    for flow in problem.flows:
        tables = (*flow.quantize_s, *flow.dequantize_s, *flow.leave_s, *flow.enter_s)
        total += sum(count * max(row, default=0.0) for row in tables)
        for form in flow.forms:
            total += count * (times * sum(form.link_s) + sum(form.encode_s) + sum(form.decode_s))
    return total
