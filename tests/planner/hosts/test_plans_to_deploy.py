"""What is deployed together: one plan, or all that a comparison holds."""

import json
import shutil

import msgspec
import pytest
from delivered_plans import delivered
from held_plans import SCENARIO as SCENARIO_CONTENT
from held_plans import write_held_plans
from PIL import Image

from planner.errors import DataError, OutputError
from planner.hosts.deploy import deploy
from planner.hosts.on_host.host_manifest import read_host_manifest
from planner.hosts.on_host.stage_runtime import open_stages
from planner.hosts.plans_to_deploy import read_plans
from planner.output.comparison_folder import PLANS, RunnableSet
from planner.output.plan_folder import write_export
from planner.output.run_input import SCENARIO, read_run_input
from planner.plan.manifest import MANIFEST
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
    with pytest.raises(OutputError, match="for a fleet"):
        read_plans(changed)
