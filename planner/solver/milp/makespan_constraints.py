"""When a request's last answer is there: families for stages that overlap, and for paths of units."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import pulp

from planner.problem.lone_switches import lone_switches
from planner.problem.stage_ways import Stage, blocked_device, blocked_end, end_stage, free_seconds
from planner.problem.tensors import FLOAT
from planner.solver.milp.program import (
    CostAccount,
    Program,
    Terms,
    TransportVariables,
    host_of,
    sum_of,
)


def makespan_of(program: Program, of: int | None) -> Terms:
    """Return when the last answer of a model is there; of all models the sum."""
    if not program.spans:
        _add_makespans(program)
    return [(program.spans[model], 1.0) for model in (program.problem.models if of is None else [of])]


def _add_makespans(program: Program) -> None:
    """Let no model's last answer be there before its stages have run (family makespan).

    begin[e] >= end[d] + between[d,e] - H (1 - q[d,e]); q[d,e] >= each sum of g from d to e. So it is between
    stages, and from and to the sources and sinks of devices that transfers block. Others wait for nothing.
    """
    for model in program.problem.models:
        name = f"makespan_{model}" if model else "makespan"
        program.spans[model] = program.variable(name, upper=program.horizon_s)
    stages = _Stages(program)
    _follow(program, stages)
    _one_at_a_time(program, stages)
    finish = _paths(program)
    _serial_paths(program)
    for f, flow in enumerate(program.problem.flows):
        for k in range(len(flow.consumers)):
            _units_alone(program, stages, finish, _Edge(program, f, k))


class _Stages:
    """When stages begin and end; those of sources begin at once, as 0."""

    def __init__(self, program: Program) -> None:
        self._program = program
        devices = program.problem.devices
        self.contiguous = [d for d, device in enumerate(devices) if device.contiguous]
        self.begin: dict[Stage, pulp.LpVariable] = {
            d: program.variable(f"start_{d}", upper=program.horizon_s) for d in self.contiguous
        }
        self.end: dict[Stage, pulp.LpAffineExpression] = {
            d: self.begin[d] + seconds(program, CostAccount.BUSY, d) + seconds(program, CostAccount.STAGE, d)
            for d in self.contiguous
        }

    def begin_of(self, stage: Stage) -> pulp.LpVariable:
        """Return when a stage begins, or when a blocked device's sinks begin to receive, until the end."""
        if stage not in self.begin and stage is not None:
            program, device = self._program, blocked_device(stage)
            self.begin[stage] = begin = program.variable(f"begin_{device}", upper=program.horizon_s)
            received = seconds(program, CostAccount.RECEIVED, device)
            program.add("makespan", begin + received <= self.span(device))
            for d in self.contiguous:
                if self.place(d) == self.place(device):
                    program.add("makespan", begin >= self.end[d])
        return self.begin[stage]

    def end_of(self, stage: Stage) -> pulp.LpAffineExpression:
        """Return when a stage ends, or when a blocked device's sources have sent."""
        if stage is None or stage >= 0:
            return self.end[stage]
        return seconds(self._program, CostAccount.SENT, blocked_device(stage))

    def span(self, device: int) -> pulp.LpVariable:
        return self._program.spans[self._program.problem.devices[device].model]

    def place(self, device: int) -> tuple[int, int]:
        """Return what runs one stage at a time: a device, for a model."""
        problem = self._program.problem
        return problem.physical_device(device), problem.devices[device].model


def _follow(program: Program, stages: _Stages) -> None:
    """Let stages begin once what others send them has come."""
    follows: dict[tuple[Stage, Stage, int], pulp.LpVariable] = {}
    for pairs in _moves_of_stages(program):
        for way, variables in pairs.items():
            if way not in follows:
                name = "_".join(map(_label, way[:2]))
                follows[way] = program.lp.add_variable(f"q_{name}", 0, 1)
            program.add("makespan", pulp.lpSum(variables) <= follows[way])
    _wait_for_nothing(program, stages)
    for way, follow in follows.items():
        arrival = stages.end_of(way[0]) + _between(program, way)
        program.add("makespan", stages.begin_of(way[1]) >= arrival - program.horizon_s * (1 - follow))


def _wait_for_nothing(program: Program, stages: _Stages) -> None:
    """Let what sources have come at once, and what sinks get be there at the end; none of them is blocked."""
    for d in stages.contiguous:
        model = program.problem.devices[d].model
        program.add("makespan", stages.begin[d] >= _between(program, (None, d, model)))
        due = stages.end[d] + _between(program, (d, None, model))
        program.add("makespan", due <= stages.span(d))
    for model, span in program.spans.items():
        program.add("makespan", _between(program, (None, None, model)) <= span)
    for d in _blocked_devices(program, CostAccount.RECEIVED):
        way = (None, blocked_end(d), program.problem.devices[d].model)
        program.add("makespan", stages.begin_of(blocked_end(d)) >= _between(program, way))


def _blocked_devices(program: Program, account: CostAccount) -> list[int]:
    """Return the devices that have something in an account."""
    return [index for of, index in program.accounts if of is account and isinstance(index, int)]


def _label(stage: Stage) -> str:
    return f"end{blocked_device(stage)}" if stage is not None and stage < 0 else str(stage)


def _moves_of_stages(program: Program) -> Iterator[dict[tuple[Stage, Stage, int], list[pulp.LpVariable]]]:
    """Yield for each edge: (stage, stage, model) -> its transport variables in any form, where these wait."""
    problem = program.problem
    for f, flow in enumerate(problem.flows):
        model = problem.flow_model(flow)
        for k in range(len(flow.consumers)):
            edge, pairs = _Edge(program, f, k), defaultdict(list)
            for (d, e, _), variable in edge.transports.items():
                start = end_stage(problem, d) if edge.is_given else d
                end = end_stage(problem, e) if edge.is_due else e
                if edge.is_pooled(d, e) and start != end and None not in (start, end):
                    pairs[start, end, model].append(variable)
            yield pairs


def _one_at_a_time(program: Program, stages: _Stages) -> None:
    """Let a device run one of a model's stages at a time, and none while its sources send."""
    last: dict[tuple[int, int], int] = {}
    for d in stages.contiguous:
        place = stages.place(d)
        if place in last:
            program.add("makespan", stages.begin[d] >= stages.end[last[place]])
        last[place] = d
    for d in _blocked_devices(program, CostAccount.SENT):
        sent = seconds(program, CostAccount.SENT, d)
        for e in stages.contiguous:
            if stages.place(e) == stages.place(d):
                program.add("makespan", stages.begin[e] >= sent)
        due = sent + _between(program, (blocked_end(d), None, program.problem.devices[d].model))
        program.add("makespan", due <= stages.span(d))


@dataclass(frozen=True, slots=True)
class _Edge:
    """A tensor on its way to one of its consumers."""

    program: Program
    f: int
    k: int

    @property
    def is_given(self) -> bool:
        """Whether it comes from a source."""
        return self.program.problem.vertices[self.producer].is_terminal

    @property
    def is_due(self) -> bool:
        """Whether it goes to a sink."""
        return self.program.problem.vertices[self.consumer].is_terminal

    @property
    def producer(self) -> int:
        return self.program.problem.flows[self.f].producer

    @property
    def consumer(self) -> int:
        return self.program.problem.flows[self.f].consumers[self.k]

    @property
    def transports(self) -> TransportVariables:
        return self.program.g[self.f][self.k]

    def stands_alone(self, device: int) -> bool:
        """Return whether units of a device are stages of their own."""
        return not self.program.problem.devices[device].contiguous

    def is_pooled(self, source: int, target: int) -> bool:
        """Return whether the tensor waits for others of the same stages: no unit of its ends stands alone."""
        from_unit = not self.is_given and self.stands_alone(source)
        to_unit = not self.is_due and self.stands_alone(target)
        return not from_unit and not to_unit

    def transfer(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds on links that block neither end."""
        problem = self.program.problem
        forms = problem.flows[self.f].forms
        return sum_of([(g, free_seconds(problem, forms[m], d, e)) for (d, e, m), g in moves.items()])

    def sending(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds of changes by a producer that stands alone."""
        problem, flow = self.program.problem, self.program.problem.flows[self.f]
        options, terms = problem.vertices[flow.producer].options, []
        for (o, k), a in self.program.a[self.f].items():
            at = options[o].device
            if (
                self.stands_alone(at)
                and k not in (FLOAT, options[o].format)
                and not flow.converts_at_consumer
            ):
                terms.append((a, flow.quantize_s[k][at]))
        for (d, e, m), g in moves.items():
            if self.stands_alone(d) and d != e:
                terms.append((g, _seam(flow.leave_s, flow.forms[m].format, d) * self._has_seam))
                terms.append((g, flow.forms[m].encode_s[d] if flow.forms[m].encode_s else 0.0))
        return sum_of(terms)

    def receiving(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds of changes by a consumer that stands alone."""
        problem, flow = self.program.problem, self.program.problem.flows[self.f]
        options, terms = problem.vertices[self.consumer].options, []
        for (o, k), c in self.program.c[self.f][self.k].items():
            at = options[o].device
            if self.stands_alone(at) and k not in (FLOAT, options[o].format):
                terms.append((c, flow.dequantize_s[k][at]))
        for (d, e, m), g in moves.items():
            if self.stands_alone(e) and d != e:
                terms.append((g, _seam(flow.enter_s, flow.forms[m].format, e) * self._has_seam))
                terms.append((g, flow.forms[m].decode_s[e] if flow.forms[m].decode_s else 0.0))
        return sum_of(terms) + self._quantized_on_arrival()

    @property
    def _has_seam(self) -> bool:
        return not self.is_given and not self.is_due

    def _quantized_on_arrival(self) -> pulp.LpAffineExpression:
        """Return the seconds in which a consumer quantizes what crosses as it arose."""
        program, flow = self.program, self.program.problem.flows[self.f]
        terms: Terms = []
        if flow.converts_at_consumer:
            made = program.problem.vertices[flow.producer].options
            read = program.problem.vertices[self.consumer].options
            for k in program.z[self.f]:
                asked = [a for (o, of), a in program.a[self.f].items() if of == k == made[o].format]
                for (o, of), c in program.c[self.f][self.k].items():
                    at = read[o].device
                    if of == k and self.stands_alone(at) and flow.quantize_s[k][at]:
                        program.counts["arrival"] += 1
                        quantized = program.variable(f"arrival_{program.counts['arrival']}")
                        program.add("makespan", c - pulp.lpSum(asked) <= quantized)
                        terms.append((quantized, flow.quantize_s[k][at]))
        return sum_of(terms)

    def lone(self, moves: TransportVariables) -> pulp.LpAffineExpression:
        """Return the seconds in which a source's or sink's device changes it where no unit runs."""
        problem, program, terms = self.program.problem, self.program, []
        for (d, e, m), g in moves.items():
            flow = problem.flows[self.f]
            for device, changed_s in lone_switches(problem, flow, m, d, e, is_due=self.is_due):
                total_s = changed_s + problem.devices[device].start_s
                if problem.devices[device].contiguous and total_s:
                    program.counts["lone_s"] += 1
                    alone = program.variable(f"lone_{program.counts['lone_s']}")
                    program.add("lone", g - host_of(program, device) <= alone)
                    terms.append((alone, total_s))
        return sum_of(terms)


def _seam(table: tuple[tuple[float, ...], ...], tensor_format: int, device: int) -> float:
    return table[tensor_format][device] if table else 0.0


def _units_alone(program: Program, stages: _Stages, finish: dict[int, pulp.LpVariable], edge: _Edge) -> None:
    """Let units that stand for themselves wait for stages, and stages for them (family makespan).

    T[v] >= end[d] + what lies between + seconds of v - H (1 - sum of g from d to where v stands alone);
    begin[e] >= T[u] + what lies between - H (1 - sum of g to e from where u stands alone).
    """
    by_stage: dict[tuple[bool, Stage], TransportVariables] = {}
    for (d, e, m), g in edge.transports.items():
        leaves = not edge.is_given and edge.stands_alone(d)
        enters = not edge.is_due and edge.stands_alone(e)
        if enters and not leaves:
            start = end_stage(program.problem, d) if edge.is_given else d
            by_stage.setdefault((True, start), {})[d, e, m] = g
        elif leaves and not enters:
            end = end_stage(program.problem, e) if edge.is_due else e
            by_stage.setdefault((False, end), {})[d, e, m] = g
    for (enters, stage), moves in by_stage.items():
        way = edge.transfer(moves) + edge.sending(moves) + edge.receiving(moves) + edge.lone(moves)
        apart = program.horizon_s * (1 - pulp.lpSum(moves.values()))
        if enters:
            own = sum_of(
                [(x, o.seconds) for x, o in program.options(edge.consumer) if edge.stands_alone(o.device)]
            )
            # What a source of no blocked device has is there at once.
            ready = way if stage is None else stages.end_of(stage) + way - apart
            program.add("makespan", finish[edge.consumer] >= ready + own)
        elif stage is None:
            span = program.spans[program.problem.vertices[edge.producer].model]
            program.add("makespan", span >= finish[edge.producer] + way)
        else:
            program.add("makespan", stages.begin_of(stage) >= finish[edge.producer] + way - apart)


def _paths(program: Program) -> dict[int, pulp.LpVariable]:
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


def _serial_paths(program: Program) -> None:
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
                seconds(program, CostAccount.BUSY, d)
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


def seconds(program: Program, account: CostAccount, device: int) -> pulp.LpAffineExpression:
    """Return what a device takes by an account."""
    return sum_of(program.accounts[account, device])


def _between(program: Program, ways: tuple[Stage, Stage, int]) -> pulp.LpAffineExpression:
    return sum_of(program.accounts[CostAccount.BETWEEN, ways])
