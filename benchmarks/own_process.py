"""Runs a function in a process that does nothing else, and tells how much memory it took."""

import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection

from planner.process_memory import peak_mib

_STDOUT, _STDERR = 1, 2


def alone(
    work: Callable[..., object], *arguments: object, at_most_s: float | None = None
) -> tuple[object, float]:
    """Return a function's value and the peak memory of its process in MiB; what it prints goes to stderr.

    Parameters
    ----------
    at_most_s
        When the process is killed; None waits for as long as it takes.

    Raises
    ------
    TimeoutError
        If it was killed.
    ChildProcessError
        If it died without an answer, as when memory runs out.
    Exception
        What the function raises.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(sender, work, arguments))
    process.start()
    sender.close()  # so that its end is seen here once the process is gone
    try:
        if not receiver.poll(at_most_s):
            raise TimeoutError(f"killed after {at_most_s:g} s")
        value, peak = receiver.recv()
    except EOFError:
        process.join()
        raise ChildProcessError(f"died with exit code {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
    if isinstance(value, Exception):
        raise value
    return value, peak


def _report(sender: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    os.dup2(_STDERR, _STDOUT)  # solvers print their banner from C
    try:
        value = work(*arguments)
    except Exception as exc:  # noqa: BLE001  raised again by who asked
        value = exc
    sender.send((value, peak_mib() or 0.0))
