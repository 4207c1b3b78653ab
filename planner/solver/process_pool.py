"""A `map` over several processes, which end at once when the work is interrupted."""

import logging
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from logging.handlers import QueueHandler
from multiprocessing import active_children, get_context, resource_tracker
from queue import SimpleQueue
from typing import Any

from planner.errors import SolverError

Mapper = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]

log = logging.getLogger(__name__)


@contextmanager
def process_map(jobs: int) -> Iterator[Mapper]:
    """Yield what `map` does, with so many processes; results come in the order of the work.

    They are spawned, not forked: a copy of a process that has threads may wait for a lock for ever. So the
    call and its work are pickled. What they log comes with their results.

    Raises
    ------
    SolverError
        If one of them is killed.
    """
    if jobs < 2:  # noqa: PLR2004  nothing runs in parallel
        yield map
        return
    earlier_children = active_children()
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))

    def spread(call: Callable[[Any], Any], work: Iterable[Any]) -> Iterator[Any]:
        level = log.getEffectiveLevel()
        with _interrupts_waiting():  # the processes start here
            return _relayed(pool.map(partial(_logged, call, level), work))

    try:
        yield spread
    except BaseException as exc:
        for process in active_children():
            if process not in earlier_children:
                process.terminate()
        pool.shutdown()  # at once, for nobody is left who works
        if isinstance(exc, BrokenProcessPool):
            raise SolverError(f"one of {jobs} processes was killed; memory may have run out") from exc
        raise
    pool.shutdown()


def _logged(call: Callable[[Any], Any], level: int, item: Any) -> tuple[Any, list[logging.LogRecord]]:
    """Return what a call returns, and what it logged: the process that asked has the handlers."""
    records: SimpleQueue[logging.LogRecord] = SimpleQueue()
    handler = QueueHandler(records)  # makes records fit to be sent
    logging.root.addHandler(handler)
    logging.root.setLevel(level)
    try:
        result = call(item)
    finally:
        logging.root.removeHandler(handler)
    return result, [records.get() for _ in range(records.qsize())]


def _relayed(results: Iterator[tuple[Any, list[logging.LogRecord]]]) -> Iterator[Any]:
    for result, records in results:
        for record in records:
            logging.getLogger(record.name).handle(record)
        yield result


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
