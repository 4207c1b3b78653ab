"""Keeps the processors of a virtual machine awake, whose host would be slow to wake them; Linux only.

A processor that waits for a message is given up to the host of the virtual machine, which may hand it back
milliseconds late. Processes of the idle class take only time that nobody else wants, as the kernel's
`idle=poll` does.
"""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def awake_processors() -> Iterator[None]:
    """Let each processor of this process spin while it has nothing else to do."""
    context = multiprocessing.get_context("spawn")
    spinning = [
        context.Process(target=_spin, args=(processor,), daemon=True) for processor in os.sched_getaffinity(0)
    ]
    for process in spinning:
        process.start()
    try:
        yield
    finally:
        for process in spinning:
            process.terminate()
            process.join()


def _spin(processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass
