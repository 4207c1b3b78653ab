"""When a request's last answer is there, where stages overlap: they wait for one another, and for devices."""

from collections import defaultdict
from collections.abc import Iterator

import pulp

from planner.problem.stage_ways import Stage, blocked_device, blocked_end, end_stage
from planner.solver.milp.edge_seconds import Edge
from planner.solver.milp.path_constraints import add_paths, add_serial_paths
from planner.solver.milp.program import (
    CostAccount,
    Program,
    Terms,
    TransportVariables,
    account_seconds,
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
    finish = add_paths(program)
    add_serial_paths(program)
    for f, flow in enumerate(program.problem.flows):
        for k in range(len(flow.consumers)):
            _units_alone(program, stages, finish, Edge(program, f, k))


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
            d: self.begin[d]
            + account_seconds(program, CostAccount.BUSY, d)
            + account_seconds(program, CostAccount.STAGE, d)
            for d in self.contiguous
        }

    def begin_of(self, stage: Stage) -> pulp.LpVariable:
        """Return when a stage begins, or when a blocked device's sinks begin to receive, until the end."""
        if stage not in self.begin and stage is not None:
            program, device = self._program, blocked_device(stage)
            self.begin[stage] = begin = program.variable(f"begin_{device}", upper=program.horizon_s)
            received = account_seconds(program, CostAccount.RECEIVED, device)
            program.add("makespan", begin + received <= self.span(device))
            for d in self.contiguous:
                if self.place(d) == self.place(device):
                    program.add("makespan", begin >= self.end[d])
        return self.begin[stage]

    def end_of(self, stage: Stage) -> pulp.LpAffineExpression:
        """Return when a stage ends, or when a blocked device's sources have sent."""
        if stage is None or stage >= 0:
            return self.end[stage]
        return account_seconds(self._program, CostAccount.SENT, blocked_device(stage))

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
            edge, pairs = Edge(program, f, k), defaultdict(list)
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
        sent = account_seconds(program, CostAccount.SENT, d)
        for e in stages.contiguous:
            if stages.place(e) == stages.place(d):
                program.add("makespan", stages.begin[e] >= sent)
        due = sent + _between(program, (blocked_end(d), None, program.problem.devices[d].model))
        program.add("makespan", due <= stages.span(d))


def _units_alone(program: Program, stages: _Stages, finish: dict[int, pulp.LpVariable], edge: Edge) -> None:
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


def _between(program: Program, ways: tuple[Stage, Stage, int]) -> pulp.LpAffineExpression:
    return sum_of(program.accounts[CostAccount.BETWEEN, ways])
