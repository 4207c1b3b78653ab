"""What a deployment holds, what its hash is of, and what is refused before anything is written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hosted_plans import DEVICES, SIZE, hosted_plan
from repository import ROOT

from planner.errors import OutputError, UsageError
from planner.hosts.deploy import deploy
from planner.hosts.endpoints import parse_endpoints
from planner.hosts.on_host.host_manifest import MANIFEST, HostManifestError, read_host_manifest
from planner.output.file_hash import sha256_of
from planner.plan.requests_record import RawInput
from planner.report.tables.requests_table import raw_input_lines


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    return hosted_plan(tmp_path_factory.mktemp("deploy") / "plan")


@pytest.fixture
def deployed(plan, tmp_path) -> Path:
    deploy(plan, tmp_path / "out", {})
    return tmp_path / "out"


def renamed(plan: Path, target: Path, old: str, new: str) -> Path:
    """Return a copy of a plan with another name for a device."""
    shutil.copytree(plan, target)
    for name in ("plan.json", "manifest.json"):
        text = (target / name).read_text()
        (target / name).write_text(text.replace(f'"{old}"', f'"{new}"'))
    return target


def test_inputs_that_a_plan_prices_as_they_arose_are_told_with_what_they_weigh(plan, tmp_path):
    shutil.copytree(plan, tmp_path / "raw")
    for name in ("plan.json", "manifest.json"):
        content = json.loads((tmp_path / "raw" / name).read_text())
        cut = next(cut for cut in content["cuts"] if cut["tensor"] == "x")
        cut["wire"], cut["bytes"] = "raw", 77
        (tmp_path / "raw" / name).write_text(json.dumps(content))
    record = deploy(tmp_path / "raw", tmp_path / "out", {})
    assert record.raw_inputs == (RawInput(tensor="x", counted_bytes=77, sent_bytes=4 * SIZE),)
    (text,) = raw_input_lines(record.raw_inputs)
    assert "x crosses as 16384 bytes; the plan counts wire_bytes, 77" in text
    assert deploy(plan, tmp_path / "other", {}).raw_inputs == ()


def test_each_device_gets_its_own_stages_and_what_serves_them(plan, deployed):
    stages_of = {"camera": {"00-camera.onnx", "02-camera.onnx"}, "server": {"01-server.onnx"}}
    assert {path.name for path in deployed.iterdir()} == {*DEVICES, "client", "deploy.json", "README.md"}
    for device in DEVICES:
        stages = stages_of.get(device, set())
        folder = deployed / device
        assert {path.name for path in folder.glob("stages/*")} == stages
        for name in stages:
            assert (folder / "stages" / name).read_bytes() == (plan / "stages" / name).read_bytes()
        names = {path.name for path in folder.iterdir()} - {"stages"}
        assert names == {
            "Containerfile",
            "README.md",
            "host.json",
            "planner",
            "profiling",
            "requirements.txt",
            "serve.py",
            f"splitquant-{device}.service",
            "zenoh.json5",
        }
    assert "onnxruntime" in (deployed / "server" / "requirements.txt").read_text()
    assert "onnxruntime" not in (deployed / "gateway" / "requirements.txt").read_text()
    assert "$" not in (deployed / "server" / "splitquant-server.service").read_text()


def test_a_host_reads_back_what_was_written_for_it(deployed):
    manifests = [read_host_manifest(deployed / device) for device in DEVICES]
    assert [manifest.device for manifest in manifests] == list(DEVICES)
    assert len({manifest.deployment for manifest in manifests}) == 1
    assert [len(manifest.plans[0].stages) for manifest in manifests] == [2, 0, 1]
    assert [manifest.runtime is None for manifest in manifests] == [False, True, False]
    assert [manifest.is_source for manifest in manifests] == [True, False, False]
    assert manifests[0].neighbours == ("gateway",)
    assert manifests[0].next_hop == {"gateway": "gateway", "server": "gateway"}


def test_the_code_on_a_host_imports_nothing_else_of_ours(deployed):
    """It runs where neither the planner nor its libraries are installed."""
    text = (
        "import sys; sys.path.insert(0, '.'); import importlib.util as u;"
        "s = u.spec_from_file_location('serve', 'serve.py'); m = u.module_from_spec(s);"
        "s.loader.exec_module(m);"
        "from planner.hosts.on_host import host_manifest, incoming_tensors, admission, open_requests, outbox;"
        "from profiling.on_device import create_session;"
        "from pathlib import Path; host_manifest.read_host_manifest(Path('.'));"
        "print(*sorted({n.split('.')[0] for n in sys.modules} & "
        "{'msgspec', 'networkx', 'onnx', 'pydantic', 'rich', 'cyclopts', 'pulp'}))"
    )
    pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")
    done = subprocess.run(
        [sys.executable, "-I", "-c", text],
        cwd=deployed / "server",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_deployments_hash_is_of_all_that_hosts_have_to_agree_on(plan, tmp_path):
    first = deploy(plan, tmp_path / "a", {})
    again = deploy(plan, tmp_path / "b", {})
    other_port = deploy(plan, tmp_path / "c", parse_endpoints(["camera=127.0.0.1:7600"]))
    other_plan = deploy(hosted_plan(tmp_path / "p", factor=3.0), tmp_path / "d", {})
    assert first == again
    assert len({first.deployment, other_port.deployment, other_plan.deployment}) == 3


@pytest.mark.parametrize("change", ["flip", "cut", "remove", "replace"])
def test_a_file_that_was_changed_on_the_way_is_refused(deployed, change):
    path = deployed / "server" / "stages" / "01-server.onnx"
    data = bytearray(path.read_bytes())
    if change == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    elif change == "cut":
        path.write_bytes(data[:-1])
    elif change == "remove":
        path.unlink()
    else:
        shutil.copyfile(deployed / "camera" / "stages" / "00-camera.onnx", path)
    with pytest.raises(HostManifestError, match="copy the folder again"):
        read_host_manifest(deployed / "server")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", "{}", '{"format": 1}', '{"format": 99}', '{"format": 1, "plans": 3}']
)
def test_a_manifest_that_is_none_is_refused(deployed, text):
    (deployed / "server" / MANIFEST).write_text(text)
    with pytest.raises(HostManifestError, match="deploy again"):
        read_host_manifest(deployed / "server")


def test_a_manifest_without_any_one_key_is_refused(deployed):
    fields = json.loads((deployed / "server" / MANIFEST).read_text())
    for key in fields:
        (deployed / "server" / MANIFEST).write_text(json.dumps({k: v for k, v in fields.items() if k != key}))
        with pytest.raises(HostManifestError, match="deploy again"):
            read_host_manifest(deployed / "server")


@pytest.mark.parametrize("name", ["client", "client-1", "README.md", "deploy.json"])
def test_a_device_whose_name_is_taken_is_refused(plan, tmp_path, name):
    with pytest.raises(UsageError, match=f"'{name}'"):
        deploy(renamed(plan, tmp_path / "p", "gateway", name), tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_an_older_deployment_is_replaced_and_nothing_else_is(plan, tmp_path, deployed):
    kept = sha256_of(deployed / "deploy.json")
    deploy(plan, deployed, {})
    assert sha256_of(deployed / "deploy.json") == kept
    (deployed / "camera" / "own.txt").write_text("mine")
    with pytest.raises(OutputError, match="own.txt"):
        deploy(plan, deployed, {})
    assert (deployed / "camera" / "own.txt").read_text() == "mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_text("mine")
    with pytest.raises(OutputError, match="no deployment"):
        deploy(plan, tmp_path / "other", {})
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        deploy(plan, tmp_path / "file", {})
    with pytest.raises(OutputError, match="--out"):
        deploy(plan, Path("/proc/out"), {})


def test_a_full_disk_leaves_the_older_deployment_whole(plan, deployed):
    before = {path: path.read_bytes() for path in deployed.rglob("*") if path.is_file()}
    code = (
        "import resource, sys; from pathlib import Path; from planner.hosts.deploy import deploy;"
        "from planner.errors import OutputError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        f"try: deploy(Path({str(plan)!r}), Path({str(deployed)!r}), {{}})\n"
        "except OutputError as exc: print(exc); sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
    assert "--out" in done.stdout
    assert {path: path.read_bytes() for path in deployed.rglob("*") if path.is_file()} == before
    assert [path.name for path in deployed.parent.iterdir()] == [deployed.name]


@pytest.mark.parametrize("where", ["10.0.0.5", "board.local"])
def test_a_host_is_open_to_others_with_keys_or_on_request_only(plan, tmp_path, where):
    given = parse_endpoints([f"server={where}"])
    with pytest.raises(UsageError, match="add --keys"):
        deploy(plan, tmp_path / "out", given)
    assert not (tmp_path / "out").exists()
    assert not deploy(plan, tmp_path / "out", given, insecure=True).encrypted


def test_keys_lie_with_their_hosts_only(plan, tmp_path):
    pytest.importorskip("cryptography", reason="needs the extra: pip install 'splitquant[hosts]'")
    record = deploy(plan, tmp_path / "out", parse_endpoints(["server=10.0.0.5"]), keys=True)
    assert record.encrypted
    keys = [tmp_path / "out" / name / "keys" / "key.pem" for name in (*DEVICES, "client")]
    assert len({path.read_bytes() for path in keys}) == len(keys)
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in keys)


def test_a_device_that_has_nothing_to_do_has_no_address(plan, tmp_path):
    with pytest.raises(UsageError, match="--host other: the plan uses camera, gateway, server"):
        deploy(plan, tmp_path / "out", parse_endpoints(["other=127.0.0.1"]))


def test_what_is_no_plan_is_refused(tmp_path):
    with pytest.raises(OutputError, match="No such file"):
        deploy(tmp_path / "nothing", tmp_path / "out", {})
