"""What was measured is kept beside what is deployed, and planned again with."""

import json
import shlex

import msgspec
import pytest
from held_plans import write_held_plans
from small_scenarios import write_small_scenario

from planner.cli.commands import main
from planner.errors import OutputError
from planner.hosts.deploy import deploy
from planner.hosts.deployment_record import DEPLOYMENT
from planner.hosts.replan import MEASURED, measured_scenario, read_measured, save_measured
from planner.output.saved_plan import read_plan
from planner.plan.measured_costs import FORMAT, MeasuredCosts, MeasuredDevice, MeasuredLink
from planner.scenario.loader import parse_scenario


def costs(deployment: str, bandwidth: float = 3.5, *devices: MeasuredDevice) -> MeasuredCosts:
    link = MeasuredLink(source="camera", target="server", bandwidth_mbit_per_s=bandwidth, latency_ms=4.0)
    return MeasuredCosts(format=FORMAT, deployment=deployment, links=(link,), devices=devices)


@pytest.fixture(scope="module")
def held(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparisons") / "digits"
    write_held_plans(digits, folder)
    return folder


def test_what_was_measured_is_read_again_and_makes_the_scenario(held, tmp_path):
    folder = tmp_path / "deploy"
    record = deploy(held, folder, {})
    assert read_measured(folder) is None
    with pytest.raises(OutputError, match="nothing was measured yet; run plan request"):
        measured_scenario(folder)
    slower = MeasuredDevice(device="server", planned_s=0.01, measured_s=0.02, requests=8)
    for measured in (costs(record.deployment), costs(record.deployment, 7.0, slower)):
        save_measured(folder, measured)
        assert read_measured(folder) == measured
    scenario = measured_scenario(folder)
    assert (scenario.links[0].bandwidth_mbit_per_s, scenario.links[0].latency_ms) == (7.0, 4.0)
    assert scenario.device("server").speedup == pytest.approx(2.0)


def test_a_deployment_with_measurements_may_be_replaced_and_one_with_other_files_not(held, tmp_path):
    folder = tmp_path / "deploy"
    record = deploy(held, folder, {})
    save_measured(folder, costs(record.deployment))
    deploy(held, folder, {})
    assert not (folder / MEASURED).exists()
    (folder / "camera" / "host.json").write_text("mine")
    save_measured(folder, costs(record.deployment))
    with pytest.raises(OutputError, match=r"camera/host\.json"):
        deploy(held, folder, {})


def test_measurements_of_another_deployment_are_refused(held, tmp_path):
    folder = tmp_path / "deploy"
    deploy(held, folder, {})
    save_measured(folder, costs("another"))
    with pytest.raises(OutputError, match="of another deployment; run plan request again"):
        measured_scenario(folder)
    (folder / MEASURED).write_text("{")
    with pytest.raises(OutputError, match="is not a measuredcosts"):
        measured_scenario(folder)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_a_plan_is_made_again_with_measured_costs(tmp_path, capsys):
    write_small_scenario(tmp_path)
    plan, folder, new = tmp_path / "plan", tmp_path / "deploy", tmp_path / "new"
    fast = ("--set", "profiling.rounds=3", "--set", "profiling.noise_samples=2")
    assert run(tmp_path / "s.yaml", "--out", plan, *fast) == 0
    assert run("deploy", plan, "--out", folder) == 0
    deployment = json.loads((folder / DEPLOYMENT).read_text())["deployment"]
    planned = parse_scenario(bytes(read_plan(plan).scenario))
    link = MeasuredLink(
        source=planned.links[0].source,
        target=planned.links[0].target,
        bandwidth_mbit_per_s=0.123,
        latency_ms=4.5,
    )
    save_measured(folder, msgspec.structs.replace(costs(deployment), links=(link,)))
    assert run("replan", folder) == 2
    assert "--measured" in capsys.readouterr().err
    assert run("replan", folder, "--measured", "--out", new) == 0
    again = parse_scenario(bytes(read_plan(new).scenario))
    assert (again.links[0].bandwidth_mbit_per_s, again.links[0].latency_ms) == (0.123, 4.5)
    assert again.links[1:] == planned.links[1:]
    assert next_words(capsys) == ["plan", "deploy", str(new), "--out", str(folder)]
    assert run("verify", new) == 0
    # Elsewhere and with keys, what it says is deployed in the same way.
    pytest.importorskip("cryptography", reason="needs the extra: pip install 'splitquant[hosts]'")
    used = [host["device"] for host in json.loads((folder / DEPLOYMENT).read_text())["hosts"]]
    given = [f"--host={name}=10.0.0.{number}" for number, name in enumerate(used, 1)]
    for option in ("--keys", "--insecure"):
        assert run("deploy", plan, "--out", folder, option, *given) == 0
        before = json.loads((folder / DEPLOYMENT).read_text())
        save_measured(folder, msgspec.structs.replace(costs(before["deployment"]), links=(link,)))
        capsys.readouterr()
        assert run("replan", folder, "--measured", "--out", new) == 0
        words = next_words(capsys)
        assert words[:2] == ["plan", "deploy"]
        assert run(*words[1:]) == 0
        after = json.loads((folder / DEPLOYMENT).read_text())
        assert after["encrypted"] == before["encrypted"] == (option == "--keys")
        assert after["plans"][0]["name"] == "new"
        assert all(host["address"].startswith("10.0.0.") for host in after["hosts"])


def next_words(capsys) -> list[str]:
    return shlex.split(" ".join(capsys.readouterr().out.rpartition("next: ")[2].split()))
