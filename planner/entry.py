"""Where the command begins: an interrupt is answered even while libraries are still loading."""

import os
import signal
import sys

from planner.signals import interrupts


def main() -> None:
    """Load the command line and run it."""
    # Some libraries swallow a KeyboardInterrupt during their import; nothing is written yet, so leave.
    for number in interrupts():
        signal.signal(number, _leave)
    from planner.cli import main as run

    run()


def _leave(_signal: int, _frame: object) -> None:
    print("interrupted", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(130)
