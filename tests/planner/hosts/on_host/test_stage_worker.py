import queue
import threading
from types import SimpleNamespace

import pytest

from planner.hosts.on_host.stage_worker import Computed, NotComputed, Ready, StageWorker

LONG_S = 20.0


class Stage:
    """A stage that doubles numbers, or raises what it is given; it may not run twice at once."""

    def __init__(self) -> None:
        self.running = threading.Lock()

    def run(self, feeds):
        assert self.running.acquire(blocking=False)
        try:
            if isinstance(feeds["x"], BaseException):
                raise feeds["x"]
            return {"y": 2 * feeds["x"]}
        finally:
            self.running.release()


def ready(name: str, stage: int = 0, plan: int = 0) -> Ready:
    return Ready(SimpleNamespace(name=name, plan=plan), SimpleNamespace(number=stage))


class Worker:
    """A worker of two stages of two plans, and what came of what it ran."""

    def __init__(self, feeds: dict[str, object]) -> None:
        self.ended: queue.Queue[tuple[str, object]] = queue.Queue()
        stage = Stage()
        self.worker = StageWorker(
            "camera",
            {(plan, number): stage for plan in (0, 1) for number in (0, 1)},
            lambda one: None if one.request.name not in feeds else {"x": feeds[one.request.name]},
            lambda one, outcome: self.ended.put((one.request.name, outcome)),
        )

    def next(self) -> tuple[str, object]:
        return self.ended.get(timeout=LONG_S)


def test_stages_run_one_at_a_time_in_the_order_in_which_they_were_ready():
    one = Worker({str(n): n for n in range(50)})
    for n in range(50):
        one.worker.put(ready(str(n), stage=n % 2, plan=n % 3 % 2))
    assert len(one.worker) == 50
    one.worker.start()
    seen = [one.next() for _ in range(50)]
    assert [name for name, _ in seen] == [str(n) for n in range(50)]
    assert [outcome.outputs["y"] for _, outcome in seen] == [2 * n for n in range(50)]
    assert len(one.worker) == 0


def test_a_stage_tells_when_it_began_and_ended():
    one = Worker({"r": 1.0})
    one.worker.start()
    one.worker.put(ready("r", stage=1))
    _, outcome = one.next()
    assert isinstance(outcome, Computed)
    started, finished = outcome.events
    assert [(e.kind, e.device, e.subject) for e in outcome.events] == [
        ("started", "camera", "1"),
        ("finished", "camera", "1"),
    ]
    assert started.clock_ns <= finished.clock_ns


def test_a_request_that_has_ended_is_left_out_and_the_next_one_runs():
    one = Worker({"lives": 3})
    one.worker.start()
    one.worker.put(ready("ended"))
    one.worker.put(ready("lives"))
    assert one.next()[0] == "lives"
    assert one.ended.empty()


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (MemoryError(), NotComputed("stage 1 needs more memory than there is", is_lasting=False)),
        (ValueError("bad shape"), NotComputed("stage 1 failed: bad shape", is_lasting=True)),
    ],
)
def test_a_stage_that_fails_ends_its_own_request_only(raised, outcome):
    one = Worker({"fails": raised, "works": 4})
    one.worker.start()
    one.worker.put(ready("fails", stage=1))
    one.worker.put(ready("works"))
    assert one.next() == ("fails", outcome)
    name, after = one.next()
    assert (name, after.outputs) == ("works", {"y": 8})


def test_a_stage_that_is_not_there_is_a_lasting_failure():
    one = Worker({"r": 1})
    one.worker.start()
    one.worker.put(ready("r", stage=7))
    _, outcome = one.next()
    assert isinstance(outcome, NotComputed)
    assert outcome.is_lasting


def test_closing_runs_what_was_put_before_and_nothing_after():
    one = Worker({"before": 1, "after": 2})
    for work in (one.worker.put(ready("before")), one.worker.close(), one.worker.put(ready("after"))):
        assert work is None
    one.worker.start()
    assert one.next()[0] == "before"
    one.worker._thread.join(LONG_S)
    assert not one.worker._thread.is_alive()
    assert one.ended.empty()
