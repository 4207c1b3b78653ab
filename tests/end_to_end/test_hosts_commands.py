"""`plan deploy`, `plan request`, `plan hosts`, and `serve.py` itself: what each says and how it ends."""

import ctypes
import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from npz_archives import arrays_of

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from hosted_plans import DEVICES, OUTPUTS, hosted_answers, hosted_plan, hosted_samples
from running_hosts import RunningHosts

from planner.cli.commands import main
from planner.hosts.deploy import deploy
from planner.hosts.endpoints import Endpoint

SAMPLES = hosted_samples(5)


@pytest.fixture(scope="module")
def plan(tmp_path_factory) -> Path:
    return hosted_plan(tmp_path_factory.mktemp("commands") / "plan")


@pytest.fixture(scope="module")
def running(plan, tmp_path_factory):
    with RunningHosts(plan, tmp_path_factory.mktemp("running") / "deploy", DEVICES) as hosts:
        hosts.start()
        yield hosts


@pytest.fixture
def samples(tmp_path) -> Path:
    path = tmp_path / "samples.npz"
    np.savez(path, **{name: np.concatenate([feeds[name] for feeds in SAMPLES]) for name in "xw"})
    return path


@pytest.fixture
def call(capsys):
    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as done:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return done.value.code, out, err

    return run


def test_requests_are_answered_written_and_told(running, plan, samples, call, tmp_path):
    target = tmp_path / "answers.npz"
    code, out, _ = call("request", running.folder, "--input", samples, "--output", target)
    assert code == 0
    assert "5 of 5 requests answered" in out
    found = arrays_of(target)
    for number, expected in enumerate(hosted_answers(plan, SAMPLES)):
        for name in OUTPUTS:
            assert found[name][number].tobytes() == expected[name].tobytes()


def test_requests_are_written_as_a_trace(running, samples, call, tmp_path):
    path = tmp_path / "trace.json"
    code, out, _ = call("request", running.folder, "--input", samples, "--trace", path)
    assert code == 0
    assert f"trace for https://ui.perfetto.dev written to {path}" in " ".join(out.split())
    events = json.loads(path.read_text())["traceEvents"]
    lanes = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert {"camera", "server", "camera > gateway", "gateway > server"} <= lanes
    measured = [event for event in events if event["ph"] == "X" and event["pid"] == 1]
    assert {event["args"]["request"] for event in measured} <= {"0", "1", "2", "3", "4"}
    assert all(event["dur"] >= 0 for event in measured)


def test_the_same_at_a_rate_as_json(running, samples, call):
    code, out, _ = call("request", running.folder, "--input", samples, "--rate", 50, "--json")
    record = json.loads(out)
    assert code == 0
    assert (record["requests"], record["answered"], record["failures"]) == (5, 5, {})
    parts = {(part["part"], tuple(part["way"])) for part in record["parts"]}
    assert {("compute", ("camera",)), ("compute", ("server",)), ("a", DEVICES)} <= parts
    assert record["predicted_latency_s"] is not None


def test_hosts_that_are_there_are_shown(running, call):
    code, out, _ = call("hosts", running.folder, "--json")
    record = json.loads(out)["hosts"]
    assert code == 0
    assert list(record) == list(DEVICES)
    assert all(one["deployment"] == running.deployment.deployment for one in record.values())
    assert "server" in call("hosts", running.folder)[1]


def test_hosts_that_are_not_there_are_told_in_a_line_and_soon(plan, samples, call, tmp_path):
    hosts = RunningHosts(plan, tmp_path / "deploy", DEVICES)
    for command in (("request", hosts.folder, "--input", samples), ("hosts", hosts.folder)):
        began = time.monotonic()
        code, _, err = call(*command)
        assert time.monotonic() - began < 10
        assert code != 0
        assert "camera" in err
        assert len(err.splitlines()) == 1


def test_a_request_without_an_answer_fails_the_command_and_the_others_are_written(
    running, plan, call, tmp_path
):
    x = np.concatenate([feeds["x"] for feeds in SAMPLES])
    x[3, 5] = 2e6
    np.savez(tmp_path / "bad.npz", x=x, w=np.concatenate([feeds["w"] for feeds in SAMPLES]))
    target = tmp_path / "answers.npz"
    code, out, err = call("request", running.folder, "--input", tmp_path / "bad.npz", "--output", target)
    assert code != 0
    assert "1 failed: server: stage 1 failed" in " ".join(out.split())
    assert "4 of 5 requests answered" in out
    assert f"1 of 5 requests have no answer; {target} holds the others" in err
    found = arrays_of(target)
    assert found["samples"].tolist() == [0, 1, 2, 4]
    answers = hosted_answers(plan, SAMPLES)
    for row, number in enumerate(found["samples"]):
        for name in OUTPUTS:
            assert found[name][row].tobytes() == answers[number][name].tobytes()


@pytest.mark.parametrize(
    ("option", "value"),
    [(option, value) for option in ("--rate", "--deadline-s") for value in ("0", "-1", "nan", "1e9")]
    + [("--rate", "1e-300")],
)
def test_a_rate_or_deadline_that_is_none_is_refused(running, samples, call, option, value):
    code, _, err = call("request", running.folder, "--input", samples, option, value)
    assert code == 2
    assert option in err


def test_what_is_no_deployment_is_refused(call, tmp_path, samples, plan):
    for folder in (tmp_path / "nothing", plan):
        for command in (("request", folder, "--input", samples), ("hosts", folder)):
            code, _, err = call(*command)
            assert code != 0
            assert "deploy.json" in err


def test_a_deployment_says_how_to_start_it(plan, call, tmp_path):
    code, out, _ = call("deploy", plan, "--out", tmp_path / "out", "--host", "server=127.0.0.1:7600")
    assert code == 0
    assert "127.0.0.1:7600" in out
    code, _, err = call("deploy", plan, "--out", tmp_path / "out", "--host", "cellar=127.0.0.1")
    assert code == 2
    assert "--host cellar: the plan uses camera, gateway, server" in err
    for host, refused in (("[::1]:7600", True), ("board:7600", False)):
        code, out, err = call(
            "deploy", plan, "--out", tmp_path / "keys", "--keys", "--host", f"server={host}"
        )
        assert (code, "write a name" in err) == ((2, True) if refused else (0, False))
    code, out, _ = call("deploy", plan, "--out", tmp_path / "out", "--host", "server=[::1]:7600")
    assert (code, "(listens at [::1]:7600)" in out) == (0, True)


def test_a_host_that_others_would_look_for_on_their_own_machine_is_told(plan, call, tmp_path):
    everywhere = [f"--host={name}=10.0.0.{number}" for number, name in enumerate(DEVICES, 1)]
    for given, told in ((everywhere[:2], True), (everywhere, False), ((), False)):
        code, _, err = call("deploy", plan, "--out", tmp_path / "out", "--insecure", *given)
        assert code == 0
        assert ("server: hosts on other machines do not reach it at 127.0.0.1" in err) == told


def test_a_deployment_says_a_request_that_runs_as_typed(plan, call, tmp_path):
    own = tmp_path / "own data"
    own.mkdir()
    shutil.copytree(plan, own / "plan")
    for name in ("c.npz", "e.npz"):
        np.savez(own / name, **{name: np.concatenate([feeds[name] for feeds in SAMPLES]) for name in "xw"})
    (own / "m.onnx").write_bytes((plan / "model.onnx").read_bytes())
    record = json.loads((own / "plan" / "plan.json").read_text())
    record["scenario"]["model"] = str(own / "m.onnx")
    for part, file in (("calibration", "c.npz"), ("evaluation", "e.npz")):
        record["scenario"]["data"][part]["npz"] = str(own / file)
    (own / "plan" / "plan.json").write_text(json.dumps(record))
    target, answers = own / "deploy", tmp_path / "answers.npz"
    with RunningHosts(own / "plan", target, DEVICES) as hosts:
        hosts.start()
        given = [f"--host={name}=127.0.0.1:{port}" for name, port in hosts.ports.items()]
        code, out, _ = call("deploy", own / "plan", "--out", tmp_path / "same", *given)
        assert code == 0
        command = shlex.split(out.rpartition("then: ")[2], comments=True)
        assert command[0] == "plan"
        # The same deployment, whose hosts run.
        words = [word.replace(str(tmp_path / "same"), str(target)) for word in command[1:]]
        code, out, _ = call(*words[:-1], answers)
    assert code == 0
    assert "5 of 5 requests answered" in out
    with np.load(answers) as written:
        for number, expected in enumerate(hosted_answers(plan, SAMPLES)):
            assert all(written[name][number].tobytes() == expected[name].tobytes() for name in OUTPUTS)


def test_without_the_plans_own_samples_a_deployment_says_what_to_give(plan, call, tmp_path):
    _, out, _ = call("deploy", plan, "--out", tmp_path / "o u t")
    assert f"plan request '{tmp_path / 'o u t'}' --input samples.npz --output answers.npz" in out
    assert "an array for each input" in out


@pytest.mark.parametrize(
    ("missing", "command"),
    [("zenoh", ("hosts", "DIR")), ("cryptography", ("deploy", "PLAN", "--out", "OUT", "--keys"))],
)
def test_a_missing_extra_is_named(plan, running, tmp_path, missing, command):
    names = {"DIR": running.folder, "PLAN": plan, "OUT": tmp_path / "out"}
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from planner.cli.commands import main; main({[str(names.get(word, word)) for word in command]!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'splitquant[hosts]'" in done.stderr
    assert "Traceback" not in done.stderr


def serve(folder: Path, *options: str) -> tuple[int, str]:
    """Return how a host that cannot start ends, and what it says."""
    done = subprocess.run(
        [sys.executable, str(folder / "serve.py"), *options], cwd="/", capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda folder, port: (folder / "stages" / "01-server.onnx").write_bytes(b"x"),
            "copy the folder again",
        ),
        (lambda folder, port: (folder / "host.json").unlink(), "deploy again"),
        (lambda folder, port: (folder / "zenoh.json5").write_text("{nonsense"), "zenoh.json5"),
        (lambda folder, port: (folder / "zenoh.json5").unlink(), "zenoh.json5"),
        (
            lambda folder, port: (folder / "host.json").write_text(
                (folder / "host.json").read_text().replace('"version": "', '"version": "0.')
            ),
            "--any-version",
        ),
    ],
)
def test_a_host_that_cannot_serve_says_why_in_a_line(running, tmp_path, change, why):
    folder = tmp_path / "server"
    shutil.copytree(running.folder / "server", folder)
    change(folder, 0)
    code, err = serve(folder)
    assert code == 1
    assert why in err
    assert "Traceback" not in err


def test_what_has_to_be_installed_is_told(running, tmp_path):
    shutil.copytree(running.folder / "server", tmp_path / "server")
    (tmp_path / "server" / "zenoh.py").write_text("raise ImportError(\"No module named 'zenoh'\")\n")
    code, err = serve(tmp_path / "server")
    assert code == 1
    assert "No module named 'zenoh'; " in err
    assert "-m pip install -r requirements.txt" in err
    assert "Traceback" not in err


_NEVER_CLOSES = """
import sys, threading, time
import numpy as np
from planner.hosts.requests.request_client import RequestClient

client = RequestClient(sys.argv[1])
with np.load(sys.argv[2]) as archive:
    feeds = {name: archive[name][:1] for name in archive}

def ask():
    time.sleep(0.5)
    print(sorted(client.submit(feeds).result().outputs), flush=True)
"""


@pytest.mark.parametrize(
    ("last", "code", "printed"),
    [
        ("ask()", 0, 1),
        ("raise SystemExit(3)", 3, 0),
        # Threads that go on behind the main thread still have their client.
        ("threading.Thread(target=lambda: (ask(), ask())).start()", 0, 2),
        ("client.submit(feeds)", 0, 0),
    ],
)
def test_a_script_that_never_closes_its_client_ends(running, samples, last, code, printed):
    script = [sys.executable, "-c", f"{_NEVER_CLOSES}\n{last}", running.folder, samples]
    done = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout == f"{sorted(OUTPUTS)}\n" * printed


def test_keys_of_two_runs_are_told_from_hosts_that_are_not_there(plan, call, tmp_path):
    with RunningHosts(plan, tmp_path / "deploy", DEVICES, keys=True) as hosts:
        hosts.start("camera", "gateway")
        code, _, err = call("hosts", hosts.folder)
        assert code == 1
        assert "server is not there: nobody answers" in err
        given = {name: Endpoint("127.0.0.1", port) for name, port in hosts.ports.items()}
        deploy(plan, tmp_path / "again", given, keys=True)
        samples = tmp_path / "s.npz"
        np.savez(samples, **SAMPLES[0])
        for command in (("hosts",), ("request", "--input", samples)):
            code, _, err = call(command[0], tmp_path / "again", *command[1:])
            assert code == 1
            assert "its keys and these were not made together" in err
        hosts.kill("gateway")
        shutil.rmtree(hosts.folder / "gateway")
        shutil.copytree(tmp_path / "again" / "gateway", hosts.folder / "gateway")
        hosts.start("gateway")
        code, _, err = call("hosts", hosts.folder)
        assert code == 1
        assert "gateway is not there: its keys and these were not made together" in err


def test_deploying_over_what_hosts_serve_says_to_restart_them(plan, call, tmp_path):
    _, _, first = call("deploy", plan, "--out", tmp_path / "out")
    _, _, again = call("deploy", plan, "--out", tmp_path / "out")
    assert "restart them all" not in first
    assert "copy the folders and restart them all" in again


def test_a_host_that_is_lost_leaves_what_the_others_tell(plan, call, tmp_path):
    with RunningHosts(plan, tmp_path / "deploy", DEVICES) as hosts:
        hosts.start("camera", "gateway", "server")
        hosts.kill("gateway")
        code, out, err = call("hosts", hosts.folder)
        assert code == 1
        assert "gateway is not there: nobody answers" in err
        assert "server was not reached: its way leads over gateway" in err
        assert "camera" in out
        samples, answers = tmp_path / "s.npz", tmp_path / "answers.npz"
        np.savez(samples, **SAMPLES[0])
        request = ("request", hosts.folder, "--input", samples, "--output", answers, "--deadline-s", "2")
        code, out, err = call(*request)
        assert code == 1
        assert "0 of 1 requests answered" in out
        assert f"answers.npz was not written; next: plan hosts {hosts.folder}" in err
        assert "gateway: gateway" not in err


def test_the_keys_of_another_host_are_refused_when_it_starts(plan, tmp_path):
    deploy(plan, tmp_path / "deploy", {}, keys=True)
    keys = tmp_path / "deploy" / "camera" / "keys"
    shutil.copy(tmp_path / "deploy" / "server" / "keys" / "key.pem", keys / "key.pem")
    code, err = serve(keys.parent)
    assert code == 1
    assert "keys: holds no keys that belong together" in err
    assert ".rs:" not in err


def test_an_address_that_is_taken_is_told(running):
    code, err = serve(running.folder / "server")
    assert code == 1
    address = f"127.0.0.1:{running.ports['server']}"
    assert f"serve.py: {address}: another process listens there" in err
    assert "--host server=ADDRESS:PORT" in err
    assert ".rs:" not in err
    assert "Traceback" not in err


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "tgkill"), reason="the system has no tgkill")
def test_a_host_ends_whichever_of_its_threads_is_given_the_signal(plan, tmp_path):
    def signal_another_thread(pid: int) -> None:
        other = next(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid)
        assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM) == 0

    with RunningHosts(plan, tmp_path / "deploy", DEVICES) as hosts:
        hosts.start("gateway")
        assert hosts.interrupt("gateway", signal_another_thread) == 0
