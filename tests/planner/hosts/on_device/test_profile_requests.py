"""What a bundle answers, with a `measure.py` that the test writes."""

import json
import time
from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from planner.hosts.on_device.profile_messages import BUNDLE, POLL, START, STOP, RunRequest, run_request
from planner.hosts.on_device.profile_requests import ABANDONED_S, ProfileRequests, check_bundle, read_order
from planner.hosts.on_host.host_manifest import HostManifestError
from planner.hosts.on_host.messages import BadMessageError
from planner.output.file_hash import sha256_of

REQUEST = RunRequest("a" * 32, 8, 2)
OTHER = RunRequest("b" * 32, 8, 2)
WAITS = "import time; time.sleep(600)"
WRITES = """
import sys
print("timing: 1 of 2", file=sys.stderr)
print("a warning", file=sys.stderr)
print("timing: 2 of 2", file=sys.stderr)
open(sys.argv[-1], "w", encoding="utf-8").write(" ".join(sys.argv[1:-1]) + " µ")
"""
FAILS = "import sys; print('timing: 1 of 2', file=sys.stderr); sys.exit('no such provider')"
WRITES_NOTHING = "pass"
LONG_S = 30.0


class Message:
    """A message that comes in; `outcome` and `data` say how it was answered."""

    def __init__(self, kind: str, payload: bytes = b"") -> None:
        self.kind, self.payload, self.outcome, self.data = kind, payload, "", b""

    def accept(self, data: bytes = b"") -> None:
        self.outcome, self.data = "accepted", data

    def refuse(self, reason: str) -> None:
        self.outcome = f"refused: {reason}"

    def postpone(self, reason: str) -> None:
        self.outcome = f"postponed: {reason}"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(tmp_path, clock):
    started = []

    def start(script: str) -> ProfileRequests:
        (tmp_path / "measure.py").write_text(script, encoding="utf-8")
        files = {"measure.py": sha256_of(tmp_path / "measure.py")}
        (tmp_path / "order.json").write_text(json.dumps({"device": "board", "rounds": 3, "files": files}))
        started.append(ProfileRequests(tmp_path, clock))
        return started[-1]

    yield start
    for one in started:
        one.close()


def ask(requests: ProfileRequests, kind: str, payload: bytes = b"") -> Message:
    message = Message(kind, payload)
    requests.take(message)
    return message


def status(requests: ProfileRequests, request: RunRequest = REQUEST) -> dict:
    message = ask(requests, POLL, request.run.encode())
    assert message.outcome == "accepted"
    return json.loads(message.data)


def end_of(requests: ProfileRequests) -> dict:
    """Return the status of a run that has ended."""
    end = time.monotonic() + LONG_S
    while (now := status(requests))["is_running"]:
        assert time.monotonic() < end
        time.sleep(0.01)
    return now


def test_a_run_gets_what_was_asked_for_and_its_profile_is_told_with_its_hash(serve, tmp_path):
    requests = serve(WRITES)
    assert ask(requests, START, REQUEST.to_bytes()).outcome == "accepted"
    ended = end_of(requests)
    assert ended["profile"] == "--rounds=8 --threads=2 µ"
    (tmp_path / "p").write_text(ended["profile"], encoding="utf-8")
    assert ended["sha256"] == sha256_of(tmp_path / "p")
    assert ended["progress"] == {"timing": [2, 2]}
    assert ended["reason"] == ""


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (FAILS, "no such provider"),
        (WRITES_NOTHING, "profile.json: No such file or directory"),
        ("raise OSError(28, 'No space left on device')", "OSError: [Errno 28] No space left on device"),
        ("import os; os.kill(os.getpid(), 9)", "ended by signal 9; memory may have run out"),
        ("import sys; sys.exit(7)", "ended with code 7"),
        ("import sys; sys.stderr.buffer.write(b'\\xff' * 10_000); sys.exit(1)", "\ufffd" * 500),
    ],
)
def test_a_run_that_fails_says_why(serve, script, reason):
    requests = serve(script)
    ask(requests, START, REQUEST.to_bytes())
    ended = end_of(requests)
    assert ended["reason"].endswith(reason)
    assert ended["profile"] == ""


def test_one_run_at_a_time_and_only_who_asked_for_it_hears_of_it(serve):
    requests = serve(WAITS)
    assert ask(requests, START, REQUEST.to_bytes()).outcome == "accepted"
    assert ask(requests, START, REQUEST.to_bytes()).outcome == "accepted"  # did not hear of the answer
    busy = ask(requests, START, OTHER.to_bytes()).outcome
    assert busy == "postponed: it measures for somebody else (just started)"
    assert ask(requests, POLL, OTHER.run.encode()).outcome.startswith("refused: it knows nothing of the run")
    ask(requests, STOP, OTHER.run.encode())
    ask(requests, STOP, b"")
    assert status(requests)["is_running"]
    ask(requests, STOP, REQUEST.run.encode())
    assert ask(requests, START, OTHER.to_bytes()).outcome == "accepted"


def test_a_run_that_nobody_asks_for_any_more_is_ended(serve, clock):
    requests = serve(WAITS)
    ask(requests, START, REQUEST.to_bytes())
    for _ in range(3):
        clock.now += ABANDONED_S
        requests.end_abandoned()
        assert status(requests)["is_running"]
    clock.now += ABANDONED_S + 1
    requests.end_abandoned()
    assert ask(requests, POLL, REQUEST.run.encode()).outcome.startswith("refused")
    assert ask(requests, START, OTHER.to_bytes()).outcome == "accepted"


def test_a_bundle_that_was_replaced_while_it_is_served_is_not_run(serve, tmp_path):
    requests = serve(WAITS)
    before = ask(requests, BUNDLE).data
    order = json.loads((tmp_path / "order.json").read_text())
    (tmp_path / "order.json").write_text(json.dumps(order | {"rounds": 9, "threads": 9}))
    assert ask(requests, START, REQUEST.to_bytes()).outcome == "accepted"
    (tmp_path / "order.json").write_text(json.dumps(order | {"scheme": "other"}))
    for spoil in (lambda: None, lambda: (tmp_path / "order.json").unlink()):
        spoil()
        assert ask(requests, START, OTHER.to_bytes()).outcome.startswith("refused")
    assert ask(requests, BUNDLE).data == before


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 1000,
        b"{}",
        b'{"run": 3, "rounds": 3, "threads": 1}',
        b" " * 2000,
        *(
            json.dumps(asdict(REQUEST) | change).encode()
            for change in (
                {"run": "short"},
                {"rounds": -1},
                {"rounds": 10_001},
                {"rounds": True},
                {"rounds": 3.0},
                {"rounds": "3; reboot"},
                {"threads": 0},
                {"threads": 257},
                {"threads": None},
                {"code": "import os"},
            )
        ),
    ],
)
def test_what_is_no_request_starts_nothing(serve, text):
    with pytest.raises(BadMessageError):
        run_request(text)
    requests = serve(WAITS)
    assert ask(requests, START, text).outcome.startswith("refused: ")
    assert ask(requests, START, REQUEST.to_bytes()).outcome == "accepted"  # it is still free


def test_a_request_is_read_as_it_was_written():
    assert run_request(REQUEST.to_bytes()) == REQUEST


def test_what_is_not_known_is_refused(serve):
    assert ask(serve(WAITS), "shell", b"ls").outcome == "refused: a bundle takes no 'shell'"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"device": 3, "files": {}}', '{"device": "b"}', "[" * 10_000]
)
def test_an_order_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "order.json").write_text(text)
    with pytest.raises(HostManifestError, match="copy the bundle again"):
        read_order(tmp_path)


def test_a_bundle_with_a_file_that_is_not_as_it_was_written_is_not_served(serve, tmp_path):
    serve(WRITES)
    order = read_order(tmp_path)
    check_bundle(tmp_path, order)
    for spoil in (lambda path: path.write_text(FAILS), Path.unlink):
        spoil(tmp_path / "measure.py")
        with pytest.raises(HostManifestError, match="measure.py.*copy the folder again"):
            check_bundle(tmp_path, order)
