"""The textbook program: a tensor is available on a device if it is made there or was sent there.

Each consumer asks only that some device made its tensors available, so in the relaxation a little mass at the
producer serves every device and format at once.
"""

import time
from dataclasses import dataclass, field
from itertools import permutations, product

import pulp

from planner.problem.cost_evaluation import evaluate, is_feasible
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.problem.quantities import CostMetric, Limit
from planner.problem.tensors import FLOAT, Flow

_MICRO = 1e6


@dataclass(frozen=True)
class TextbookAnswer:
    """Objective and bound in seconds, infinite and 0 if none; what it took."""

    objective_s: float
    bound_s: float
    runtime_s: float


def solve_textbook(problem: PlacementProblem, time_limit_s: float, gap: float) -> TextbookAnswer:
    """Solve a problem of `instances.random_problem` cold, with the solver's presolve."""
    program = _Textbook(problem)
    begun = time.perf_counter()
    program.lp.solve(pulp.HiGHS(msg=False, gapRel=gap, timeLimit=time_limit_s, threads=1))
    runtime_s = time.perf_counter() - begun
    bound = program.lp.solverModel.getInfo().mip_dual_bound / _MICRO
    values = [[variable.value() or 0.0 for variable in row] for row in program.x]
    cost = evaluate(problem, Choice(tuple(row.index(max(row)) for row in values)))
    found = cost.objective if is_feasible(problem, cost, 1e-6) else float("inf")
    return TextbookAnswer(found, max(bound, 0.0), runtime_s)


@dataclass
class _Textbook:
    problem: PlacementProblem
    lp: pulp.LpProblem = field(default_factory=lambda: pulp.LpProblem("textbook", pulp.LpMinimize))
    x: list[list[pulp.LpVariable]] = field(default_factory=list)
    before: dict[tuple[int, int], pulp.LpVariable] = field(default_factory=dict)
    cost: list[pulp.LpAffineExpression] = field(default_factory=list)
    noise: list[pulp.LpAffineExpression] = field(default_factory=list)
    formats: list[pulp.LpVariable] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.devices = range(len(self.problem.devices))
        self._add_units()
        self._add_order()
        for t, flow in enumerate(self.problem.flows):
            z = self._add_format(t, flow)
            self.formats.append(z)
            self._add_switches(t, flow, z)
            for form in (FLOAT, 1):
                self._add_transfers(t, flow, form, z if form else 1 - z)
            self._add_crossings(flow)
        self._add_starts()
        for limit in self.problem.limits:
            self._add_limit(limit)
        self.lp.setObjective(pulp.lpSum(self.cost))

    def on(self, v: int, d: int) -> pulp.LpAffineExpression:
        pairs = zip(self.x[v], self.problem.vertices[v].options, strict=True)
        return pulp.lpSum(x for x, option in pairs if option.device == d)

    def float_on(self, v: int, d: int) -> pulp.LpAffineExpression:
        pairs = zip(self.x[v], self.problem.vertices[v].options, strict=True)
        return pulp.lpSum(x for x, option in pairs if option.device == d and not option.quantized)

    def is_unit(self, v: int) -> bool:
        return not self.problem.vertices[v].is_terminal

    def runs_before(self, a: int, b: int) -> pulp.LpAffineExpression:
        return self.before[a, b] + 0 if a < b else 1 - self.before[b, a]

    def _add_units(self) -> None:
        for v, vertex in enumerate(self.problem.vertices):
            count = range(len(vertex.options))
            self.x.append([self.lp.add_variable(f"x_{v}_{o}", cat=pulp.LpBinary) for o in count])
            self.lp += pulp.lpSum(self.x[v]) == 1
            for x, option in zip(self.x[v], vertex.options, strict=True):
                self.cost.append(x * (option.seconds * _MICRO))
                self.noise.append(x * option.noise_power)

    def _add_order(self) -> None:
        for a, b in permutations(self.devices, 2):
            if a < b:
                self.before[a, b] = self.lp.add_variable(f"b_{a}_{b}", cat=pulp.LpBinary)
        for a, b, c in permutations(self.devices, 3):
            if a < min(b, c):
                self.lp += self.runs_before(a, b) + self.runs_before(b, c) + self.runs_before(c, a) <= 2

    def _add_format(self, t: int, flow: Flow) -> pulp.LpVariable:
        """Let a tensor be quantized if one of its units computes so."""
        z = self.lp.add_variable(f"z_{t}", cat=pulp.LpBinary)
        options_with_format = []
        for v in flow.quantizers:
            pairs = zip(self.x[v], self.problem.vertices[v].options, strict=True)
            options_with_format.append(pulp.lpSum(x for x, option in pairs if option.quantized))
            self.lp += options_with_format[-1] <= z
        self.lp += z <= pulp.lpSum(options_with_format)
        self.noise.append(z * flow.noise_power[1])
        return z

    def _add_switches(self, t: int, flow: Flow, z: pulp.LpVariable) -> None:
        for d in self.devices:
            there, back = (self.lp.add_variable(f"{name}_{t}_{d}", 0) for name in ("there", "back"))
            self.lp += there >= self.float_on(flow.producer, d) + z - 1
            for v in flow.consumers:
                self.lp += back >= self.float_on(v, d) + z - 1
            self.cost += [
                there * (flow.quantize_s[1][d] * _MICRO),
                back * (flow.dequantize_s[1][d] * _MICRO),
            ]

    def _add_transfers(self, t: int, flow: Flow, form: int, has_form: pulp.LpAffineExpression) -> None:
        """Make a tensor available where it is made or sent to; each consumer asks for it on its device."""
        pairs = list(permutations(self.devices, 2))
        available = [self.lp.add_variable(f"a_{t}_{d}_{form}", 0, 1) for d in self.devices]
        sent = {pair: self.lp.add_variable(f"s_{t}_{pair[0]}_{pair[1]}_{form}", 0, 1) for pair in pairs}
        for d in self.devices:
            arriving = pulp.lpSum(sent[e, d] for e in self.devices if e != d)
            self.lp += available[d] <= self.on(flow.producer, d) + arriving
            self.lp += available[d] <= has_form
            for v in flow.consumers:
                self.lp += available[d] >= self.on(v, d) + has_form - 1
        for (e, _), variable in sent.items():
            self.lp += variable <= self.on(flow.producer, e)
        routes = flow.forms[form].routes
        for at in range(len(self.problem.links)):
            paid = self.lp.add_variable(f"p_{t}_{at}_{form}", 0)
            self.cost.append(paid * (flow.forms[form].link_s[at] * _MICRO))
            for (e, d), variable in sent.items():
                if at in (routes[e][d] or ()):
                    self.lp += paid >= variable
        if self.is_unit(flow.producer) and any(map(self.is_unit, flow.consumers)):
            self._add_seams(t, flow, form, sent)

    def _add_seams(self, t: int, flow: Flow, form: int, sent: dict[tuple[int, int], pulp.LpVariable]) -> None:
        for d in self.devices:
            leaves, enters = (self.lp.add_variable(f"{name}_{t}_{d}_{form}", 0) for name in ("l", "e"))
            self.cost.append(leaves * (flow.leave_s[form][d] * _MICRO))
            self.cost.append(enters * (flow.enter_s[form][d] * _MICRO))
            for e in self.devices:
                if e != d:
                    self.lp += leaves >= sent[d, e]
                    self.lp += enters >= sent[e, d]

    def _add_crossings(self, flow: Flow) -> None:
        for v in flow.consumers:
            if self.is_unit(v) and self.is_unit(flow.producer):
                for a, b in permutations(self.devices, 2):
                    self.lp += self.on(flow.producer, a) + self.on(v, b) - 1 <= self.runs_before(a, b)

    def _add_starts(self) -> None:
        used = [self.lp.add_variable(f"u_{d}", 0, 1) for d in self.devices]
        self.cost += [
            u * (device.start_s * _MICRO) for u, device in zip(used, self.problem.devices, strict=True)
        ]
        for v, d in product(range(len(self.x)), self.devices):
            if self.is_unit(v):
                self.lp += self.on(v, d) <= used[d]
        for flow, z in zip(self.problem.flows, self.formats, strict=True):
            ends = [v for v in (flow.producer, *flow.consumers) if not self.is_unit(v)]
            for v, d in product(ends, self.devices):
                self.lp += self.on(v, d) + z - 1 <= used[d]

    def _add_limit(self, limit: Limit) -> None:
        if limit.quantity.metric is CostMetric.NOISE:
            self.lp += pulp.lpSum(self.noise) * (1 / limit.at_most) <= 1
            return
        device = limit.quantity.of
        peak = self.lp.add_variable(f"peak_{device}", 0)
        weights = []
        for v, vertex in enumerate(self.problem.vertices):
            here = [(x, o) for x, o in zip(self.x[v], vertex.options, strict=True) if o.device == device]
            weights += [x * (o.weight_bytes / limit.at_most) for x, o in here]
            self.lp += pulp.lpSum(x * (o.activation_bytes / limit.at_most) for x, o in here) <= peak
        self.lp += pulp.lpSum(weights) + peak <= 1
