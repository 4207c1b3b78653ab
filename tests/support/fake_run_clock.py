"""A clock of runs that work moves forward, as it computes and as it waits for a processor."""

from profiling.on_device.clock.run_clock import CPU, RunClock


class FakeRunClock:
    """A machine whose clock of runs is `clock`.

    Parameters
    ----------
    kind
        Of the clock: whether waiting is part of its seconds.
    """

    def __init__(self, kind: str) -> None:
        self._computed_s = self._waited_s = 0.0
        self._switches = 0
        self._counts_waiting = kind != CPU
        self.clock = RunClock(kind, self._seconds, lambda: self._waited_s, lambda: self._switches)

    def _seconds(self) -> float:
        return self._computed_s + (self._waited_s if self._counts_waiting else 0.0)

    def compute(self, seconds: float, waiting_s: float = 0.0) -> None:
        """Compute for so long, interrupted once if it waits."""
        self._computed_s += seconds
        self._waited_s += waiting_s
        self._switches += waiting_s > 0
