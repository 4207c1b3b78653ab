"""Runs stages whose inputs are there, one at a time, as the plan was measured."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from planner.hosts.on_host.host_manifest import HostedStage
from planner.hosts.on_host.open_requests import OpenRequest
from planner.hosts.on_host.stage_runtime import StageRuntime


@dataclass(frozen=True)
class Ready:
    """A stage of a request that can run."""

    request: OpenRequest
    stage: HostedStage


@dataclass(frozen=True)
class Computed:
    """What a stage gave, and when it ran, by `time.time_ns()`."""

    outputs: Mapping[str, Any]
    started_ns: int
    finished_ns: int


@dataclass(frozen=True)
class NotComputed:
    """Why a stage gave nothing; `is_lasting` says whether it would fail again."""

    reason: str
    is_lasting: bool


class StageWorker:
    """One thread that runs what is ready, in the order in which it became so.

    Parameters
    ----------
    stages
        (plan's index, stage's number) -> the open stage.
    feeds
        Gives a stage's inputs, or None if its request has ended.
    done
        Told what came of each stage that ran.
    """

    def __init__(
        self,
        stages: Mapping[tuple[int, int], StageRuntime],
        feeds: Callable[[Ready], Mapping[str, Any] | None],
        done: Callable[[Ready, Computed | NotComputed], None],
    ) -> None:
        self._stages, self._feeds, self._done = stages, feeds, done
        self._queue: queue.Queue[Ready | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __len__(self) -> int:
        return self._queue.qsize()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the stage that runs."""
        self._queue.put(None)

    def put(self, ready: Ready) -> None:
        """Run a stage when those before it have run."""
        self._queue.put(ready)

    def _work(self) -> None:
        while (ready := self._queue.get()) is not None:
            feeds = self._feeds(ready)
            if feeds is not None:
                self._done(ready, self._computed(ready, feeds))

    def _computed(self, ready: Ready, feeds: Mapping[str, Any]) -> Computed | NotComputed:
        number = ready.stage.number
        started_ns = time.time_ns()
        try:
            outputs = self._stages[ready.request.plan, number].run(feeds)
        except MemoryError:
            return NotComputed(f"stage {number} needs more memory than there is", is_lasting=False)
        except Exception as exc:  # noqa: BLE001 (its request ends with it, the host goes on)
            return NotComputed(f"stage {number} failed: {exc}", is_lasting=True)
        return Computed(outputs, started_ns, time.time_ns())
