"""The user's own code, named FOLDER/module:name: called so that its faults and its output are told apart."""

import contextlib
import hashlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from planner.errors import DataError
from profiling.arrays import Array
from profiling.printable_text import reason

LONGEST_S = 600.0
"""Seconds after which a call of the user's code is taken for one that does not end."""
Metric = Callable[[Mapping[str, Array], Sequence[Any] | None], float | None]
"""(output name -> arrays of all samples joined along the first axis, their labels) -> more is better."""


def import_object(target: str, where: str) -> Any:
    """Return an object of a module that lies beside the scenario.

    Parameters
    ----------
    target
        FOLDER/module:name.
    where
        The scenario key, for messages.

    Raises
    ------
    DataError
        If there is no such module or object, or the module fails.
    """
    folder, _, name = target.rpartition("/")
    module, _, name = name.partition(":")
    sys.path.insert(0, folder)
    try:
        with calling(f"{where}: {module}:{name} cannot be used"):
            return getattr(importlib.import_module(module), name)
    finally:
        with contextlib.suppress(ValueError):  # the module may have changed the path
            sys.path.remove(folder)


def hash_code_beside(target: str | None) -> str:
    """Return a hash of an object's name and of the modules in its folder: it may use any of them."""
    if target is None:
        return ""
    digest = hashlib.sha256(target.encode())
    for path in sorted(Path(target.rpartition("/")[0]).glob("*.py")):
        with contextlib.suppress(OSError):
            digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@contextlib.contextmanager
def calling(what: str) -> Iterator[None]:
    """Let the user's code run in the block: what it prints goes to stderr, what it raises is a DataError.

    That holds for what C code or a process that it starts prints, too. An interrupt by the user is raised
    as a DataError as well; the command line knows that there was one.

    Parameters
    ----------
    what
        What failed then, for the message.
    """
    with _printing_to_stderr(), _without_input():
        try:
            with _bounded():
                yield
        except BaseException as exc:
            cause = reason(exc)
            cause_name = cause if isinstance(exc, _TooLongError) else type(exc).__name__
            raise DataError(
                f"{what}: {cause}" if cause == cause_name else f"{what}: {cause_name}: {cause}"
            ) from exc


class _TooLongError(BaseException):
    """The user's code does not come to an end."""


@contextlib.contextmanager
def _bounded() -> Iterator[None]:
    """Raise in the block once it takes too long, where the system has timers and this is the main thread."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise _TooLongError(f"it does not end: stopped after {LONGEST_S:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _without_input() -> Iterator[None]:
    """Let whoever asks for input in the block find the end of a file instead of waiting."""
    before = sys.stdin
    with open(os.devnull) as nothing:  # noqa: PTH123
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = before


@contextlib.contextmanager
def _printing_to_stderr() -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if sys.stderr is not None:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        with contextlib.suppress(OSError):  # one of the two may be closed
            before = os.dup(1)
            stack.callback(os.close, before)
            stack.callback(os.dup2, before, 1)
            os.dup2(2, 1)
        yield


def load_metric(target: str | None) -> Metric | None:
    """Return a scenario's metric, which answers with a finite number or raises DataError."""
    if target is None:
        return None
    function = import_object(target, "metric")
    name = target.rpartition("/")[2]

    def metric(outputs: Mapping[str, Array], labels: Sequence[Any] | None) -> float:
        with calling(f"metric: {name} failed"):
            answer = function(outputs, labels)
        if isinstance(answer, str | bytes):  # of which float() would take some
            raise DataError(f"metric: {name} gave text; it must give a finite number")
        with calling(f"metric: {name} must give a finite number"):
            value = float(answer)
        if not isfinite(value):
            raise DataError(f"metric: {name} gave {value}; it must give a finite number")
        return value

    return metric
