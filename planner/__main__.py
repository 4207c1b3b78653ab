"""Where the command begins: an interrupt is answered even while libraries are still loading."""

import os
import signal
import sys

from planner.cli.signals import interrupts
from planner.cli.standard_output import keep_standard_output
from planner.cli.supervisor import run_supervised
from planner.errors import PlannerError


def main() -> None:
    """Load the command line and run it."""
    # Some libraries swallow a KeyboardInterrupt during their import; nothing is written yet, so leave.
    for number in interrupts():
        signal.signal(number, _leave)
    try:
        keep_standard_output()
    except PlannerError as exc:
        print(exc, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    run_supervised(_run)


def _run() -> None:
    from planner.cli.commands import main as run

    run()


def _leave(_signal: int, _frame: object) -> None:
    print("interrupted", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(130)


if __name__ == "__main__":
    main()
