"""Solve result -> Plan: assignments, cuts and predicted costs under the model's own names."""

from collections.abc import Iterable, Mapping
from math import inf

import msgspec

from planner.plan.configuration import Configuration, configuration_of, unit_options
from planner.plan.plan_record import (
    FORMAT,
    Assignment,
    Cut,
    LoopRound,
    Objective,
    Plan,
    Predicted,
    SolverRun,
    WireFormat,
)
from planner.problem.cost_evaluation import Cost
from planner.problem.device_visits import by_device
from planner.problem.placement_problem import PlacementProblem
from planner.problem.tensors import FLOAT
from planner.process_memory import peak_mib
from planner.refinement.noise_limit_search import SearchResult
from planner.refinement.planning_problem import PlanningProblem
from planner.refinement.ties import resolution_of, tie_of
from planner.scenario.budget_schema import ObjectiveSpec
from planner.scenario.loader import dump_scenario
from planner.scenario.schema import Scenario
from planner.solver.result import SolveResult, SolveStatus
from planner.verification.sample_size import too_few_held_back
from profiling.graph.any_model import Tensor

_OWN = {wire.value: wire for wire in WireFormat} | {"float32": WireFormat.FLOAT}


def assemble_plan(
    planning: PlanningProblem,
    searched: SearchResult,
    loop: tuple[LoopRound, ...] = (),
    cost_error: float = 0.0,
) -> Plan:
    """Return the plan of a solve, not yet measured.

    Parameters
    ----------
    loop
        How it was arrived at.
    cost_error
        Standard error of measured seconds, as a fraction of them.
    """
    result, problem = searched.result, searched.problem
    cost, tie = searched.cost, tie_of(problem, result, resolution_of(cost_error))
    chosen = configuration_of(problem, result.choice) if result.choice else Configuration((), ())
    options = unit_options(problem, result.choice) if result.choice else []
    assignments = tuple(
        Assignment(
            unit=unit.name,
            nodes=unit.nodes,
            device=device,
            precision=unit.counted_as(precision),
            compute_s=option.seconds,
            noise_power=option.noise_power,
            weight_bytes=unit.weight_bytes_in(precision),
            compressed_bytes=round(option.weight_bytes) if planning.graph.stored_weight_bytes else None,
        )
        for unit, device, precision, option in zip(
            planning.graph.units, chosen.devices, chosen.precisions, options, strict=True
        )
    )
    return Plan(
        format=FORMAT,
        status=result.status.value,
        objective=Objective(
            name=objective_name(planning.scenario),
            value=cost.objective,
            bound=result.bound,
            gap=result.gap,
        ),
        solver=solver_run(result),
        quantization=planning.quantization,
        model_sha256=planning.graph.model_sha256,
        calibration_sha256=planning.samples,
        assignments=assignments,
        cuts=cuts_of(problem, cost, planning.graph.tensors),
        predicted=Predicted(
            latency_s=cost.latency_s,
            latency_standard_error_s=cost_error * sum(cost.busy_s),
            latency_ratio_to_fp32=planning.ratio_to_fp32(chosen, planning.scenario.source),
            chain_ratio_to_fp32=planning.chain_ratio_to_fp32(problem, cost),
            compute_s=by_device(problem, cost.busy_s),
            fp32_s={
                device: planning.costs[device].fp32_s
                for device in by_device(problem, cost.busy_s)
                if planning.costs[device].fp32_s
            },
            transfer_s=cost.transfer_s,
            energy_j=sum(cost.energy_j) if planning.scenario.knows_energy else None,
            energy_device_j=by_device(problem, cost.energy_j) if planning.scenario.knows_energy else {},
            noise_relative_rms=planning.noise_model.predict(cost.noise_power) ** 0.5,
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
        rounds=searched.rounds,
        loop=loop,
        measured=None,
        too_few_samples=too_few_held_back(planning.scenario.budget, searched.rounds),
        tie=tie,
        tried_precisions=planning.tried_precisions,
        calibration_choices=planning.calibration_choices,
        converted_from=planning.converted_from,
        scenario=_resolved(planning.scenario),
    )


def assemble_infeasible(planning: PlanningProblem, searched: SearchResult) -> Plan:
    """Return the record of a solve that found no plan."""
    return Plan(
        format=FORMAT,
        status=SolveStatus.INFEASIBLE.value,
        objective=Objective(name=objective_name(planning.scenario), value=None, bound=None, gap=None),
        solver=solver_run(searched.result),
        quantization=planning.quantization,
        model_sha256=planning.graph.model_sha256,
        calibration_sha256=planning.samples,
        assignments=(),
        cuts=(),
        predicted=None,
        rounds=searched.rounds,
        measured=None,
        too_few_samples=too_few_held_back(planning.scenario.budget, searched.rounds),
        tried_precisions=planning.tried_precisions,
        calibration_choices=planning.calibration_choices,
        converted_from=planning.converted_from,
        scenario=_resolved(planning.scenario),
    )


def _summed(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for name, size in pairs:
        total[name] = total.get(name, 0) + size
    return total


def objective_name(scenario: Scenario) -> str:
    """Return `latency`, `energy` and the like, or a weighted sum such as `0.5 latency + 0.5 energy`."""
    if not isinstance(scenario.objective, ObjectiveSpec):
        return scenario.objective
    return " + ".join(f"{weight:g} {name}" for name, weight in scenario.objective if weight)


def solver_run(result: SolveResult) -> SolverRun:
    """Return what the solver did, and what this process held at most."""
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
    return {d: seconds for d, seconds in by_device(problem, cost.busy_s).items() if seconds}


def memory_of(problem: PlacementProblem, cost: Cost) -> dict[str, int]:
    """Return device name -> bytes."""
    return {d: round(size) for d, size in by_device(problem, cost.memory_bytes).items()}


def cuts_of(problem: PlacementProblem, cost: Cost, tensors: Mapping[str, Tensor]) -> tuple[Cut, ...]:
    """Return the tensors that cross links between devices.

    Parameters
    ----------
    tensors
        Of the model: those that it computes in another type than float32 cross as they are.
    """
    cuts: dict[tuple[int, int, int], Cut] = {}
    for crossing in cost.crossings:
        source, target = problem.physical_device(crossing.source), problem.physical_device(crossing.target)
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
