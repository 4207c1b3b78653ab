"""The time of a command that has a time limit: from where the process began, with a jump at an interrupt."""

import time

from planner.cli.process.interrupts import INTERRUPT

BEGAN = time.perf_counter()
_JUMP_S = 1e9  # past every time limit


def command_clock() -> float:
    """Return seconds by which a search ends that an interrupt asks for its best answer so far."""
    return time.perf_counter() + _JUMP_S * INTERRUPT.seen
