"""The placement problem as an integer program, a function per constraint.

Symbols (README, "Formulation"): x choice of an option, z tensor is quantized, y transport of a tensor
from a producer's option to a consumer's, s a payment shared by a tensor's consumers, o order of devices.
"""

import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import combinations, permutations
from math import isfinite

import pulp

from planner.errors import SolverError
from planner.evaluate import FLOAT, INT8, evaluate, is_feasible
from planner.problem import Flow, Option, PlacementProblem
from planner.solvers import SolverOptions, run_solver

Terms = Sequence[tuple[pulp.LpVariable, float]]
_MICRO = 1e6  # HiGHS stops at an absolute gap of 1e-6: seconds would hide real differences
_OPTIMAL_GAP = 1e-4  # a wider gap is called feasible, whatever the solver calls it
_TOLERANCE = 2e-6  # relative; both solvers take a constraint for kept within 1e-6


class SolveStatus(StrEnum):
    """What is known about a solve."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"  # a time limit ended the search; bound and gap say how good it is
    INFEASIBLE = "infeasible"


_STATUS = {
    pulp.LpSolutionOptimal: SolveStatus.OPTIMAL,
    pulp.LpSolutionIntegerFeasible: SolveStatus.FEASIBLE,
    pulp.LpSolutionInfeasible: SolveStatus.INFEASIBLE,
}


@dataclass(frozen=True, slots=True)
class SolveResult:
    """The answer: `choice` holds an option number per vertex, and is None when there is no plan."""

    status: SolveStatus
    choice: tuple[int, ...] | None
    objective: float | None
    bound: float | None
    runtime_s: float
    solver: str
    variables: int
    constraints: int

    @property
    def gap(self) -> float | None:
        """Relative distance of objective and bound."""
        if self.objective is None or self.bound is None:
            return None
        distance = max(0.0, self.objective - self.bound)
        return distance / self.objective if self.objective > 0 else 0.0


def solve(problem: PlacementProblem, options: SolverOptions | None = None) -> SolveResult:
    """Return the plan of least latency, energy or weighted sum within the budgets, with its proved bound.

    Raises
    ------
    SolverError
        If the solver is unknown or ends without an answer.
    """
    options = options or SolverOptions()
    model = build(problem)
    start = time.perf_counter()
    bound_micro = run_solver(model.lp, options)
    runtime_s = time.perf_counter() - start
    status = _status(model.lp)
    if status is None:
        raise SolverError(
            f"{options.name} found no plan within {options.time_limit_s:g} s; "
            "raise solver.time_limit_s in the scenario"
        )
    size = {"variables": model.lp.numVariables(), "constraints": model.lp.numConstraints()}
    if status is SolveStatus.INFEASIBLE:
        return SolveResult(status, None, None, None, runtime_s, options.name, **size)
    choice = tuple(_chosen(row) for row in model.x)
    cost = evaluate(problem, choice)  # the solver's own sum differs in the last digits
    if not is_feasible(problem, cost, tolerance=_TOLERANCE):
        # Seen with CBC 2.10.3, whose preprocessing loses a row of some infeasible programs.
        raise SolverError(f"{options.name} returned a plan that breaks a budget; try another solver")
    bound = min(bound_micro / _MICRO, cost.objective)
    if cost.objective - bound > _OPTIMAL_GAP * cost.objective + _OPTIMAL_GAP / _MICRO:
        status = SolveStatus.FEASIBLE  # the scenario allowed the solver to stop early
    return SolveResult(
        status=status,
        choice=choice,
        objective=cost.objective,
        bound=bound,
        runtime_s=runtime_s,
        solver=options.name,
        **size,
    )


def with_choice(result: SolveResult, choice: tuple[int, ...], objective: float) -> SolveResult:
    """Return a result that answers with another choice; the bound stays what was proved.

    Parameters
    ----------
    objective
        Of that choice, under the costs that were solved for.
    """
    bound = objective if result.bound is None else min(result.bound, objective)
    close = objective - bound <= _OPTIMAL_GAP * objective
    status = SolveStatus.OPTIMAL if close else SolveStatus.FEASIBLE
    return replace(result, choice=choice, objective=objective, bound=bound, status=status)


def _status(lp: pulp.LpProblem) -> SolveStatus | None:
    """Return what the solver knows.

    `status` is right only about infeasibility; for CBC's "Integer infeasible" it alone is.
    """
    if lp.status == pulp.LpStatusInfeasible:
        return SolveStatus.INFEASIBLE
    return _STATUS.get(lp.sol_status)


def _chosen(row: Sequence[pulp.LpVariable]) -> int:
    values = [x.value() for x in row]
    return values.index(max(values))


@dataclass(slots=True)
class Model:
    """The program under construction. `y[flow][k]` maps (producer option, consumer option, form)."""

    problem: PlacementProblem
    lp: pulp.LpProblem
    x: list[list[pulp.LpVariable]] = field(default_factory=list)
    z: dict[int, pulp.LpVariable] = field(default_factory=dict)
    kinds: dict[int, dict[int, pulp.LpVariable]] = field(default_factory=dict)  # z, split by kind
    y: list[list[dict[tuple[int, int, int], pulp.LpVariable]]] = field(default_factory=list)
    order: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    busy: dict[int, list[tuple[pulp.LpVariable, float]]] = field(default_factory=lambda: defaultdict(list))
    sent: list[tuple[pulp.LpVariable, float]] = field(default_factory=list)
    joules: dict[int, list[tuple[pulp.LpVariable, float]]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, constraint: pulp.LpConstraint) -> None:
        """Add a named constraint."""
        self.counts[name] += 1
        self.lp.addConstraint(constraint, f"{name}_{self.counts[name]}")

    def charge(self, variable: pulp.LpVariable, charge: "_Charge") -> None:
        """Let a variable cost time on a device or on links, and energy."""
        place = self.sent if charge.device is None else self.busy[charge.device]
        if charge.seconds:
            place.append((variable, charge.seconds * _MICRO))
        for device, joules in enumerate(charge.joules):
            if joules:
                self.joules[device].append((variable, joules * _MICRO))

    def variable(self, name: str, *, upper: float | None = None) -> pulp.LpVariable:
        """Add a continuous variable >= 0; names are numbered, since pulp merges some characters."""
        return self.lp.add_variable(name, lowBound=0, upBound=upper)


@dataclass(frozen=True, slots=True)
class _Charge:
    """What one unit of a variable costs: seconds on a device (None: on links), joules per device."""

    device: int | None
    seconds: float
    joules: tuple[float, ...] = ()


def build(problem: PlacementProblem) -> Model:
    """Return the integer program of a problem, without solving it."""
    model = Model(problem, pulp.LpProblem("placement", pulp.LpMinimize))
    _choose(model)
    _transport(model)
    _form(model)
    _absorb(model)
    _within(model)
    _send(model)
    _quantize(model)
    _dequantize(model)
    _seam(model)
    _start(model)
    _order(model)
    _noise(model)
    _memory(model)
    latency = [*itertools.chain.from_iterable(model.busy.values()), *model.sent]
    energy = [_device_energy(model, device, latency) for device in range(len(problem.devices))]
    model.lp.setObjective(
        _sum(
            [
                *((x, c * problem.weights.per_s) for x, c in latency),
                *((x, c * problem.weights.per_j) for terms in energy for x, c in terms),
            ]
        )
    )
    _latency(model, latency)
    _energy(model, energy)
    return model


def _choose(model: Model) -> None:
    """Give each vertex exactly one option: sum_o x[v,o] = 1."""
    for v, vertex in enumerate(model.problem.vertices):
        row = [model.lp.add_variable(f"x_{v}_{o}", cat=pulp.LpBinary) for o in range(len(vertex.options))]
        model.x.append(row)
        model.add("choose", pulp.lpSum(row) == 1)
        for x, option in zip(row, vertex.options, strict=True):
            model.charge(x, _Charge(option.device, option.seconds))


def _transport(model: Model) -> None:
    """Let rows of y sum to the producer's option, columns to the consumer's: sum y[p,.] = x[u,p]."""
    for f, flow in enumerate(model.problem.flows):
        model.y.append([])
        for k, consumer in enumerate(flow.consumers):
            y = {
                key: model.variable(f"y_{f}_{k}_{number}")
                for number, key in enumerate(_lanes(model.problem, flow, consumer))
            }
            model.y[f].append(y)
            for side, vertex in enumerate((flow.producer, consumer)):
                for o, x in enumerate(model.x[vertex]):
                    used = [var for key, var in y.items() if key[side] == o]
                    model.add("transport", pulp.lpSum(used) == x)


def _form(model: Model) -> None:
    """Make a tensor int8 for all its consumers if and only if one of its quantizers is int8."""
    for f, flow in enumerate(model.problem.flows):
        if not flow.quantizers:
            continue
        model.z[f] = z = model.variable(f"z_{f}", upper=1)
        for y in model.y[f]:
            model.add("form", pulp.lpSum(var for key, var in y.items() if key[2] == INT8) == z)
        quantizing = [_int8_choices(model, vertex) for vertex in flow.quantizers]
        known = sorted({kind for choices in quantizing for kind in choices})
        parts = [z] if len(known) == 1 else [model.variable(f"z_{f}_{kind}") for kind in known]
        model.kinds[f] = dict(zip(known, parts, strict=True))
        if len(known) > 1:  # a tensor is quantized in one way
            model.add("form", pulp.lpSum(parts) == z)
        for choices in quantizing:
            for kind, row in choices.items():
                model.add("form", pulp.lpSum(row) <= model.kinds[f][kind])
        model.add(
            "form",
            z <= pulp.lpSum(x for choices in quantizing for row in choices.values() for x in row),
        )


def _absorb(model: Model) -> None:
    """Let what has no weights be int8 where all n tensors around it are: sum z - (n - 1) <= x[v,int8]."""
    around = defaultdict(list)
    for f, flow in enumerate(model.problem.flows):
        for vertex in flow.quantizers:
            around[vertex].append(f)
    for vertex, flows in around.items():
        if not model.problem.vertices[vertex].absorbed:
            continue
        own = _int8_choices(model, vertex)
        for kind in sorted(set.intersection(*(set(model.kinds[f]) for f in flows))):
            tensors = pulp.lpSum(model.kinds[f][kind] for f in flows)
            model.add("absorb", tensors - (len(flows) - 1) <= pulp.lpSum(own.get(kind, ())))


def _within(model: Model) -> None:
    """Let what is slow alone be int8 only beside int8 on its device: x[v,d,int8] <= x[u,d,int8]."""
    for v, vertex in enumerate(model.problem.vertices):
        for device in range(len(model.problem.devices)):
            own = _int8_on(model, v, device)
            for other in vertex.within if own else ():
                model.add("within", pulp.lpSum(own) <= pulp.lpSum(_int8_on(model, other, device)))


def _send(model: Model) -> None:
    """Pay a tensor once per receiving device and form: s[t,d,e,f] >= sum y of each consumer."""
    devices = range(len(model.problem.devices))
    for f, flow in enumerate(model.problem.flows):
        for source, target in permutations(devices, 2):
            for form in (FLOAT, INT8):
                lanes = [
                    [y[key] for key in y if _ends(model, flow, k, key) == (source, target) and key[2] == form]
                    for k, y in enumerate(model.y[f])
                ]
                joules = flow.send_j[form][source][target] if flow.send_j else ()
                charge = _Charge(None, flow.send_s[form][source][target], joules)
                _pay(model, f"send_{f}_{source}_{target}_{form}", lanes, charge)


def _quantize(model: Model) -> None:
    """Quantize an fp32 producer's tensor once, where it arises (or per receiver, see Flow)."""
    for f in model.z:
        flow = model.problem.flows[f]
        producer = model.problem.vertices[flow.producer].options
        side = 1 if flow.converts_at_consumer else 0
        for device in range(len(model.problem.devices)):
            lanes = [
                [
                    y[key]
                    for key in y
                    if key[2] == INT8
                    and not producer[key[0]].int8
                    and _ends(model, flow, k, key)[side] == device
                ]
                for k, y in enumerate(model.y[f])
            ]
            _pay(model, f"quantize_{f}_{device}", lanes, _Charge(device, flow.quantize_s[device]))


def _dequantize(model: Model) -> None:
    """Bring an int8 tensor back once per device on which an fp32 consumer reads it."""
    for f in model.z:
        flow = model.problem.flows[f]
        for device in range(len(model.problem.devices)):
            lanes = []
            for k, y in enumerate(model.y[f]):
                options = model.problem.vertices[flow.consumers[k]].options
                lanes.append(
                    [
                        y[key]
                        for key in y
                        if key[2] == INT8 and not options[key[1]].int8 and options[key[1]].device == device
                    ]
                )
            _pay(model, f"dequantize_{f}_{device}", lanes, _Charge(device, flow.dequantize_s[device]))


def _seam(model: Model) -> None:
    """Pay once where a unit's tensor leaves its device, and once per device on which units receive it."""
    for f, flow in enumerate(model.problem.flows):
        if model.problem.vertices[flow.producer].fixed:
            continue
        for device in range(len(model.problem.devices)):
            for form in (FLOAT, INT8):
                for side, paid in enumerate((flow.leave_s, flow.enter_s)):
                    if paid:
                        lanes = _cut_lanes(model, f, form, side, device)
                        charge = _Charge(device, paid[form][device])
                        _pay(model, f"seam_{f}_{device}_{form}_{side}", lanes, charge)


def _cut_lanes(model: Model, f: int, form: int, side: int, device: int) -> list[list[pulp.LpVariable]]:
    """Return per unit that reads a tensor: the lanes that leave (side 0) or enter (side 1) a device."""
    flow, found = model.problem.flows[f], []
    for k, y in enumerate(model.y[f]):
        if not model.problem.vertices[flow.consumers[k]].fixed:
            ends = ((key, _ends(model, flow, k, key)) for key in y if key[2] == form)
            found.append([y[key] for key, pair in ends if pair[side] == device and pair[0] != pair[1]])
    return found


def _start(model: Model) -> None:
    """Pay for a stage on each device that is used: sum of x[v,.] on d <= u[d]."""
    units = [v for v, vertex in enumerate(model.problem.vertices) if not vertex.fixed]
    for device, seconds in enumerate(model.problem.starts):
        if not seconds:
            continue
        used = model.variable(f"u_{device}", upper=1)
        model.charge(used, _Charge(device, seconds))
        for v in units:
            if here := _on(model, v, device):
                model.add("start", pulp.lpSum(here) <= used)


def _order(model: Model) -> None:
    """Let stages run one after another: units' tensors cross only forward in one order of devices."""
    devices = range(len(model.problem.devices))
    for a, b in combinations(devices, 2):
        model.order[a, b] = model.lp.add_variable(f"o_{a}_{b}", cat=pulp.LpBinary)

    def before(a: int, b: int) -> pulp.LpAffineExpression:
        return model.order[a, b] + 0 if a < b else 1 - model.order[b, a]

    for a, b in permutations(devices, 2):
        for row in _crossings(model, (a, b)):
            model.add("order", pulp.lpSum(row) <= before(a, b))
    for a, b, c in permutations(devices, 3):
        if a < b and a < c:
            model.add("order", before(a, b) + before(b, c) + before(c, a) <= 2)  # noqa: PLR2004


def _noise(model: Model) -> None:
    """Keep the sum of noise powers of quantized tensors and int8 units within the budget."""
    problem = model.problem
    if problem.noise_power is None:
        return
    terms = list(_tensor_noise(model))
    for vertex, row in zip(problem.vertices, model.x, strict=True):
        terms += [(x, option.noise_power) for x, option in zip(row, vertex.options, strict=True)]
    if problem.noise_power == 0:
        model.add("noise", _sum([(x, 1.0) for x, power in terms if power > 0]) <= 0)
        return
    # Powers are tiny beside the solver's tolerance of 1e-6: bring the limit to 1.
    model.add("noise", _sum([(x, power / problem.noise_power) for x, power in terms]) <= 1)


def _tensor_noise(model: Model) -> Iterator[tuple[pulp.LpVariable, float]]:
    """Yield (variable, power): z, or a w >= z - x for a tensor that can inherit its input's scale."""
    for f, kinds in model.kinds.items():
        flow = model.problem.flows[f]
        int8 = _int8_choices(model, flow.producer)
        for kind, z in kinds.items():
            if flow.inherits and kind in int8:
                own = model.variable(f"w_{f}_{kind}")
                model.add("inherit", z - pulp.lpSum(int8[kind]) <= own)
                yield own, flow.noise_power[kind]
            else:
                yield z, flow.noise_power[kind]


def _memory(model: Model) -> None:
    """Fit weights of a device's units plus its largest unit's inputs and outputs into its memory."""
    for device, limit in enumerate(model.problem.memory_bytes):
        if limit is None:
            continue
        peak = model.variable(f"peak_{device}")
        unit = limit or 1
        terms = [(peak, 1.0)]
        for vertex, row in zip(model.problem.vertices, model.x, strict=True):
            here = [(x, o) for x, o in zip(row, vertex.options, strict=True) if o.device == device]
            terms += [(x, option.weight_bytes / unit) for x, option in here]
            held = [(x, option.activation_bytes / unit) for x, option in here]
            if any(size for _, size in held):
                model.add("memory", _sum(held) <= peak)
        model.add("memory", _sum(terms) <= limit / unit)


def _latency(model: Model, latency: Terms) -> None:
    """Keep the latency of one request within its budget."""
    if model.problem.latency_s is not None:
        model.add("latency", _sum(latency) <= model.problem.latency_s * _MICRO)


def _energy(model: Model, energy: Sequence[Terms]) -> None:
    """Keep the energy of each device, and of all, within budget; limits are brought to 1."""
    known = model.problem.energy
    if known is None:
        return
    everything = list(itertools.chain.from_iterable(energy))
    for terms, limit in (*zip(energy, known.limits_j, strict=True), (everything, known.total_j)):
        if limit is not None:
            unit = (limit or 1.0) * _MICRO
            model.add("energy", _sum([(x, joules / unit) for x, joules in terms]) <= float(limit > 0))


def _device_energy(model: Model, device: int, latency: Terms) -> Terms:
    """Return active watts x busy + idle watts x (latency - busy) + joules of messages, as terms."""
    known = model.problem.energy
    if known is None:
        return []
    more = known.active_w[device] - known.idle_w[device]
    return [
        *((x, c * more) for x, c in model.busy[device]),
        *((x, c * known.idle_w[device]) for x, c in latency if known.idle_w[device]),
        *model.joules[device],
    ]


def _lanes(problem: PlacementProblem, flow: Flow, consumer: int) -> Iterator[tuple[int, int, int]]:
    """Yield the (producer option, consumer option, form) that can occur together."""
    for p, produced in enumerate(problem.vertices[flow.producer].options):
        for c, consumed in enumerate(problem.vertices[consumer].options):
            for form in (FLOAT, INT8):
                possible = _can_have_form(flow, form, ((flow.producer, produced), (consumer, consumed)))
                if possible and isfinite(flow.send_s[form][produced.device][consumed.device]):
                    yield p, c, form


def _can_have_form(flow: Flow, form: int, ends: Iterable[tuple[int, Option]]) -> bool:
    if form == INT8:
        return bool(flow.quantizers)
    return not any(option.int8 and vertex in flow.quantizers for vertex, option in ends)


def _ends(model: Model, flow: Flow, k: int, key: tuple[int, int, int]) -> tuple[int, int]:
    vertices = model.problem.vertices
    produced = vertices[flow.producer].options[key[0]]
    consumed = vertices[flow.consumers[k]].options[key[1]]
    return produced.device, consumed.device


def _int8_choices(model: Model, vertex: int) -> dict[int, list[pulp.LpVariable]]:
    """Return kind -> the choices of a vertex that compute in int8 of that kind."""
    found = defaultdict(list)
    for x, option in zip(model.x[vertex], model.problem.vertices[vertex].options, strict=True):
        if option.int8:
            found[option.kind].append(x)
    return found


def _on(model: Model, vertex: int, device: int) -> list[pulp.LpVariable]:
    """Return the choices of a vertex that compute on a device."""
    pairs = zip(model.x[vertex], model.problem.vertices[vertex].options, strict=True)
    return [x for x, option in pairs if option.device == device]


def _int8_on(model: Model, vertex: int, device: int) -> list[pulp.LpVariable]:
    """Return those of them that compute in int8."""
    pairs = zip(model.x[vertex], model.problem.vertices[vertex].options, strict=True)
    return [x for x, option in pairs if option.device == device and option.int8]


def _crossings(model: Model, pair: tuple[int, int]) -> Iterator[list[pulp.LpVariable]]:
    vertices = model.problem.vertices
    for f, flow in enumerate(model.problem.flows):
        for k, y in enumerate(model.y[f]):
            if vertices[flow.producer].fixed or vertices[flow.consumers[k]].fixed:
                continue
            row = [var for key, var in y.items() if _ends(model, flow, k, key) == pair]
            if row:
                yield row


def _pay(model: Model, name: str, lanes: Sequence[Sequence[pulp.LpVariable]], charge: _Charge) -> None:
    """Charge once if any consumer uses one of its lanes."""
    used = [lane for lane in lanes if lane]
    if not used or not (charge.seconds or any(charge.joules)):
        return
    if len(used) == 1:
        for variable in used[0]:
            model.charge(variable, charge)
        return
    paid = model.variable(f"s_{name}")
    model.charge(paid, charge)
    for lane in used:
        model.add("pay", pulp.lpSum(lane) <= paid)


def _sum(terms: Iterable[tuple[pulp.LpVariable, float]]) -> pulp.LpAffineExpression:
    total: dict[pulp.LpVariable, float] = {}
    for variable, factor in terms:
        if factor:
            total[variable] = total.get(variable, 0.0) + factor
    return pulp.LpAffineExpression(total)
