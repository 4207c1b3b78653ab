"""The seconds of each step of planning, as its progress tells them."""

import time
from collections.abc import Callable


class StepTimes:
    """Takes the time of every step that the progress tells, and how far each came."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._what, self._since = clock, "reading and calibrating", clock()
        self.seconds: dict[str, float] = {}
        self.totals: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Take what passed since the last call: for this step, or for the one before if this one begins."""
        now = self._clock()
        step = what if done else self._what
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._since
        self._what, self._since = what, now
        self.totals[what] = total
