import json
import time

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from planner.hosts.on_host.clock_offsets import clock_bytes
from planner.hosts.on_host.neighbours import Neighbours
from planner.hosts.on_host.network import PING, Outcome, Reply

MIB = 2**20


class Wire:
    """A connection whose other ends have clocks that are apart, and answer pings."""

    def __init__(self, offsets_s: dict[str, float], answer: bytes | None = None) -> None:
        self.offsets_s, self.answer = offsets_s, answer
        self.sent: list[tuple[str, int]] = []

    def send(self, receiver: str, kind: str, header: bytes, payload: bytes, timeout_s: float) -> Reply:
        assert (kind, header) == (PING, b"")
        self.sent.append((receiver, len(payload)))
        if receiver not in self.offsets_s:
            return Reply(Outcome.UNREACHABLE)
        now_ns = time.time_ns() + int(self.offsets_s[receiver] * 1e9)
        return Reply(Outcome.ACCEPTED, clock_bytes(now_ns, now_ns) if self.answer is None else self.answer)


@pytest.fixture
def take(monkeypatch):
    """Note messages that were accepted one after the other, each after its own seconds."""
    now_s = 1000.0

    def noted(neighbours: Neighbours, name: str, *messages: tuple[int, float]) -> None:
        nonlocal now_s
        for size_bytes, seconds in messages:
            now_s += seconds + 1.0
            with monkeypatch.context() as patched:
                patched.setattr("planner.hosts.on_host.neighbours.time.monotonic", lambda at_s=now_s: at_s)
                neighbours.accepted(name, size_bytes, seconds)

    return noted


def record(neighbours: Neighbours) -> dict:
    return neighbours.record({"a": 3, "b": 0}.__getitem__)


def test_a_neighbour_is_absent_until_it_is_seen_and_lost_once_when_it_goes():
    neighbours = Neighbours(["b", "a"], 0)
    assert neighbours.absent(["a", "b"]) == ["a", "b"]
    assert [neighbours.changed("a", there) for there in (False, True, True, False, False)] == [
        False,
        False,
        False,
        True,
        False,
    ]
    neighbours.changed("b", True)
    assert neighbours.absent(["b", "a"]) == ["a"]
    assert neighbours.absent([]) == []
    assert neighbours.absent(["a stranger", "b"]) == []


def test_before_anything_is_seen_everything_is_unknown():
    row = {"messages": 0, "bytes": 0, "bytes_per_s": None, "seen_s_ago": None}
    clock = {"round_trip_s": None, "clock_offset_s": None}
    expected = {
        "a": {"there": False, **row, **clock, "queue": 3},
        "b": {"there": False, **row, **clock, "queue": 0},
    }
    assert record(Neighbours(["a", "b"], 0)) == expected


def test_messages_to_neighbours_are_counted_and_those_to_strangers_are_not(take):
    neighbours = Neighbours(["a", "b"], 0)
    for name in ("a", "a client"):
        take(neighbours, name, (MIB, 0.5), (MIB, 0.5), (MIB, 0.5), (10, 0.0))
    row = record(neighbours)["a"]
    assert (row["messages"], row["bytes"]) == (4, 3 * MIB + 10)
    assert row["bytes_per_s"] == pytest.approx(2 * MIB, rel=1e-3)
    assert isinstance(row["seen_s_ago"], float)
    assert record(neighbours)["b"]["messages"] == 0
    json.dumps(record(neighbours), allow_nan=False)


def test_clocks_of_those_who_are_there_are_looked_at():
    neighbours, wire = Neighbours(["a", "b", "c"], 0), Wire({"a": 5.0, "b": -3.0})
    neighbours.changed("a", True)
    neighbours.changed("c", True)  # and answers nothing
    neighbours.ping(wire)
    assert {name for name, _ in wire.sent} == {"a", "c"}
    rows = neighbours.record(lambda _: 0)
    assert rows["a"]["clock_offset_s"] == pytest.approx(5.0, abs=0.5)
    assert rows["a"]["round_trip_s"] >= 0
    assert rows["b"]["clock_offset_s"] is rows["c"]["clock_offset_s"] is None


@pytest.mark.parametrize("answer", [b"", b"[1, 2]", b"\0" * 15, b"\0" * 17])
def test_an_answer_that_is_none_about_the_clock_is_left_out(answer, caplog):
    neighbours = Neighbours(["a", "b"], 0)
    neighbours.changed("a", True)
    neighbours.ping(Wire({"a": 0.0}, answer))
    assert record(neighbours)["a"]["clock_offset_s"] is None
    assert "a: " in caplog.text


@pytest.mark.parametrize(
    ("order", "names"), [(b"*", ["a", "b"]), (b"b", ["b"]), (b"", []), (b"z/a", ["a"]), (b"\xff", [])]
)
def test_the_neighbours_that_an_order_names_are_probed(order, names):
    neighbours, wire = Neighbours(["a", "b"], 0), Wire({"a": 0.0, "b": 0.0})
    neighbours.probe(wire, order)
    assert list(dict.fromkeys(name for name, _ in wire.sent)) == names
    rows = record(neighbours)
    assert [name for name in rows if rows[name]["bytes_per_s"]] == names
    assert all(rows[name]["messages"] == 0 for name in rows)


def test_a_probe_tells_the_round_trip_too_of_who_has_not_been_looked_at_before():
    neighbours = Neighbours(["a", "b"], 0)
    neighbours.probe(Wire({"a": 5.0}), b"*")
    rows = record(neighbours)
    assert rows["a"]["round_trip_s"] >= 0
    assert rows["b"]["round_trip_s"] is None


def test_a_probe_that_does_not_get_through_leaves_what_was_seen(take):
    neighbours = Neighbours(["a", "b"], 0)
    take(neighbours, "a", *[(MIB, 0.5)] * 3)
    neighbours.probe(Wire({}), b"*")
    assert record(neighbours)["a"]["bytes_per_s"] == pytest.approx(2 * MIB, rel=1e-3)
    assert record(neighbours)["b"]["bytes_per_s"] is None
