"""Which threads are inside the engine, so that a process does not end under them.

The interpreter ends a thread that asks for its lock after the main thread has left. Under native code, which
is unwound by that, this ends the whole process with SIGABRT or SIGSEGV (PyO3 issue 6084).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class EngineCalls:
    """Counts threads that call the engine or wait in it, until it is closed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: Counter[int] = Counter()
        self._closed = False

    @contextmanager
    def entered(self) -> Iterator[bool]:
        """Count this thread as inside; yields False, without counting it, where the engine was closed."""
        own = threading.get_ident()
        with self._changed:
            is_open = not self._closed
            if is_open:
                self._inside[own] += 1
        try:
            yield is_open
        finally:
            if is_open:
                self._left(own)

    def close(self) -> None:
        """Let no thread in any more."""
        with self._changed:
            self._closed = True

    def wait(self, longest_s: float) -> bool:
        """Wait until no other thread is inside; return whether that is so."""
        own = threading.get_ident()
        with self._changed:
            return self._changed.wait_for(lambda: not self._inside.keys() - {own}, longest_s)

    def _left(self, thread: int) -> None:
        with self._changed:
            self._inside[thread] -= 1
            if not self._inside[thread]:
                del self._inside[thread]
            self._changed.notify_all()
