"""What several models share -> models.json."""

from planner.plan.models_record import MODELS_FORMAT, ModelEntry, ModelsPlan
from planner.plan.plan_record import Objective, Plan, Predicted
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.device_visits import by_device
from planner.problem.placement_problem import PlacementProblem
from planner.refinement.joint_loop_state import SolvedModels
from planner.refinement.plan_assembly import memory_of, objective_name, solver_run
from planner.scenario.several_models import SeveralModels


def assemble_models(several: SeveralModels, solved: SolvedModels, plans: dict[str, Plan]) -> ModelsPlan:
    """Return the record of a plan for several models.

    Parameters
    ----------
    plans
        Model -> its own plan; empty if there is none.
    """
    result, problem = solved.found.result, solved.found.problem
    name = objective_name(several.shared)
    objective = Objective(name=name, value=result.objective, bound=result.bound, gap=result.gap)
    without_costs = ModelsPlan(
        format=MODELS_FORMAT,
        status=result.status.value,
        objective=objective,
        solver=solver_run(result),
        requests_per_s=several.requests_per_s,
    )
    if result.choice is None:
        return without_costs
    cost = evaluate(problem, result.choice)
    busy = busy_of_all(problem, cost)
    rate = several.requests_per_s
    energy = by_device(problem, cost.energy_j) if several.shared.knows_energy else {}
    return ModelsPlan(
        format=MODELS_FORMAT,
        status=result.status.value,
        objective=objective,
        solver=without_costs.solver,
        requests_per_s=rate,
        latency_s=cost.latency_s,
        energy_j=sum(energy.values()) if energy else None,
        energy_device_j=energy,
        money=cost.money,
        throughput_per_s=1 / cost.period_s if cost.period_s else None,
        busy_s=busy,
        utilisation={} if rate is None else {name: seconds * rate for name, seconds in busy.items()},
        memory_bytes=memory_of(problem, cost),
        traffic_bytes={
            link.name: size for link, size in zip(problem.links, cost.traffic_bytes, strict=True) if size
        },
        models=tuple(
            _entry(one.name, one.share, rate, plan.predicted)
            for one, plan in zip(several.models, plans.values(), strict=True)
            if plan.predicted is not None
        ),
    )


def busy_of_all(problem: PlacementProblem, cost: Cost) -> dict[str, float]:
    """Return device or link -> its load, of those that have any."""
    loads = by_device(problem, cost.busy_s)
    for link, seconds in zip(problem.links, cost.link_s, strict=True):
        for end in {link.source, link.target}:
            if problem.devices[end].transfers_block:
                loads[problem.devices[problem.physical_device(end)].name] += seconds
    links = {link.name: seconds for link, seconds in zip(problem.links, cost.link_s, strict=True)}
    return {name: seconds for name, seconds in (loads | links).items() if seconds}


def _entry(name: str, share: float, rate: float | None, predicted: Predicted) -> ModelEntry:
    return ModelEntry(
        name=name,
        folder=name,
        share=share,
        requests_per_s=None if rate is None else rate * share,
        latency_s=predicted.latency_s,
        makespan_s=predicted.makespan_s,
        energy_j=predicted.energy_j,
        noise_relative_rms=predicted.noise_relative_rms,
        memory_bytes=predicted.memory_bytes,
    )
