"""How a call ends that fails or is interrupted, for a caller from Python."""

from collections.abc import Iterator
from contextlib import contextmanager

from planner.errors import DataError
from profiling.errors import naming_runtime_errors


@contextmanager
def public_call() -> Iterator[None]:
    """Let errors of the runtime be public ones in the block, and an interrupt be an interrupt.

    Interrupted code of the user's (a metric, a reader) fails with a DataError: whoever interrupted it in a
    notebook wants the cell to end, and not the next call to begin.
    """
    try:
        with naming_runtime_errors():
            yield
    except DataError as exc:
        if isinstance(exc.__cause__, KeyboardInterrupt):
            raise KeyboardInterrupt from exc
        raise
