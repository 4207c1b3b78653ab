"""What a plan says follows from the choice that was solved for, recounted here from the model itself."""

from dataclasses import replace

import pytest
from measured_scenarios import quickstart_basis

from planner.comparison.sweep_points import with_budgets
from planner.problem.cost_evaluation import evaluate
from planner.refinement.noise_limit_search import SearchResult, SearchState
from planner.refinement.plan_assembly import assemble_infeasible, assemble_plan, objective_name
from planner.refinement.unconstrained_noise import UnconstrainedNoisePlans
from planner.scenario.budget_schema import ObjectiveSpec
from planner.scenario.loader import parse_scenario
from profiling.precision import Precision


@pytest.fixture(scope="module")
def measured():
    return quickstart_basis()


@pytest.fixture(scope="module", params=["all in one place", "split"])
def assembled(request, measured):
    """A plan of the quickstart, once with its first and last unit on different devices."""
    scenario = measured.scenario
    units = measured.prepared.models.graph.units
    if request.param == "split":
        names = [device.name for device in scenario.devices]
        pins = {units[0].name: names[0], units[-1].name: names[-1]}
        placement = scenario.placement.model_copy(update={"pin": pins})
        scenario = scenario.model_copy(update={"placement": placement})
    own = replace(measured, prepared=replace(measured.prepared, scenario=scenario))
    planning = own.planning_problem(own.latency)
    problem = planning.formulate()
    unconstrained = UnconstrainedNoisePlans(problem, own.options)
    search = SearchResult(problem, unconstrained.best, (), unconstrained)
    return planning, search, assemble_plan(planning, search)


def test_every_unit_is_assigned_once_with_its_nodes(assembled):
    planning, _, plan = assembled
    assert [a.unit for a in plan.assignments] == [unit.name for unit in planning.graph.units]
    nodes = [node for a in plan.assignments for node in a.nodes]
    assert sorted(nodes) == sorted(node for unit in planning.graph.units for node in unit.nodes)


def test_only_units_that_can_be_quantized_are(assembled):
    planning, _, plan = assembled
    for unit, assignment in zip(planning.graph.units, plan.assignments, strict=True):
        assert assignment.precision is Precision.FP32 or unit.quantizable


def test_cuts_are_the_tensors_whose_ends_lie_on_different_devices(assembled):
    planning, _, plan = assembled
    graph, devices = planning.graph, plan.devices()
    made = {name: devices[unit.name] for unit in graph.units for name in unit.outputs}
    made |= dict.fromkeys(graph.inputs, planning.scenario.source)
    crossing = {
        (name, made[name], devices[unit.name])
        for unit in graph.units
        for name in unit.inputs
        if name in made and made[name] != devices[unit.name]
    }
    crossing |= {
        (name, made[name], planning.scenario.sink)
        for name in graph.outputs
        if made[name] != planning.scenario.sink
    }
    assert {(cut.tensor, cut.source, cut.target) for cut in plan.cuts} == crossing


def test_costs_are_those_of_the_choice(assembled):
    _, search, plan = assembled
    cost = evaluate(search.problem, search.result.choice)
    assert plan.predicted.latency_s == pytest.approx(cost.latency_s)
    assert plan.objective.value == pytest.approx(cost.objective)
    assert sum(plan.predicted.compute_s.values()) == pytest.approx(sum(cost.busy_s))
    weights = sum(a.weight_bytes for a in plan.assignments)
    assert sum(plan.predicted.weight_bytes.values()) == weights
    for cut in plan.cuts:
        assert (cut.path[0], cut.path[-1]) == (cut.source, cut.target)


def test_a_plan_keeps_its_scenario_whole(assembled):
    planning, _, plan = assembled
    assert parse_scenario(bytes(plan.scenario)) == planning.scenario


def test_where_there_is_no_plan_the_record_says_so_and_holds_no_costs(measured):
    scenario = with_budgets(measured.scenario, {"latency_ms": 1e-9})
    own = replace(measured, prepared=replace(measured.prepared, scenario=scenario))
    planning = own.planning_problem(own.latency)
    search = own.noise_limit_search.solve_and_try_out(planning.formulate(), SearchState())
    record = assemble_infeasible(planning, search)
    assert record.status == "infeasible"
    assert (record.assignments, record.cuts, record.predicted) == ((), (), None)
    assert record.objective.value is None


def test_a_weighted_objective_is_named_by_its_parts(measured):
    objective = ObjectiveSpec(latency=0.5, energy=0.25)
    scenario = measured.scenario.model_copy(update={"objective": objective})
    assert objective_name(scenario) == "0.5 latency + 0.25 energy"
    assert objective_name(measured.scenario) == measured.scenario.objective
