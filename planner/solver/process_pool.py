"""A `map` over several processes, which end at once when the work is interrupted."""

import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import active_children, get_context, resource_tracker
from typing import Any

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]


@contextmanager
def process_map(jobs: int) -> Iterator[Mapper]:
    """Yield what `map` does, with so many processes; results come in the order of the work.

    They are spawned, not forked: a copy of a process that has threads may wait for a lock for ever. So the
    call and its work are pickled.
    """
    if jobs < 2:  # noqa: PLR2004  nothing beside it
        yield map
        return
    earlier_children = active_children()
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))

    def spread(call: Callable[[Any], Any], work: Iterable[Any]) -> Iterator[Any]:
        with _interrupts_waiting():  # the processes start here
            return pool.map(call, work)

    try:
        yield spread
    except BaseException:
        for process in active_children():
            if process not in earlier_children:
                process.terminate()
        pool.shutdown()  # at once, for nobody is left who works
        raise
    pool.shutdown()


@contextmanager
def _interrupts_waiting() -> Iterator[None]:
    """Hold back SIGINT; processes that are started meanwhile never get it, the parent does afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows has no such masks
        yield
        return
    resource_tracker.ensure_running()  # its start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
