"""Signals that ask a run to end, and how they are answered before and after libraries are loaded."""

import os
import signal
import sys


def interrupts() -> tuple[signal.Signals, ...]:
    """Return them; a terminal's hang-up is none of them where `nohup` has it ignored."""
    always = (signal.SIGINT, signal.SIGTERM)
    if not hasattr(signal, "SIGHUP"):  # Windows
        return always
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return always if ignored else (*always, signal.SIGHUP)


def leave_at_once(_signal: int, _frame: object) -> None:
    """End the process: a signal handler for the time in which libraries load and nothing is written."""
    print("interrupted", file=sys.stderr, flush=True)
    os._exit(130)


class _Interrupt:
    """Turns signals into KeyboardInterrupt, and again at the next progress: libraries swallow some.

    It is armed once they are loaded: some of them crash if their import is interrupted.
    """

    seen = False

    def arm(self) -> None:
        """Answer signals from now on."""
        for number in interrupts():
            signal.signal(number, self)

    def arm_for_answer(self) -> None:
        """Note the first signal from now on, for who can end with an answer; the second ends the process."""
        for number in interrupts():
            signal.signal(number, self._note)

    def _note(self, number: int, frame: object) -> None:
        if self.seen:
            leave_at_once(number, frame)
        self.seen = True

    def __call__(self, _signal: int, _frame: object) -> None:
        self.seen = True
        raise KeyboardInterrupt

    def check(self, *_: object) -> None:
        """Raise again what was swallowed; stands in for a progress reporter where none is shown."""
        if self.seen:
            raise KeyboardInterrupt


INTERRUPT = _Interrupt()
