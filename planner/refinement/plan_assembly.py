"""Solve result -> Plan: assignments, cuts and predicted costs under the model's own names."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from planner.costs.formulation import DeviceCosts, formulate
from planner.costs.noise_model import NoiseLaw
from planner.costs.whole_model import Whole, alone_on
from planner.peak_memory import peak_mib
from planner.plan.records import (
    FORMAT,
    Assignment,
    ConvertedFrom,
    Cut,
    LoopRound,
    Objective,
    Plan,
    Predicted,
    SolverRun,
    WireFormat,
)
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.placement_problem import FLOAT, Choice, Option, PlacementProblem
from planner.refinement.noise_limit_search import Tightened
from planner.scenario.loader import dump_scenario
from planner.scenario.schema import ObjectiveSpec, Scenario
from planner.solver.solve import SolveResult, SolveStatus
from planner.verification.sample_size import too_few_held_back
from profiling.graph.unit_graph import ModelGraph, Tensor
from profiling.onnx_io.load import model_hash
from profiling.precision import Precision, Wire
from profiling.quantization.quantize import Scheme

_OWN = {wire.value: wire for wire in WireFormat} | {"float32": WireFormat.FLOAT}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a plan's models follow from: each unit's device and precision, and wires of float tensors."""

    devices: tuple[str, ...]
    precisions: tuple[Precision, ...]
    wires: tuple[tuple[str, Wire], ...] = ()

    @property
    def mix(self) -> dict[int, Precision]:
        """Unit -> precision, of the quantized units."""
        return {u: own for u, own in enumerate(self.precisions) if own is not Precision.FP32}


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked of the solver, and the measured costs behind it.

    Parameters
    ----------
    schemes
        Device name -> its quantization scheme.
    samples
        Hash of the calibration samples.
    costs
        Device name -> its costs.
    law
        How their summed noise becomes noise.
    converted_from
        What the model was, if it was no ONNX file.
    """

    scenario: Scenario
    graph: ModelGraph
    schemes: Mapping[str, Scheme]
    samples: str
    costs: Mapping[str, DeviceCosts]
    law: NoiseLaw
    converted_from: ConvertedFrom | None = None

    def formulate(self) -> PlacementProblem:
        """Return the question as numbers."""
        return formulate(self.scenario, self.graph, self.costs)

    def ratio_to_fp32(self, chosen: Chosen, device: str) -> float:
        """Return predicted seconds of the whole mixed model on a device over those of the fp32 model."""
        alone = alone_on(self.scenario, self.scenario.device(device))
        whole = Whole(alone, self.graph, self.costs).ratio_to_fp32(chosen.mix)
        costs = self.costs[device]
        return whole + sum(costs.coding_s(*wire, self.graph) for wire in chosen.wires) / (costs.fp32_s or 1.0)

    def chain_ratio_to_fp32(self, problem: PlacementProblem, cost: Cost) -> float:
        """Return predicted seconds of all stages, each over those of the fp32 model on its device."""
        pairs = _by_device(problem, cost.busy_s).items()
        return sum(seconds / (self.costs[device].fp32_s or 1.0) for device, seconds in pairs)

    @property
    def quantization(self) -> dict[str, str]:
        """Device name -> label of its scheme."""
        return {name: scheme.label for name, scheme in self.schemes.items()}


def compose_plan(question: Question, tightened: Tightened, loop: tuple[LoopRound, ...] = ()) -> Plan:
    """Return the plan of a solve, not yet measured.

    Parameters
    ----------
    loop
        How it was arrived at.
    """
    result, problem = tightened.result, tightened.problem
    cost = tightened.cost
    chosen = chosen_by(problem, result.choice) if result.choice else Chosen((), ())
    options = unit_options(problem, result.choice) if result.choice else []
    assignments = tuple(
        Assignment(
            unit=unit.name,
            nodes=unit.nodes,
            device=device,
            precision=Precision.INT8 if unit.quantized else precision,
            compute_s=option.seconds,
            noise_power=option.noise_power,
            weight_bytes=unit.weight_bytes_in(precision),
            compressed_bytes=round(option.weight_bytes) if question.graph.stored else None,
        )
        for unit, device, precision, option in zip(
            question.graph.units, chosen.devices, chosen.precisions, options, strict=True
        )
    )
    return Plan(
        format=FORMAT,
        status=result.status.value,
        objective=Objective(
            name=objective_name(question.scenario),
            value=cost.objective,
            bound=result.bound,
            gap=result.gap,
        ),
        solver=_solver_run(result),
        quantization=question.quantization,
        model_sha256=model_hash(question.graph.model),
        calibration_sha256=question.samples,
        assignments=assignments,
        cuts=cuts_of(problem, cost, question.graph.tensors),
        predicted=Predicted(
            latency_s=cost.latency_s,
            latency_ratio_to_fp32=question.ratio_to_fp32(chosen, question.scenario.source),
            chain_ratio_to_fp32=question.chain_ratio_to_fp32(problem, cost),
            compute_s=_by_device(problem, cost.busy_s),
            transfer_s=cost.transfer_s,
            energy_j=sum(cost.energy_j) if question.scenario.knows_energy else None,
            energy_device_j=_by_device(problem, cost.energy_j) if question.scenario.knows_energy else {},
            noise_relative_rms=question.law.power(cost.noise_power) ** 0.5,
            makespan_s=cost.makespan_s if cost.makespan_s < inf else None,
            throughput_per_s=1 / cost.period_s if cost.period_s else None,
            traffic_bytes={
                link.name: round(size)
                for link, size in zip(problem.links, cost.traffic_bytes, strict=True)
                if size
            },
            money=cost.money,
            memory_bytes=memory_of(problem, cost),
            weight_bytes=_summed((a.device, a.weight_bytes) for a in assignments),
            compressed_bytes=_summed(
                (a.device, a.compressed_bytes) for a in assignments if a.compressed_bytes is not None
            ),
        ),
        rounds=tightened.rounds,
        loop=loop,
        measured=None,
        too_few_samples=too_few_held_back(question.scenario.budget, tightened.rounds),
        converted_from=question.converted_from,
        scenario=_resolved(question.scenario),
    )


def compose_infeasible(question: Question, tightened: Tightened) -> Plan:
    """Return the record of a solve that found no plan."""
    return Plan(
        format=FORMAT,
        status=SolveStatus.INFEASIBLE.value,
        objective=Objective(name=objective_name(question.scenario), value=None, bound=None, gap=None),
        solver=_solver_run(tightened.result),
        quantization=question.quantization,
        model_sha256=model_hash(question.graph.model),
        calibration_sha256=question.samples,
        assignments=(),
        cuts=(),
        predicted=None,
        rounds=tightened.rounds,
        measured=None,
        too_few_samples=too_few_held_back(question.scenario.budget, tightened.rounds),
        converted_from=question.converted_from,
        scenario=_resolved(question.scenario),
    )


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for name, size in pairs:
        total[name] = total.get(name, 0) + size
    return total


def chosen_by(problem: PlacementProblem, choice: Choice) -> Chosen:
    """Return what a choice says in names."""
    options = unit_options(problem, choice)
    crossings = [(problem.flows[c.flow], c.form) for c in evaluate(problem, choice).crossings]
    wires = {flow.name: Wire(flow.forms[form].name) for flow, form in crossings if form in flow.wires}
    return Chosen(
        tuple(problem.devices[problem.home(option.device)].name for option in options),
        tuple(Precision(option.precision) for option in options),
        tuple(wires.items()),
    )


def unit_options(problem: PlacementProblem, choice: Choice) -> list[Option]:
    """Return the option of each unit."""
    pairs = zip(problem.vertices, choice.options, strict=True)
    return [vertex.options[o] for vertex, o in pairs if not vertex.fixed]


def objective_name(scenario: Scenario) -> str:
    """Return `latency`, `energy` and the like, or a weighted sum such as `0.5 latency + 0.5 energy`."""
    if not isinstance(scenario.objective, ObjectiveSpec):
        return scenario.objective
    return " + ".join(f"{weight:g} {name}" for name, weight in scenario.objective if weight)


def _solver_run(result: SolveResult) -> SolverRun:
    return SolverRun(
        name=result.solver,
        runtime_s=result.runtime_s,
        variables=result.variables,
        constraints=result.constraints,
        peak_mib=peak_mib(),
    )


def _resolved(scenario: Scenario) -> msgspec.Raw:
    return msgspec.Raw(dump_scenario(scenario).encode())


def busy_of(problem: PlacementProblem, cost: Cost) -> dict[str, float]:
    """Return device -> seconds that it works on a request, of those that do."""
    return {d: seconds for d, seconds in _by_device(problem, cost.busy_s).items() if seconds}


def memory_of(problem: PlacementProblem, cost: Cost) -> dict[str, int]:
    """Return device name -> bytes."""
    return {d: round(size) for d, size in _by_device(problem, cost.memory_bytes).items()}


def _by_device(problem: PlacementProblem, values: Sequence[float]) -> dict[str, float]:
    """Return device name -> sum over its visits."""
    found: dict[str, float] = {}
    for d, value in enumerate(values):
        name = problem.devices[problem.home(d)].name
        found[name] = found.get(name, 0.0) + value
    return found


def cuts_of(problem: PlacementProblem, cost: Cost, tensors: Mapping[str, Tensor]) -> tuple[Cut, ...]:
    """Return the tensors that cross links between devices.

    Parameters
    ----------
    tensors
        Of the model: those that it computes in another type than float32 cross as they are.
    """
    cuts: dict[tuple[int, int, int], Cut] = {}
    for crossing in cost.crossings:
        source, target = problem.home(crossing.source), problem.home(crossing.target)
        if source == target or (crossing.flow, source, target) in cuts:
            continue  # from visit to visit nothing crosses a link, and to several it crosses once
        flow, form = problem.flows[crossing.flow], problem.flows[crossing.flow].forms[crossing.form]
        plain = form.format == FLOAT and crossing.form not in flow.wires
        wire = _OWN.get(tensors[flow.name].dtype, WireFormat.FLOAT) if plain else WireFormat(form.name)
        links = [problem.links[link] for link in form.routes[crossing.source][crossing.target] or ()]
        path = (source, *(link.target for link in links))
        cuts[crossing.flow, source, target] = Cut(
            tensor=flow.name,
            source=problem.devices[source].name,
            target=problem.devices[target].name,
            wire=WireFormat.RAW if flow.converts_at_consumer else wire,
            size_bytes=round(form.size_bytes),
            path=tuple(problem.devices[d].name for d in path),
            seconds=crossing.seconds,
        )
    return tuple(cuts.values())
