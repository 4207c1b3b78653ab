"""The answer of `plan solve`: a choice, its costs and its proof, under the problem's own names."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
from msgspec import structs

from planner.formatting import MILLI
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Quantity
from planner.problem.several_models import JointProblem, ModelPart
from planner.solver.infeasibility import Conflict, conflict_sentence
from planner.solver.result import SolveResult, SolveStatus

FORMAT = 1
# As PROBLEM.json counts them; noise power has none, and money is in the user's currency.
_SECONDS = dict.fromkeys((CostMetric.LATENCY.value, CostMetric.MAKESPAN.value, CostMetric.PERIOD.value), "s")
_BYTES = dict.fromkeys((CostMetric.MEMORY.value, CostMetric.TRAFFIC.value), "bytes")
_UNITS = _SECONDS | _BYTES | {CostMetric.ENERGY.value: "J"}


class PlacedUnit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A unit's device and precision; a further visit of a device is named `NAME again`."""

    unit: str
    device: str
    precision: str
    model: str | None = None


class Crossed(msgspec.Struct, frozen=True, kw_only=True, rename={"source": "from", "target": "to"}):
    """A tensor that crosses links from one device to another."""

    tensor: str
    source: str
    target: str
    wire: str
    size_bytes: float = msgspec.field(name="bytes")
    path: tuple[str, ...]
    seconds: float


class ModelCosts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one request of a model costs, and the devices of its stages in running order."""

    model: str
    share: float
    requests_per_s: float | None = None
    latency_s: float
    makespan_s: float | None
    transfer_s: float
    noise_power: float
    energy_j: float
    busy_s: dict[str, float]
    memory_bytes: dict[str, float]
    stages: tuple[str, ...]


class Costs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the answer costs; `makespan_s` is None where none is defined.

    Of several models these are means over their requests; `utilisation` is the share of its time for which
    the busiest device or link works, where the requests per second are known.
    """

    latency_s: float
    makespan_s: float | None
    period_s: float
    transfer_s: float
    noise_power: float
    money: float
    busy_s: dict[str, float]
    energy_j: dict[str, float]
    memory_bytes: dict[str, float]
    traffic_bytes: dict[str, float]
    utilisation: float | None = None


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The objective: its value, the proved bound, and their relative distance."""

    name: str
    value: float | None
    bound: float | None
    gap: float | None

    @property
    def unit(self) -> str:
        """What its value counts, such as s or J; empty of sums of several quantities, and where none does."""
        return _UNITS.get(self.name.partition(" of ")[0], "")

    def amount_text(self, value: float | None) -> str:
        """Return a value, or a bound of it, with its unit: seconds in ms."""
        number = 0.0 if value is None else value
        if self.unit == "s":
            return f"{number * MILLI:.9g} ms"
        return f"{number:.9g} {self.unit}".rstrip()


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the solver did; `interrupted` if it was asked for the best so far.

    `time_limit_ended` if it would have gone on: the gap is above the one asked for.
    """

    name: str
    runtime_s: float
    variables: int
    constraints: int
    peak_mib: float | None
    interrupted: bool = False
    time_limit_ended: bool = False


class Binding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A limit that cannot be kept with the others named; `least` would do if only it gave way."""

    measure: str
    of: str | None
    at_most: float
    least: float | None
    model: str | None = None


class LimitUse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much of a limit the answer uses, in the limit's own unit."""

    measure: str
    of: str | None
    at_most: float
    used: float
    model: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that `plan solve --json` prints.

    `conflict_cut_short` if time ended the explanation: then fewer limits may conflict. `conflict_causes` say
    in words what rules out every placement where no limit conflicts: missing links, contradicting groups.
    """

    format: int
    status: str
    objective: Goal
    solver: Run
    assignments: tuple[PlacedUnit, ...] = ()
    cuts: tuple[Crossed, ...] = ()
    stages: tuple[str, ...] = ()
    costs: Costs | None = None
    limits: tuple[LimitUse, ...] = ()
    models: tuple[ModelCosts, ...] = ()
    conflict: tuple[Binding, ...] = ()
    conflict_cut_short: bool = False
    conflict_causes: tuple[str, ...] = ()

    @property
    def is_infeasible(self) -> bool:
        """Whether no answer keeps all limits."""
        return self.status == SolveStatus.INFEASIBLE


def answer_of(
    problem: PlacementProblem, result: SolveResult, peak_mib: float | None, conflict: Conflict | None = None
) -> Answer:
    """Return a solve's answer in the problem's names.

    Parameters
    ----------
    peak_mib
        Memory of the process at its peak, if known.
    conflict
        Why there is none, if the result has none.
    """
    goal = Goal(name=objective_text(problem), value=result.objective, bound=result.bound, gap=result.gap)
    run = Run(
        name=result.solver,
        runtime_s=result.runtime_s,
        variables=result.variables,
        constraints=result.constraints,
        peak_mib=peak_mib,
    )
    if result.choice is None:
        binding = tuple(
            Binding(
                measure=relaxation.limit.quantity.metric.value,
                of=_of(problem, relaxation.limit.quantity),
                at_most=relaxation.limit.at_most,
                least=relaxation.least,
                model=None if (m := relaxation.limit.quantity.model) is None else str(m),
            )
            for relaxation in (conflict.relaxations if conflict else ())
        )
        return Answer(
            format=FORMAT,
            status=result.status.value,
            objective=goal,
            solver=run,
            conflict=binding,
            conflict_cut_short=conflict is not None and not conflict.minimal,
            conflict_causes=conflict.causes if conflict else (),
        )
    cost = evaluate(problem, result.choice)
    names = [device.name for device in problem.devices]
    pairs = zip(problem.vertices, result.choice.options, strict=True)
    chosen = [(vertex.name, vertex.options[o]) for vertex, o in pairs if not vertex.is_terminal]
    used_devices = {option.device for _, option in chosen}
    return Answer(
        format=FORMAT,
        status=result.status.value,
        objective=goal,
        solver=run,
        assignments=tuple(
            PlacedUnit(unit=name, device=names[o.device], precision=o.precision) for name, o in chosen
        ),
        cuts=tuple(_crossed_tensors(problem, cost)),
        stages=tuple(names[d] for d in cost.order or () if d in used_devices),
        costs=_costs_by_name(problem, cost),
        limits=tuple(
            LimitUse(
                measure=limit.quantity.metric.value,
                of=_of(problem, limit.quantity),
                at_most=limit.at_most,
                used=cost.value(limit.quantity),
                model=None if (m := limit.quantity.model) is None else str(m),
            )
            for limit in problem.limits
        ),
    )


def answer_of_several(
    joint: JointProblem,
    result: SolveResult,
    requests_per_s: float | None,
    peak_mib: float | None,
    conflict: Conflict | None = None,
) -> Answer:
    """Return a solve's answer for several models: means over requests, and each model's own costs.

    Parameters
    ----------
    requests_per_s
        Of all models, if known.
    """
    answer = answer_of(joint.problem, result, peak_mib, conflict)
    goal = structs.replace(answer.objective, name=_objective_of_several(joint))
    answer = structs.replace(answer, objective=goal)
    if result.choice is None or answer.costs is None:
        binding = tuple(_own_binding(joint, binding) for binding in answer.conflict)
        return structs.replace(answer, conflict=binding)
    utilisation = None if requests_per_s is None else answer.costs.period_s * requests_per_s
    alone = [
        answer_of(part.problem, replace(result, choice=joint.choice_of(model, result.choice)), None)
        for model, part in enumerate(joint.parts)
    ]
    return structs.replace(
        answer,
        assignments=tuple(
            structs.replace(placed, model=part.name)
            for part, own in zip(joint.parts, alone, strict=True)
            for placed in own.assignments
        ),
        cuts=tuple(cut for own in alone for cut in own.cuts),
        stages=(),
        costs=structs.replace(answer.costs, utilisation=utilisation),
        limits=tuple(_own_use(joint, use) for use in answer.limits),
        models=tuple(
            _model_costs(part, own, requests_per_s) for part, own in zip(joint.parts, alone, strict=True)
        ),
    )


def as_ended_by_time(answer: Answer) -> Answer:
    """Return an answer that says that the time limit ended the search."""
    return structs.replace(answer, solver=structs.replace(answer.solver, time_limit_ended=True))


def as_interrupted(answer: Answer) -> Answer:
    """Return an answer that says that it was asked for before the search was over."""
    run = structs.replace(answer.solver, interrupted=True, time_limit_ended=False)
    return structs.replace(answer, solver=run)


def _model_costs(part: ModelPart, own: Answer, requests_per_s: float | None) -> ModelCosts:
    costs = own.costs
    if costs is None:
        raise ValueError("a model's answer has costs")
    return ModelCosts(
        model=part.name,
        share=part.share,
        requests_per_s=None if requests_per_s is None else part.share * requests_per_s,
        latency_s=costs.latency_s,
        makespan_s=costs.makespan_s,
        transfer_s=costs.transfer_s,
        noise_power=costs.noise_power,
        energy_j=sum(costs.energy_j.values()),
        busy_s=costs.busy_s,
        memory_bytes=costs.memory_bytes,
        stages=own.stages,
    )


def _own_binding(joint: JointProblem, binding: Binding) -> Binding:
    """Return a limit of a conflict with a model's number as its name, for one of the model's own requests."""
    if binding.model is None:
        return binding
    part = joint.parts[int(binding.model)]
    least = None if binding.least is None else binding.least / part.share
    return structs.replace(binding, model=part.name, at_most=binding.at_most / part.share, least=least)


def _own_use(joint: JointProblem, use: LimitUse) -> LimitUse:
    """Return the use of a limit with a model's number as its name, for one of the model's own requests."""
    if use.model is None:
        return use
    part = joint.parts[int(use.model)]
    return structs.replace(use, model=part.name, at_most=use.at_most / part.share, used=use.used / part.share)


def _objective_of_several(joint: JointProblem) -> str:
    """Return the objective with each weight as that of a model's own requests."""
    terms = tuple(
        term
        if (m := term.quantity.model) is None
        else replace(term, weight=term.weight * joint.parts[m].share)
        for term in joint.problem.objective
    )
    names = [part.name for part in joint.parts]
    return objective_text(replace(joint.problem, objective=terms), names)


def objective_text(problem: PlacementProblem, models: Sequence[str] = ()) -> str:
    """Return the objective as a sum, such as `latency` or `0.5 latency + 2 energy of camera`.

    Parameters
    ----------
    models
        Their names, where there are several.
    """
    parts = []
    for term in problem.objective:
        of = _of(problem, term.quantity)
        if term.quantity.model is not None and models:
            of = models[term.quantity.model]
        name = term.quantity.metric.value + (f" of {of}" if of else "")
        parts.append(name if term.weight == 1 else f"{term.weight:g} {name}")
    return " + ".join(parts)


def conflict_line(answer: Answer) -> str:
    """Return in one line why there is no plan."""
    budgets = [f"{_limit_name(limit)} <= {limit.at_most:.6g}{_unit_text(limit)}" for limit in answer.conflict]
    alternatives = [
        f"{_limit_name(limit)} <= {limit.least:.9g}{_unit_text(limit)}"
        for limit in answer.conflict
        if limit.least is not None
    ]
    text = conflict_sentence(
        budgets, alternatives, minimal=not answer.conflict_cut_short, causes=answer.conflict_causes
    )
    return f"infeasible: {text}"


def _unit_text(binding: Binding) -> str:
    unit = _UNITS.get(binding.measure)
    return f" {unit}" if unit else ""


def limit_texts(use: LimitUse) -> tuple[str, str, str]:
    """Return a limit, what the answer uses of it, and what it allows, as people read them."""
    goal = Goal(name=use.measure, value=None, bound=None, gap=None)
    return _limit_name(use), goal.amount_text(use.used), goal.amount_text(use.at_most)


def _limit_name(binding: Binding | LimitUse) -> str:
    of = binding.of or binding.model
    return binding.measure + (f" of {of}" if of else "")


def _of(problem: PlacementProblem, quantity: Quantity) -> str | None:
    if quantity.of is None:
        return None
    parts = problem.links if quantity.metric is CostMetric.TRAFFIC else problem.devices
    return parts[quantity.of].name


def _crossed_tensors(problem: PlacementProblem, cost: Cost) -> list[Crossed]:
    cuts = []
    for crossing in cost.crossings:
        flow = problem.flows[crossing.flow]
        form = flow.forms[crossing.form]
        route = form.routes[crossing.source][crossing.target] or ()
        # Devices between the two forward the tensor.
        path = (crossing.source, *(problem.links[link].target for link in route))
        cuts.append(
            Crossed(
                tensor=flow.name,
                source=problem.devices[crossing.source].name,
                target=problem.devices[crossing.target].name,
                wire=form.name,
                size_bytes=form.size_bytes,
                path=tuple(problem.devices[d].name for d in path),
                seconds=crossing.seconds,
            )
        )
    return cuts


def _summed(names: Sequence[str], values: Sequence[float]) -> dict[str, float]:
    """Return name -> sum: several models' visits of a device have its name."""
    totals = dict.fromkeys(names, 0.0)
    for name, value in zip(names, values, strict=True):
        totals[name] += value
    return totals


def _costs_by_name(problem: PlacementProblem, cost: Cost) -> Costs:
    names = [device.name for device in problem.devices]
    physical_devices = [d for d in range(len(names)) if problem.physical_device(d) == d]
    return Costs(
        latency_s=cost.latency_s,
        makespan_s=cost.makespan_s if problem.has_makespan else None,
        period_s=cost.period_s,
        transfer_s=cost.transfer_s,
        noise_power=cost.noise_power,
        money=cost.money,
        busy_s=_summed(names, cost.busy_s),
        energy_j={names[d]: cost.energy_j[d] for d in physical_devices},
        memory_bytes={names[d]: cost.memory_bytes[d] for d in physical_devices},
        traffic_bytes={link.name: n for link, n in zip(problem.links, cost.traffic_bytes, strict=True)},
    )
