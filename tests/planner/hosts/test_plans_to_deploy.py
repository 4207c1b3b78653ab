"""What is deployed together: one plan, or all that a comparison holds."""

import json
import shutil
from dataclasses import replace

import msgspec
import pytest
from delivered_plans import delivered
from held_plans import SCENARIO as SCENARIO_CONTENT
from held_plans import write_held_plans
from measured_scenarios import small_basis
from PIL import Image

from planner.cli.commands import main
from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare_fleet
from planner.errors import DataError, OutputError, ScenarioError, UsageError
from planner.hosts.deploy import deploy
from planner.hosts.on_host.host_manifest import read_host_manifest
from planner.hosts.on_host.stage_runtime import open_stages
from planner.hosts.plans_to_deploy import Selection, read_plans
from planner.output.comparison_folder import RunnableSet, write_comparison
from planner.output.plan_folder import write_export
from planner.output.record_files import PLANS
from planner.output.run_input import SCENARIO, read_run_input
from planner.plan.manifest import MANIFEST
from planner.scenario.fleet_schema import FleetSpec
from planner.scenario.loader import parse_scenario
from profiling.records.json_files import load_json, save_json


@pytest.fixture(scope="module")
def held(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparisons") / "digits"
    write_held_plans(digits, folder)
    return folder


@pytest.fixture
def changed(held, tmp_path):
    folder = tmp_path / "changed"
    shutil.copytree(held, folder)
    return folder


def test_a_plan_folder_is_deployed_as_the_only_plan(residual, tmp_path):
    known, built = delivered(residual)
    write_export(known, built, tmp_path / "plan")
    together = read_plans(tmp_path / "plan")
    assert [plan.name for plan in together.plans] == ["plan"]
    assert together.followed is None
    assert together.plans[0].costs.latency_s(None) == known.predicted.latency_s
    assert json.loads(together.scenario_text) == json.loads(bytes(known.scenario))


def test_the_plans_of_a_comparison_keep_their_switch_over_bandwidths_and_costs(held):
    told = load_json(held / PLANS, RunnableSet)
    together = read_plans(held)
    for plan, expected in zip(together.plans, told.plans, strict=True):
        for key in ("low", "high", "leave_below", "leave_above"):
            assert getattr(plan.range, key) == getattr(expected, key)
        assert plan.costs.latency_s(4.0) == pytest.approx(expected.fixed_s + expected.link_s / 4)
        assert plan.costs.latency_s(None) is None
        assert plan.stages.stages == expected.stages
    assert together.followed.links == (("camera", "server"),)
    assert (together.followed.own, together.followed.low, together.followed.high) == (1.0, 0.1, 100.0)


def test_one_plan_of_a_comparison_is_deployed_alone(held, tmp_path, capsys):
    told = load_json(held / PLANS, RunnableSet)
    for expected in told.plans:
        together = read_plans(held, Selection(plan=expected.plan))
        (only,) = together.plans
        assert together.followed is None
        assert only.stages.stages == expected.stages
        # The scenario's own link has 1 Mbit/s.
        assert only.costs.latency_s(None) == pytest.approx(expected.fixed_s + expected.link_s)
    with pytest.raises(SystemExit) as ended:
        main(["deploy", str(held), "--plan", "0", "--out", str(tmp_path / "alone")])
    assert not ended.value.code
    assert "camera: copy" in capsys.readouterr().out
    with pytest.raises(OutputError, match="--plan 7: .* holds plans 0, 1"):
        read_plans(held, Selection(plan=7))


def test_a_number_of_a_plan_is_of_a_comparison(residual, tmp_path):
    known, built = delivered(residual)
    write_export(known, built, tmp_path / "plan")
    with pytest.raises(UsageError, match="--plan 0: .* is no comparison that holds several plans"):
        read_plans(tmp_path / "plan", Selection(plan=0))


def test_a_device_gets_the_stages_of_all_plans_and_each_file_once(held, changed, tmp_path):
    told = load_json(changed / PLANS, RunnableSet)
    record = deploy(held, tmp_path / "deploy", {})
    assert [(host.device, host.stages) for host in record.hosts] == [("camera", 1), ("server", 2)]
    doubled = msgspec.structs.replace(told, plans=(*told.plans, told.plans[1]))
    save_json(doubled, changed / PLANS)
    deploy(changed, tmp_path / "doubled", {})
    for folder in ("deploy", "doubled"):
        assert len(list((tmp_path / folder / "server" / "stages").iterdir())) == 2
    manifest = read_host_manifest(tmp_path / "doubled" / "server")
    opened = open_stages(tmp_path / "doubled" / "server", manifest.plans, manifest.runtime)
    assert len(opened) == 3
    assert opened[1, 0] is opened[2, 0]
    assert opened[0, 1] is not opened[1, 0]


def test_the_client_knows_each_plan_and_how_inputs_are_prepared(held, tmp_path):
    record = deploy(held, tmp_path / "deploy", {})
    assert len(record.plans) == 2
    for plan in record.plans:
        own = tmp_path / "deploy" / plan.folder
        assert {path.name for path in own.iterdir()} == {MANIFEST}
    ports = read_plans(held).plans[0].stages.inputs
    own = tmp_path / "deploy" / "client"
    assert (own / SCENARIO).is_file()
    with pytest.raises(DataError, match="does not say how pictures are prepared"):
        read_run_input(_picture(tmp_path), ports, [port.name for port in ports], own)


def _picture(folder):
    Image.new("L", (64, 64)).save(folder / "p.png")
    return folder / "p.png"


def test_a_scenario_is_deployed_without_stages_on_all_its_devices(tmp_path):
    content = SCENARIO_CONTENT | {"devices": [*SCENARIO_CONTENT["devices"], {"name": "spare"}]}
    content["links"] = [*content["links"], {"from": "server", "to": "spare", "bandwidth_mbit_per_s": 5}]
    (tmp_path / "s.yaml").write_text(json.dumps(content))
    record = deploy(tmp_path / "s.yaml", tmp_path / "deploy", {})
    assert [(host.device, host.stages) for host in record.hosts] == [
        ("camera", 0),
        ("server", 0),
        ("spare", 0),
    ]
    assert record.plans == ()
    manifest = read_host_manifest(tmp_path / "deploy" / "server")
    assert manifest.neighbours == ("camera", "spare")
    assert manifest.runtime is None
    assert "onnxruntime" not in (tmp_path / "deploy" / "server" / "requirements.txt").read_text()


def test_a_comparison_that_cannot_be_deployed_is_refused_with_what_to_do(changed):
    content = json.loads((changed / PLANS).read_text())
    stage = changed / content["plans"][0]["stages"][0]["file"]
    stage.write_bytes(stage.read_bytes() + b"\0")
    with pytest.raises(OutputError, match="has changed since it was exported"):
        read_plans(changed)
    older = {key: value for key, value in content.items() if key != "scenario"}
    (changed / PLANS).write_text(json.dumps(older))
    with pytest.raises(OutputError, match="older version; compare again"):
        read_plans(changed)
    (changed / PLANS).rename(changed / "compare.json")
    with pytest.raises(OutputError, match="holds no plans.json; plan compare SCENARIO --plans K writes it"):
        read_plans(changed)
    (changed / "fleet.json").touch()
    with pytest.raises(OutputError, match="fleet.json"):
        read_plans(changed)


CLASSES = (
    {"name": "varied", "bandwidths": [{"mbit_per_s": value} for value in (0.05, 3, 50)]},
    {"name": "own", "speedup": 20},
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    basis = small_basis(tmp_path_factory.mktemp("small"))
    spec = FleetSpec.model_validate_json(json.dumps({"device": "camera", "classes": CLASSES}))
    scenario = basis.scenario.model_copy(update={"fleet": spec})
    own = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    compared = compare_fleet(own, spec, CompareRequest(fleet_plans=2))
    folder = tmp_path_factory.mktemp("fleets") / "phones"
    write_comparison(compared, folder)
    return folder, compared.record.fleet


def test_the_plans_of_a_class_are_deployed_with_their_rule_and_costs(fleet, tmp_path):
    folder, found = fleet
    together = read_plans(folder, Selection("varied"))
    own = [one for one in found.rule if one.device_class == "varied"]
    assert [plan.name for plan in together.plans] == [f"phones-varied-{one.plan}" for one in own]
    ranges = [plan.range for plan in together.plans]
    assert (ranges[0].low, ranges[-1].high) == (None, None)
    assert [one.high for one in ranges[:-1]] == [one.low for one in ranges[1:]]
    assert (together.followed.low, together.followed.high) == (0.05, 50)
    for row in found.rows[:3]:
        best = [plan for plan in together.plans if plan.range.is_best_at(row.bandwidth)]
        assert [plan.costs.latency_s(row.bandwidth) for plan in best] == [pytest.approx(row.objective)]
    record = deploy(folder, tmp_path / "deploy", {}, which=Selection("varied"))
    assert [plan.name for plan in record.plans] == [plan.name for plan in together.plans]
    assert parse_scenario((tmp_path / "deploy" / "client" / SCENARIO).read_bytes()) == together.scenario


def test_a_class_at_its_own_bandwidth_has_one_plan(fleet):
    folder, found = fleet
    together = read_plans(folder, Selection("own"))
    assert together.followed is None
    assert together.scenario.device("camera").speedup == pytest.approx(0.05 * 20)
    assert [plan.costs.latency_s(None) for plan in together.plans] == [
        pytest.approx(row.objective) for row in found.rows if row.device_class == "own"
    ]


def test_a_gap_in_a_rule_belongs_to_the_plan_before_it(fleet, tmp_path):
    shutil.copytree(fleet[0], tmp_path / "gap")
    content = json.loads((tmp_path / "gap" / "fleet.json").read_text())
    first = next(one for one in content["rule"] if one["device_class"] == "varied")
    others = [one for one in content["rule"] if one["device_class"] != "varied"]
    content["rule"] = [first | {"low": 1, "high": 2}, first | {"low": 4, "high": 5}, *others]
    (tmp_path / "gap" / "fleet.json").write_text(json.dumps(content))
    plans = read_plans(tmp_path / "gap", Selection("varied")).plans
    for bandwidth, expected in ((0.1, 0), (1, 0), (3, 0), (4, 1), (9, 1)):
        assert [n for n, plan in enumerate(plans) if plan.range.is_best_at(bandwidth)] == [expected]


def test_a_fleet_says_which_command_deploys_a_class(fleet, held, tmp_path, capsys):
    folder, _ = fleet
    with pytest.raises(UsageError, match="plan deploy .*phones --class varied --out deploy"):
        read_plans(folder)
    with pytest.raises(ScenarioError, match="--class moon: .* classes with a plan are varied, own"):
        read_plans(folder, Selection("moon"))
    with pytest.raises(UsageError, match="holds no plans for a fleet"):
        read_plans(held, Selection("varied"))
    content = json.loads((folder / "fleet.json").read_text())
    shutil.copytree(folder, tmp_path / "older")
    for change in ({"scenario": None}, {"rule": [one | {"costs": None} for one in content["rule"]]}):
        (tmp_path / "older" / "fleet.json").write_text(json.dumps(content | change))
        with pytest.raises(OutputError, match="compare again"):
            read_plans(tmp_path / "older", Selection("varied"))
    with pytest.raises(SystemExit) as done:
        main(["deploy", str(folder), "--class", "own", "--out", str(tmp_path / "deploy")])
    assert done.value.code == 0
    assert "camera: copy" in capsys.readouterr().out
