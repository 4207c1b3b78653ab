"""Solve result -> Plan: assignments, cuts and predicted costs under the model's own names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import msgspec

from planner.evaluate import Cost
from planner.formulate import DeviceCosts, formulate
from planner.ilp import SolveResult, SolveStatus
from planner.law import NoiseLaw
from planner.plan import FORMAT, Assignment, Cut, LoopRound, Objective, Plan, Predicted, SolverRun, Wire
from planner.predict import Whole, alone_on
from planner.problem import FLOAT, PlacementProblem
from planner.scenario import ObjectiveSpec, Scenario
from planner.scenario_file import dump_scenario
from planner.tighten import Tightened
from profiling.graph import ModelGraph
from profiling.model import model_hash
from profiling.profile import Precision
from profiling.quantize import Scheme


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
    """

    scenario: Scenario
    graph: ModelGraph
    schemes: Mapping[str, Scheme]
    samples: str
    costs: Mapping[str, DeviceCosts]
    law: NoiseLaw

    def formulate(self) -> PlacementProblem:
        """Return the question as numbers."""
        return formulate(self.scenario, self.graph, self.costs)

    def ratio_to_fp32(self, int8: Collection[int], device: str) -> float:
        """Return predicted seconds of the whole mixed model on a device over those of the fp32 model."""
        alone = alone_on(self.scenario, self.scenario.device(device))
        return Whole(alone, self.graph, self.costs).ratio_to_fp32(int8)

    def chain_ratio_to_fp32(self, cost: Cost) -> float:
        """Return predicted seconds of all stages, each over those of the fp32 model on its device."""
        pairs = zip(self.scenario.devices, cost.busy_s, strict=True)
        return sum(seconds / (self.costs[device.name].fp32_s or 1.0) for device, seconds in pairs)

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
    chosen = chosen_options(problem, result)
    names = [device.name for device in problem.devices]
    units = question.graph.units
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
        assignments=tuple(
            Assignment(
                unit=unit.name,
                nodes=unit.nodes,
                device=device,
                precision=Precision.INT8 if int8 or unit.quantized else Precision.FP32,
            )
            for unit, (device, int8) in zip(units, chosen, strict=True)
        ),
        cuts=_cuts(problem, cost),
        predicted=Predicted(
            latency_s=cost.latency_s,
            latency_ratio_to_fp32=question.ratio_to_fp32(int8_units(chosen), question.scenario.source),
            chain_ratio_to_fp32=question.chain_ratio_to_fp32(cost),
            compute_s=dict(zip(names, cost.busy_s, strict=True)),
            transfer_s=cost.transfer_s,
            energy_j=sum(cost.energy_j) if question.scenario.knows_energy else None,
            energy_device_j=(
                dict(zip(names, cost.energy_j, strict=True)) if question.scenario.knows_energy else {}
            ),
            noise_relative_rms=question.law.power(cost.noise_power) ** 0.5,
            makespan_s=cost.makespan_s if cost.makespan_s < inf else None,
            throughput_per_s=1 / cost.period_s if cost.period_s else None,
            traffic_bytes={
                link.name: round(size)
                for link, size in zip(problem.links, cost.traffic_bytes, strict=True)
                if size
            },
            money=cost.money,
            memory_bytes={name: round(size) for name, size in zip(names, cost.memory_bytes, strict=True)},
        ),
        rounds=tightened.rounds,
        loop=loop,
        measured=None,
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
        scenario=_resolved(question.scenario),
    )


def chosen_options(problem: PlacementProblem, result: SolveResult) -> tuple[tuple[str, bool], ...]:
    """Return (device, is int8) of every unit."""
    pairs = zip(problem.vertices, result.choice.options if result.choice else (), strict=True)
    options = [vertex.options[choice] for vertex, choice in pairs if not vertex.fixed]
    return tuple((problem.devices[option.device].name, option.quantized) for option in options)


def int8_units(chosen: Sequence[tuple[str, bool]]) -> list[int]:
    """Return the indices of the units that the options bring into int8."""
    return [index for index, (_, is_int8) in enumerate(chosen) if is_int8]


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
    )


def _resolved(scenario: Scenario) -> msgspec.Raw:
    return msgspec.Raw(dump_scenario(scenario).encode())


def _cuts(problem: PlacementProblem, cost: Cost) -> tuple[Cut, ...]:
    cuts = []
    for crossing in cost.crossings:
        flow, form = problem.flows[crossing.flow], problem.flows[crossing.flow].forms[crossing.form]
        wire = Wire.FLOAT if form.format == FLOAT else Wire(problem.formats[form.format].name)
        links = [problem.links[link] for link in form.routes[crossing.source][crossing.target] or ()]
        path = (crossing.source, *(link.target for link in links))
        cuts.append(
            Cut(
                tensor=flow.name,
                source=problem.devices[crossing.source].name,
                target=problem.devices[crossing.target].name,
                wire=Wire.RAW if flow.converts_at_consumer else wire,
                size_bytes=round(form.size_bytes),
                path=tuple(problem.devices[d].name for d in path),
                seconds=crossing.seconds,
            )
        )
    return tuple(cuts)
