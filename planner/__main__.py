"""Where the command begins: an interrupt is answered even while libraries are still loading."""

import signal
import sys

# First, as time limits count from here: libraries take their time to load.
import planner.cli.process.command_clock  # noqa: F401
from planner.cli.process.interrupts import interrupts, leave_at_once
from planner.cli.process.standard_output import keep_standard_output
from planner.cli.process.supervisor import run_supervised
from planner.errors import PlannerError


def main() -> None:
    """Load the command line and run it."""
    # Some libraries swallow a KeyboardInterrupt during their import; nothing is written yet, so leave.
    for number in interrupts():
        signal.signal(number, leave_at_once)
    try:
        keep_standard_output()
    except PlannerError as exc:
        print(exc, file=sys.stderr)  # noqa: T201
        sys.exit(1)
    run_supervised(_run)


def _run() -> None:
    from planner.cli.commands import main as run

    run()


if __name__ == "__main__":
    main()
