"""What a Ray Serve application holds, and what is refused before anything is written: none needs Ray."""

import json
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hosted_plans import OUTPUTS, hosted_answers, hosted_plan, hosted_samples
from repository import ROOT
from ruamel.yaml import YAML

from planner.cli.commands import main
from planner.errors import OutputError
from planner.hosts.deploy_ray import CONFIG, RAY, deploy_ray, ray_resources
from planner.hosts.on_host.host_manifest import HostManifestError
from planner.hosts.on_ray.application_manifest import APPLICATION, read_application
from planner.plan.manifest import MANIFEST


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    return hosted_plan(tmp_path_factory.mktemp("deploy") / "plan")


@pytest.fixture
def app(plan, tmp_path) -> Path:
    deploy_ray(plan, tmp_path / "app")
    return tmp_path / "app"


def config_of(app: Path) -> dict:
    return YAML(typ="safe").load((app / CONFIG).read_text())


def test_all_stages_lie_there_as_the_plan_has_them(plan, app):
    stages = {path.name: path.read_bytes() for path in (plan / "stages").iterdir()}
    assert {path.name: path.read_bytes() for path in (app / "stages").iterdir()} == stages
    placed = read_application(app).stages
    assert [(one.deployment, one.device) for one in placed] == [
        ("00-camera", "camera"),
        ("01-server", "server"),
        ("02-camera", "camera"),
    ]


def test_the_manifest_reads_as_it_was_written(plan, tmp_path):
    assert deploy_ray(plan, tmp_path / "app") == read_application(tmp_path / "app")


@pytest.mark.parametrize("threads", [1, 3, 7, 256])
@pytest.mark.parametrize("provider", ["CPUExecutionProvider", "CUDAExecutionProvider"])
def test_stages_of_a_device_share_the_threads_and_the_gpu_it_was_planned_with(
    plan, tmp_path, threads, provider
):
    record = json.loads((plan / "plan.json").read_text())
    record["scenario"]["devices"][0] |= {"threads": threads, "provider": provider}
    other = shutil.copytree(plan, tmp_path / "plan")
    (other / "plan.json").write_text(json.dumps(record))
    cpus, gpus = Counter(), Counter()
    for one in deploy_ray(other, tmp_path / "app").stages:
        assert (one.runtime.threads, one.runtime.provider) == (threads, provider)
        cpus[one.device] += one.cpus
        gpus[one.device] += one.gpus
    for device in ("camera", "server"):
        assert threads - 1e-3 < cpus[device] <= threads
        assert (1 - 1e-3 < gpus[device] <= 1) if provider.startswith("CUDA") else (gpus[device] == 0)


def test_the_configuration_names_every_stage_once_and_listens_here_only(app):
    config = config_of(app)
    (served,) = config["applications"]
    deployments = {one["name"]: one for one in served["deployments"]}
    names = [one.deployment for one in read_application(app).stages]
    assert list(deployments) == ["ingress", *names]
    assert len(served["deployments"]) == len(deployments)
    assert all(one["num_replicas"] == 1 for one in deployments.values())
    assert config["http_options"]["host"] == "127.0.0.1"
    module, _, function = served["import_path"].partition(":")
    assert f"def {function}(" in (app / f"{module}.py").read_text()


def test_the_configuration_is_of_the_deployment_beside_it_and_of_no_other(plan, tmp_path):
    hashes = []
    for name, source in (("a", plan), ("b", plan), ("c", hosted_plan(tmp_path / "p", factor=3.0))):
        hashes.append(deploy_ray(source, tmp_path / name).deployment)
        (served,) = config_of(tmp_path / name)["applications"]
        assert served["args"] == {"deployment": hashes[-1]}
    assert hashes[0] == hashes[1] != hashes[2]


def test_each_device_has_a_resource_that_none_of_rays_own_is_called(plan, app):
    resources = ray_resources(read_application(app))
    assert list(resources) == ["camera", "server"]
    for device, text in resources.items():
        assert json.loads(text) == {f"device:{device}": 1}
        assert f"--resources='{text}'" in (app / "README.md").read_text()


def test_a_source_without_stages_is_a_node_too(tmp_path):
    plan = hosted_plan(tmp_path / "plan")
    for name in ("plan.json", MANIFEST):
        text = (plan / name).read_text()
        changed = text.replace('"source": "camera"', '"source": "gateway"')
        changed = changed.replace('"source":"camera"', '"source":"gateway"')
        assert changed != text
        (plan / name).write_text(changed)
    manifest = deploy_ray(plan, tmp_path / "app")
    assert list(ray_resources(manifest)) == ["gateway", "camera", "server"]


def test_the_folder_alone_opens_its_stages_and_answers_as_the_chain_does(plan, app, tmp_path):
    """All of its code but what talks to Ray, in a process that sees no other code of ours."""
    samples = hosted_samples(3)
    for number, feeds in enumerate(samples):
        np.savez(tmp_path / f"in{number}.npz", **feeds)
    code = f"""
import sys
from pathlib import Path
app, work = Path({str(app)!r}), Path({str(tmp_path)!r})
sys.path.insert(0, str(app))
from planner.hosts.on_host import host_manifest, messages, stage_runtime
from planner.hosts.on_ray import application_manifest, npz_arrays
ours = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] in ("planner", "profiling")]
assert all(Path(file).is_relative_to(app) for file in ours), ours
manifest = application_manifest.read_application(app)
stages = []
for placed in manifest.stages:
    host_manifest.check_files(app, placed.stage)
    assert stage_runtime.version_difference(placed.runtime) is None
    stages.append(stage_runtime.open_stage(app, placed.stage, placed.runtime))
for number in range({len(samples)}):
    known = npz_arrays.arrays_of((work / f"in{{number}}.npz").read_bytes(), manifest.inputs)
    for placed, stage in zip(manifest.stages, stages):
        known |= stage.run({{spec.name: known[spec.name] for spec in placed.stage.inputs}})
    out = npz_arrays.npz_of({{spec.name: known[spec.name] for spec in manifest.outputs}})
    (work / f"out{{number}}.npz").write_bytes(out)
"""
    subprocess.run([sys.executable, "-I", "-c", code], cwd="/", check=True)
    for number, expected in enumerate(hosted_answers(plan, samples)):
        with np.load(tmp_path / f"out{number}.npz") as found:
            assert sorted(found) == sorted(OUTPUTS)
            for name in OUTPUTS:
                assert found[name].tobytes() == expected[name].tobytes()


def test_what_nodes_install_is_pinned_and_ray_is_the_extra(app):
    lines = (app / "requirements.txt").read_text().splitlines()
    assert [line.partition("==")[0] for line in lines[:-1]] == ["numpy", "onnxruntime"]
    assert lines[-1].startswith("ray[serve]")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["ray"] == [RAY]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{}", '{"format": 1}', '{"format": 99}', '{"format": 1, "stages": 3}']
)
def test_a_manifest_that_is_none_is_refused(app, text):
    (app / APPLICATION).write_text(text)
    with pytest.raises(HostManifestError, match="deploy again"):
        read_application(app)


def test_a_manifest_without_any_one_key_is_refused(app):
    fields = json.loads((app / APPLICATION).read_text())
    for key in fields.keys() - {"files"}:
        (app / APPLICATION).write_text(json.dumps({k: v for k, v in fields.items() if k != key}))
        with pytest.raises(HostManifestError, match="deploy again"):
            read_application(app)


@pytest.mark.parametrize("name", ["plans.json", "compare.json", "fleet.json"])
def test_a_folder_with_several_plans_is_refused_and_which_to_give_is_said(tmp_path, name):
    (tmp_path / "compared").mkdir()
    (tmp_path / "compared" / name).write_text("{}")
    with pytest.raises(OutputError, match=r"Ray serves one plan: give what plan SCENARIO --out wrote"):
        deploy_ray(tmp_path / "compared", tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_a_scenario_and_what_is_no_plan_are_refused(tmp_path):
    with pytest.raises(OutputError, match="is a file; Ray serves one plan"):
        deploy_ray(ROOT / "scenarios" / "quickstart.yaml", tmp_path / "app")
    with pytest.raises(OutputError, match="No such file"):
        deploy_ray(tmp_path / "nothing", tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_an_older_application_is_replaced_and_what_was_edited_is_not(plan, app):
    before = {path: path.read_bytes() for path in app.rglob("*") if path.is_file()}
    deploy_ray(plan, app)
    assert {path: path.read_bytes() for path in app.rglob("*") if path.is_file()} == before
    edited = (app / CONFIG).read_text().replace("num_replicas: 1", "num_replicas: 2")
    (app / CONFIG).write_text(edited)
    with pytest.raises(OutputError, match=CONFIG):
        deploy_ray(plan, app)
    assert (app / CONFIG).read_text() == edited


@pytest.mark.parametrize("option", [("--host", "camera=127.0.0.1"), ("--keys",), ("--insecure",)])
def test_options_for_hosts_of_their_own_are_refused(plan, tmp_path, capsys, option):
    with pytest.raises(SystemExit) as done:
        main(["deploy", str(plan), "--out", str(tmp_path / "app"), "--engine", "ray", *option])
    assert done.value.code == 2
    assert option[0] in capsys.readouterr().err
    assert not (tmp_path / "app").exists()


def test_the_command_says_how_to_start_it(plan, tmp_path, capsys):
    with pytest.raises(SystemExit) as done:
        main(["deploy", str(plan), "--out", str(tmp_path / "app"), "--engine", "ray"])
    out = " ".join(capsys.readouterr().out.split())
    assert not done.value.code
    assert """camera: ray start ... --resources='{"device:camera": 1}'""" in out
    assert "serve run --working-dir . serve_config.yaml" in out
