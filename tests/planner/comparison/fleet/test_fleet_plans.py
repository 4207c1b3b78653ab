"""The plans of a fleet: against today's answer, against enumeration, rules, files and mistakes."""

import json
from dataclasses import replace

import pytest
from measured_scenarios import small_basis
from repository import ROOT

from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare, compare_fleet
from planner.comparison.bandwidth_traces import parse_distribution
from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.fleet.fleet_records import plan_for
from planner.comparison.plan_set import PlanSetRequest
from planner.comparison.sweep_points import Sweep
from planner.errors import ScenarioError
from planner.output.comparison_folder import RunnableFleet, choose_fleet_plan, write_comparison
from planner.scenario.fleet_schema import FleetSpec
from planner.scenario.loader import load_scenario
from profiling.records.json_files import load_json, save_json
from profiling.records.profile import FORMAT, Profile


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


def fleet_of(*classes: dict, **more) -> FleetSpec:
    return FleetSpec.model_validate_json(json.dumps({"device": "camera", "classes": classes, **more}))


def bandwidths(*pairs: tuple[float, float]) -> list[dict]:
    return [{"mbit_per_s": value, "share": share} for value, share in pairs]


PAIRS = ((0.05, 1), (0.5, 2), (3, 4), (50, 3))


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_fleet_of_one_class_is_the_plan_set_over_its_bandwidths(basis, most):
    link = "camera-gateway"
    fleet = fleet_of({"name": "one", "share": 7, "bandwidths": bandwidths(*PAIRS)}, links=[link])
    found = compare_fleet(basis, fleet, CompareRequest(fleet_plans=most)).record.fleet
    text = ",".join(f"{value}:{share}" for value, share in PAIRS)
    sweep = Sweep(parse_bandwidths("0.05..50", [link], basis.scenario))
    order = PlanSetRequest(most, parse_distribution(text))
    known = compare(basis, sweep, CompareRequest(plan_set=order)).record.plan_set
    assert found.mean_objective == pytest.approx(known.mean_latency_s, rel=1e-6)
    assert found.free_objective == pytest.approx(known.free_latency_s, rel=1e-6)
    assert found.status == "optimal"
    assert len(found.rule) <= most


MIXED = (
    {"name": "slow", "speedup": 0.3, "precisions": ["fp32"], "bandwidths": bandwidths((0.1, 1), (20, 1))},
    {"name": "fast", "speedup": 5, "share": 2, "memory_mib": 4, "bandwidths": bandwidths((0.1, 3), (20, 1))},
)


def test_more_plans_are_never_worse_and_the_bound_holds_for_all(basis):
    scenario = basis.scenario
    budget = scenario.budget.model_copy(update={"memory_mib": {}})
    scenario = scenario.model_copy(update={"budget": budget})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    found = [
        compare_fleet(own, fleet_of(*MIXED), CompareRequest(fleet_plans=most)).record.fleet
        for most in (1, 2, 4)
    ]
    means = [one.mean_objective for one in found]
    assert means == sorted(means, reverse=True)
    assert found[-1].regret == pytest.approx(0, abs=1e-6)
    assert sum(row.share for row in found[0].rows) == pytest.approx(1)
    for one in found:
        assert one.bound <= one.mean_objective
        assert one.free_objective <= one.mean_objective * (1 + 1e-9)
        for row in one.rows:
            assert row.objective >= row.bound
            assert plan_for(one.rule, row.device_class, row.bandwidth) == row.plan
    assert found[0].status == "optimal"  # one plan for all cells is one problem


def test_a_class_for_which_nothing_is_possible_is_a_row_that_says_so(basis, tmp_path):
    pinned = basis.scenario.placement.model_copy(update={"pin": {"*": "camera"}})
    scenario = basis.scenario.model_copy(update={"placement": pinned})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    fleet = fleet_of({"name": "tiny", "memory_mib": 1e-4}, {"name": "large", "memory_mib": 100})
    compared = compare_fleet(own, fleet, CompareRequest(fleet_plans=2))
    tiny, large = compared.record.fleet.rows
    assert (tiny.plan, tiny.best, tiny.reason) == (None, None, "the budgets cannot be kept together")
    assert large.plan == 0
    assert compared.record.fleet.served == pytest.approx(0.5)
    assert [one.device_class for one in compared.record.fleet.rule] == ["large"]


def test_the_folder_answers_which_plan_a_class_runs_and_holds_equal_stages_once(basis, tmp_path):
    compared = compare_fleet(basis, fleet_of(*MIXED), CompareRequest(fleet_plans=3))
    write_comparison(compared, tmp_path / "o")
    told = load_json(tmp_path / "o" / "fleet.json", RunnableFleet)
    stages = [stage for plan in told.plans for stage in plan.stages]
    assert {stage.file for stage in stages} == {
        str(path.relative_to(tmp_path / "o")) for path in (tmp_path / "o" / "stages").iterdir()
    }
    assert len({stage.sha256 for stage in stages}) == len({stage.file for stage in stages})
    for row in compared.record.fleet.rows:
        if row.plan is not None:
            assert choose_fleet_plan(tmp_path / "o", row.device_class, row.bandwidth).plan == row.plan


def test_a_fleet_whose_speed_alone_varies_is_solved_exactly(basis):
    classes = [{"name": f"c{n}", "speedup": speed} for n, speed in enumerate((0.3, 1, 8, 40))]
    found = [
        compare_fleet(basis, fleet_of(*classes), CompareRequest(fleet_plans=most)).record.fleet
        for most in (1, 2)
    ]
    assert [one.status for one in found] == ["optimal", "optimal"]
    assert found[0].mean_objective >= found[1].mean_objective


BROKEN = {
    "device": ("devix", "names no device: 'devix'"),
    "links": (["a-b"], "names no link: 'a-b'"),
    "classes": ([{"name": "x"}, {"name": "x"}], "'x' is already taken"),
}


@pytest.mark.parametrize("key", BROKEN)
def test_a_mistake_in_a_fleet_is_told_with_its_key(key):
    value, text = BROKEN[key]
    fleet = {"device": "camera", "classes": [{"name": "x"}]} | {key: value}
    setting = f"fleet={json.dumps(fleet)}"
    with pytest.raises(ScenarioError, match=text):
        load_scenario(ROOT / "scenarios" / "quickstart.yaml", [setting])


def test_bandwidths_that_do_not_ascend_are_told():
    falling = [{"mbit_per_s": 5}, {"mbit_per_s": 1}]
    fleet = {"device": "camera", "classes": [{"name": "x", "bandwidths": falling}]}
    with pytest.raises(ScenarioError, match="1 comes after 5; write each once, ascending"):
        load_scenario(ROOT / "scenarios" / "quickstart.yaml", [f"fleet={json.dumps(fleet)}"])


def test_a_class_with_its_own_profile_costs_what_the_profile_says(basis, tmp_path):
    latency = basis.latency["server"]
    slower = replace(latency, units=tuple(replace(row, seconds=3 * row.seconds) for row in latency.units))
    path = tmp_path / "phone.json"
    save_json(Profile(FORMAT, "phone", slower), path)
    pinned = basis.scenario.placement.model_copy(update={"pin": {"*": "camera"}})
    budget = basis.scenario.budget.model_copy(update={"memory_mib": {}})
    scenario = basis.scenario.model_copy(update={"placement": pinned, "budget": budget})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    profiled = {"name": "profiled", "profile": str(path)}
    classes = (profiled, {**profiled, "name": "twice", "speedup": 2})
    fleet = compare_fleet(own, fleet_of(*classes), CompareRequest(fleet_plans=2)).record.fleet
    assert fleet.status == "optimal"
    profiled, twice = fleet.rows
    assert twice.objective < profiled.objective


def test_a_cell_at_which_the_solver_fails_is_a_row_that_says_so(basis):
    solver = basis.scenario.solver.model_copy(update={"name": "cbc-that-is-not-there"})
    scenario = basis.scenario.model_copy(update={"solver": solver})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    fleet = compare_fleet(own, fleet_of({"name": "one"}), CompareRequest(fleet_plans=1)).record.fleet
    assert fleet.status == "unknown"
    assert "no solver" in fleet.rows[0].reason
