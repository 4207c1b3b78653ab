"""Which bandwidths a fleet's rule promises a plan at, and what it says elsewhere."""

import json
from dataclasses import replace

import pytest
from measured_scenarios import small_basis

from planner.cli.commands import main
from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare_fleet
from planner.comparison.fleet.fleet_records import FleetRule, plan_for
from planner.output.comparison_folder import write_comparison
from planner.scenario.fleet_schema import FleetSpec

CLASSES = (
    {"name": "varied", "bandwidths": [{"mbit_per_s": value} for value in (0.05, 0.3, 3, 50)]},
    {"name": "own", "speedup": 20},
)


@pytest.fixture(scope="module")
def basis(tmp_path_factory):
    return small_basis(tmp_path_factory.mktemp("small"))


def compared_with(basis, budget: dict, classes=CLASSES, **changes):
    budget = basis.scenario.budget.model_copy(update=budget)
    scenario = basis.scenario.model_copy(update={"budget": budget, **changes})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    fleet = FleetSpec.model_validate_json(json.dumps({"device": "camera", "classes": classes}))
    return compare_fleet(own, fleet, CompareRequest(fleet_plans=2))


@pytest.fixture(scope="module")
def limited(basis):
    free = compared_with(basis, {}).record.fleet.rows
    latest = (free[1].objective + free[2].objective) / 2  # what 0.3 Mbit/s does not keep, but 3 does
    return compared_with(basis, {"latency_ms": latest * 1e3}), latest


def test_a_rule_ends_where_no_plan_held_keeps_the_limit_on_latency(limited, basis):
    compared, latest = limited
    fleet = compared.record.fleet
    assert [row.plan is None for row in fleet.rows] == [True, True, False, False, False]
    low = min(one.low for one in fleet.rule if one.device_class == "varied")
    assert 0.3 < low <= 3
    assert plan_for(fleet.rule, "varied", low * 0.999) is None
    line = compared.record.plans[plan_for(fleet.rule, "varied", low)]
    assert line.fixed_s + line.link_s / low == pytest.approx(latest, rel=1e-5)


def test_a_rule_between_known_bandwidths_only_holds_a_plan_from_where_it_keeps_its_limits(basis):
    free = compared_with(basis, {}).record.fleet.rows
    latest = (free[1].objective + free[2].objective) / 2
    fleet = compared_with(basis, {"makespan_ms": latest * 1e3}).record.fleet
    rows = [row for row in fleet.rows if row.device_class == "varied"]
    assert rows[0].plan is None
    first = next(row.bandwidth for row in rows if row.plan is not None)
    own = [one for one in fleet.rule if one.device_class == "varied"]
    assert own[0].low == first
    assert own[-1].high is None


def test_a_rule_tells_what_its_plan_costs_the_class_at_any_bandwidth(basis, limited):
    free, makespan = compared_with(basis, {}), compared_with(basis, {"makespan_ms": 1e6})
    for compared in (free, limited[0], makespan):
        fleet = compared.record.fleet
        told = 0
        for row in fleet.rows:
            for one in fleet.rule:
                holds = (one.low or 0.0) <= (row.bandwidth or 0.0) < (one.high or float("inf"))
                if one.device_class == row.device_class and (row.bandwidth is None or holds):
                    assert one.plan == row.plan
                    assert one.costs.latency_s(row.bandwidth) == pytest.approx(row.objective, rel=1e-9)
                    told += 1
        assert told == sum(row.plan is not None for row in fleet.rows)


@pytest.fixture(scope="module")
def folder(limited, tmp_path_factory):
    path = tmp_path_factory.mktemp("fleet") / "o"
    write_comparison(limited[0], path)
    return path


def call(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return done.value.code, captured.out, captured.err


def test_choose_names_the_plan_and_its_stages(folder, limited, capsys):
    code, out, _ = call(capsys, "choose", folder, "--class", "varied", "--bandwidth", "50", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["plan"] == plan_for(limited[0].record.fleet.rule, "varied", 50.0)
    code, out, _ = call(capsys, "choose", folder, "--class", "own")
    assert code == 0
    assert "stages/" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--class", "varied", "--bandwidth", "0"), "--bandwidth 0: must be Mbit/s > 0"),
        (("--class", "varied", "--bandwidth=-3"), "--bandwidth -3: must be Mbit/s > 0"),
        (("--class", "varied", "--bandwidth", "nan"), "--bandwidth nan: must be Mbit/s > 0"),
        (("--class", "varied", "--bandwidth", "inf"), "--bandwidth inf: must be Mbit/s > 0"),
        (("--class", "varied"), "its plan depends on the bandwidth: add --bandwidth"),
        (("--class", "varied", "--bandwidth", "0.1"), "no plan that is held keeps its limits at 0.1 Mbit/s"),
        (("--class", "own", "--bandwidth", "5"), "leave --bandwidth out"),
        (("--class", "moon"), "classes with a plan are varied, own"),
    ],
)
def test_choose_says_in_one_line_why_it_names_no_plan(folder, arguments, message, capsys):
    code, out, err = call(capsys, "choose", folder, *arguments)
    assert (code in (1, 2), out, len(err.splitlines())) == (True, "", 1)
    assert message in err


def test_choose_says_so_where_no_class_has_a_plan(basis, tmp_path, capsys):
    nothing = compared_with(basis, {"latency_ms": 1e-6})
    assert nothing.record.fleet.status == "infeasible"
    for _ in range(2):  # an older one of a fleet is replaced
        write_comparison(nothing, tmp_path / "o")
    code, out, err = call(capsys, "choose", tmp_path / "o", "--class", "own")
    assert (code, out) == (1, "")
    assert "no plan is possible for any class of camera; compare.json says why" in err


def test_a_plan_for_own_bandwidths_is_not_promised_at_others():
    rule = (FleetRule(device_class="x", low=None, high=None, plan=0, at_own_bandwidth=True),)
    assert plan_for(rule, "x", None) == 0
    assert plan_for(rule, "x", 5.0) is None
