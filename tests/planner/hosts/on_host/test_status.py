import json
import queue
import threading

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from planner.hosts.on_host.link_probe import Transfer
from planner.hosts.on_host.messages import Busy
from planner.hosts.on_host.network import STATUS, Outcome, Reply
from planner.hosts.on_host.status import LinkSeen, StatusAnswers, resident_mib

LONG_S = 20.0


class Question:
    """Who asks for a status; `answer` waits for what it is told."""

    def __init__(self, device: bytes, order: bytes = b"") -> None:
        self.header, self.payload = device, order
        self._answers: queue.Queue[tuple[str, object]] = queue.Queue()

    def accept(self, data: bytes = b"") -> None:
        self._answers.put(("accepted", data))

    def refuse(self, reason: str) -> None:
        self._answers.put(("refused", reason))

    @property
    def answer(self) -> tuple[str, object]:
        return self._answers.get(timeout=LONG_S)


class Way:
    """The way to the next host, which answers as it is told to."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.sent: list[tuple] = []

    def send(self, *message) -> Reply:
        self.sent.append(message)
        return self.reply


def answers(
    way: Way, next_hop: dict[str, str] | None = None, status=lambda: {"own": 1}, probe=lambda order: None
):
    return StatusAnswers(way, "camera", next_hop or {}, status, probe)


def asked(question: Question, found: StatusAnswers) -> tuple[str, object]:
    found.start()
    found.put(question)
    return question.answer


@pytest.mark.parametrize("device", [b"", b"camera"])
def test_a_host_answers_with_its_own_status_after_the_probe_that_is_ordered(device):
    orders: list[bytes] = []
    status = lambda: {"probed": [order.decode() for order in orders]}  # noqa: E731
    outcome, data = asked(
        Question(device, b"server/hub"), answers(Way(Reply(Outcome.REFUSED)), {}, status, orders.append)
    )
    assert (outcome, json.loads(data)) == ("accepted", {"probed": ["server/hub"]})


def test_what_is_asked_of_another_host_goes_on_to_the_next_one_on_the_way():
    way = Way(Reply(Outcome.ACCEPTED, b"its status"))
    found = answers(
        way, {"server": "hub", "hub": "hub"}, probe=lambda _: pytest.fail("not this host's order")
    )
    assert asked(Question(b"server", b"*"), found) == ("accepted", b"its status")
    found.put(question := Question(b"hub"))
    assert question.answer == ("accepted", b"its status")
    (first, second) = way.sent
    assert first[:4] == ("hub", STATUS, b"server", b"*")
    assert second[:4] == ("hub", STATUS, b"hub", b"")
    assert first[4] > second[4]  # a probe takes longer


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(Outcome.REFUSED, b"hub: knows no host 'server'"), "hub: knows no host 'server'"),
        (Reply(Outcome.BUSY, b"too many ask for its status"), "too many ask for its status"),
        (Reply(Outcome.UNREACHABLE), "camera does not reach hub"),
    ],
)
def test_why_another_host_does_not_answer_comes_back(reply, reason):
    assert asked(Question(b"server"), answers(Way(reply), {"server": "hub"})) == ("refused", reason)


@pytest.mark.parametrize(("device", "shown"), [(b"moon", "'moon'"), (b"\xff", repr("\ufffd"))])
def test_a_host_that_nobody_knows_is_told(device, shown):
    outcome, reason = asked(Question(device), answers(Way(Reply(Outcome.ACCEPTED)), {"server": "hub"}))
    assert (outcome, reason) == ("refused", f"camera: knows no host {shown}")


def test_a_slow_probe_keeps_nobody_else_waiting():
    may_end = threading.Event()
    found = answers(
        Way(Reply(Outcome.ACCEPTED, b"far")), {"server": "hub"}, probe=lambda _: may_end.wait(LONG_S)
    )
    found.start()
    slow, quick = Question(b"camera", b"*"), Question(b"server")
    found.put(slow)
    found.put(quick)
    assert quick.answer == ("accepted", b"far")
    may_end.set()
    assert slow.answer[0] == "accepted"


def test_too_many_questions_are_postponed_and_none_is_lost():
    found = answers(Way(Reply(Outcome.REFUSED)))
    questions = [Question(b"") for _ in range(33)]
    for question in questions[:-1]:
        found.put(question)
    with pytest.raises(Busy, match="too many ask"):
        found.put(questions[-1])
    found.start()
    assert [question.answer[0] for question in questions[:-1]] == ["accepted"] * 32


def test_messages_and_bytes_add_up_and_a_probe_counts_for_neither():
    seen = LinkSeen(0)
    assert seen.record() == {"messages": 0, "bytes": 0, "bytes_per_s": None, "seen_s_ago": None}
    for size in (10, 2**20):
        seen.add(Transfer(size, 0.0, 1.0, 0.0))
    seen.probed(5e5)
    record = seen.record()
    assert (record["messages"], record["bytes"], record["bytes_per_s"]) == (2, 2**20 + 10, 5e5)
    assert 0 <= record["seen_s_ago"] < LONG_S


def test_resident_memory_grows_with_what_is_held():
    before = resident_mib()
    if before is None:
        pytest.skip("this system does not say")
    held = bytearray(b"x" * (64 * 2**20))
    assert resident_mib() - before > 32
    assert before > 1
    del held
