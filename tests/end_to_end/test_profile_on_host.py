"""`plan profile --host`: the page that explains it, command by command, and how else the command ends."""

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from repository import QUICKSTART, ROOT
from running_hosts import free_ports
from served_bundles import ServedBundle

from planner.cli.commands import main
from profiling.records.profile import load_profile

PAGE = ROOT / "docs" / "how-to" / "profile-a-device-over-the-network.md"
ELSEWHERE = ("scp ", "ssh ", "python3 -m pip ")  # what the page has done by other programs
SERVE = "python3 camera/profile_server.py"
LONG_S = 60.0


@pytest.fixture
def call(capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return done.value.code, " ".join(out.split()), err

    return run


@pytest.fixture(scope="module")
def scenario(tmp_path_factory) -> Path:
    """The quickstart, whose camera has a profile that is yet to be made."""
    content = YAML(typ="safe").load(QUICKSTART)
    content["model"] = str(QUICKSTART.parent / content["model"])
    for samples in content["data"].values():
        samples["npz"] = str(QUICKSTART.parent / samples["npz"])
    content["devices"] = [
        {"name": "camera", "profile": "camera.json"},
        {"name": "gateway", "scaled_from": "camera", "speedup": 5.0},
        {"name": "server", "scaled_from": "camera", "speedup": 20.0},
    ]
    content["profiling"] = {"rounds": 3, "noise_samples": 4}
    folder = tmp_path_factory.mktemp("scenario")
    (folder / "scenario.yaml").write_text(json.dumps(content))
    return folder / "scenario.yaml"


@pytest.fixture(scope="module")
def served(scenario, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "camera"
    host = f"camera=127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(SystemExit) as done:
        main(["profile", str(scenario), "--bundle", str(folder), "--host", host])
    assert done.value.code == 0
    with ServedBundle(folder) as running:
        yield running, host


def commands_of(page: str) -> list[str]:
    """Return the lines of a page's shell blocks."""
    return [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]


def test_the_page_brings_a_profile_into_a_plan(scenario, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scenario.yaml").write_text(scenario.read_text())
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with_keys, _, _ = PAGE.read_text(encoding="utf-8").partition("## Without keys")
    done = []
    bundle = ServedBundle(tmp_path / "camera")
    try:
        for command in commands_of(with_keys):
            if command == SERVE:
                bundle.start()
            elif not command.startswith(ELSEWHERE):
                program, *arguments = shlex.split(command.replace("10.0.0.5:7447", address))
                assert program == "plan"
                assert call(*arguments)[0] == 0, command
            done.append(command.partition(" ")[0])
    finally:
        bundle.kill()
    assert done == ["plan", "scp", "python3", "python3", "plan", "plan"]
    assert load_profile(tmp_path / "camera.json").device == "camera"
    used = json.loads((tmp_path / "plans" / "scenario" / "profile.json").read_text())["camera"]["latency"]
    assert used == json.loads((tmp_path / "camera.json").read_text())["latency"]


def test_the_page_says_what_the_commands_say():
    page = PAGE.read_text(encoding="utf-8")
    texts = " ".join(
        (ROOT / "planner" / "hosts" / name).read_text()
        for name in (
            "device_profiling/profile_client.py",
            "connection_faults.py",
            "on_device/profile_requests.py",
        )
    )
    rows = re.findall(r"^\| (?!message|-)(.*?) \|", page, re.MULTILINE)
    assert len(rows) > 5
    for row in rows:
        assert row.replace("camera", "{host.device}") in texts, row


def test_a_bundle_says_how_it_is_measured_over_the_network(scenario, call, tmp_path):
    code, out, err = call(
        "profile", scenario, "--bundle", tmp_path / "b", "--host", "camera=10.0.0.5", "--insecure"
    )
    assert code == 0
    assert "python3 b/profile_server.py, and here: plan profile SCENARIO --host camera=10.0.0.5:7447" in out
    assert "without keys, anybody who reaches camera can measure it" in err
    code, out, _ = call("profile", scenario, "--bundle", tmp_path / "b")  # replaces the one before
    assert code == 0
    assert "--host camera=127.0.0.1:7447" in out
    code, _, err = call("profile", scenario, "--bundle", tmp_path / "b", "--host", "camera=10.0.0.5")
    assert code == 2
    assert "--host camera=10.0.0.5:7447: without keys anybody there could ask or answer" in err
    assert json.loads((tmp_path / "b" / "zenoh.json5").read_text())["listen"]["endpoints"] == [
        "tcp/127.0.0.1:7447"
    ]


def test_the_profile_is_written_where_it_is_asked_for_and_as_json(served, scenario, call, tmp_path):
    _, host = served
    code, out, _ = call("profile", scenario, "--host", host, "--out", tmp_path / "p.json", "--json")
    assert code == 0
    assert json.loads(out) == json.loads((tmp_path / "p.json").read_text()) | {"noise": []}
    assert not (scenario.parent / "camera.json").exists()


def test_a_device_that_no_scenario_names_a_profile_of_says_what_to_do_with_it(
    served, scenario, call, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    _, host = served
    settings = ("--set", "devices.0.profile=measure", "--set", "devices.0.threads=2")
    code, out, _ = call("profile", scenario, "--host", host, *settings)
    assert code == 0
    assert "name it as profile of camera in the scenario" in out
    assert load_profile(tmp_path / "camera.profile.json").latency.threads == 2


def test_a_changed_scenario_needs_a_new_bundle_and_the_profile_before_stays(served, scenario, call, tmp_path):
    _, host = served
    before = tmp_path / "p.json"
    before.write_text("before")
    other = ("--set", "precisions=[fp32, int8, int16]")
    code, _, err = call("profile", scenario, "--host", host, "--out", before, *other)
    assert code == 1
    assert "serves the bundle of another model, or of other settings than the scenario has now" in err
    assert before.read_text() == "before"
    assert list(tmp_path.iterdir()) == [before]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_run_on_the_device(served, scenario, tmp_path, number):
    running, host = served
    target = tmp_path / "p.json"
    settings = ("--set", "profiling.rounds=10000", "--out", str(target))
    command = [sys.executable, "-m", "planner", "profile", str(scenario), "--host", host, *settings]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        running.wait_for_runs(1)
        process.send_signal(number)
        _, err = process.communicate(timeout=LONG_S)
    assert process.returncode == 130
    assert err == "interrupted; measurements so far are kept, nothing was written\n"
    assert running.runs() == 0
    assert not target.exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--host", "camera"), "write NAME=ADDRESS"),
        (("--host", "tablet=127.0.0.1"), "no such device; devices are camera, gateway, server"),
        (("--host", "camera=127.0.0.1", "--device", "server"), "names camera, and --device server"),
        (("--host", "camera=10.0.0.5"), "without keys anybody there could ask or answer"),
        (("--host", "camera=127.0.0.1", "--keys"), "--keys makes keys, for --bundle"),
        (("--host", "camera=127.0.0.1", "--client", "nowhere"), "client.json"),
        (("--host", "camera=127.0.0.1", "--out", "nowhere/p.json"), "its folder does not exist"),
        (("--host", "camera=127.0.0.1", "--deadline-s", "0"), "--deadline-s: must be > 0"),
        (("--host", "camera=127.0.0.1", "--deadline-s", "nan"), "--deadline-s: must be > 0"),
        (("--insecure",), "need --host"),
        (("--keys", "--bundle", "b"), "need --host"),
        (("--bundle", "b", "--host", "camera=127.0.0.1", "--deadline-s", "3"), "measures nothing yet"),
        (("--diff", "a.json", "--host", "camera=127.0.0.1"), "--diff compares two profiles"),
    ],
)
def test_options_that_do_not_go_together_are_told_before_anything_runs(
    scenario, call, tmp_path, monkeypatch, options, why
):
    monkeypatch.chdir(tmp_path)
    code, _, err = call("profile", scenario, *options)
    assert code in (1, 2)
    assert why in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("missing", "options"),
    [
        ("zenoh", ("--host", "camera=127.0.0.1")),
        ("cryptography", ("--host", "camera=127.0.0.1", "--bundle", "b", "--keys")),
    ],
)
def test_a_missing_extra_is_named(scenario, tmp_path, missing, options):
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from planner.cli.commands import main; main({['profile', str(scenario), *options]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert "pip install 'splitquant[hosts]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_bundles_are_written_without_the_engine(tmp_path):
    code = "import sys; sys.modules['zenoh'] = None; import planner.hosts.device_profiling.profile_bundle"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def serve(folder: Path, *options: str) -> tuple[int, str]:
    """Return how a server that cannot start ends, and what it says."""
    command = [sys.executable, *options, str(folder / "profile_server.py")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, timeout=LONG_S)
    return done.returncode, done.stderr


def test_a_server_that_cannot_start_says_why_in_a_line(served):
    running, _ = served
    code, err = serve(running.folder)
    assert code == 1  # its address is taken
    assert err.startswith("profile_server.py: ")
    code, err = serve(running.folder, "-S")  # without any package
    assert code == 1
    assert "; python3 -m pip install eclipse-zenoh numpy" in err
    assert "Traceback" not in err


def test_the_server_imports_nothing_else_of_ours(served):
    """It runs where neither the planner nor its libraries are installed."""
    running, _ = served
    text = (
        "import sys; sys.path.insert(0, '.'); import runpy; sys.dont_write_bytecode = True;"
        "import profile_server; from planner.hosts.on_device import profile_requests;"
        "assert profile_requests.__file__.startswith(sys.argv[1]), profile_requests.__file__;"
        "print(*sorted({n.split('.')[0] for n in sys.modules} & "
        "{'msgspec', 'networkx', 'onnx', 'onnxruntime', 'pydantic', 'rich', 'cyclopts', 'pulp'}))"
    )
    command = [sys.executable, "-I", "-B", "-c", text, str(running.folder)]
    done = subprocess.run(command, cwd=running.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
