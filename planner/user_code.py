"""The user's own code, named FOLDER/module:name: called so that its faults and its output are told apart."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from planner.errors import DataError
from profiling.session import Array
from profiling.shown import reason

Metric = Callable[[Mapping[str, Array], Sequence[Any] | None], float]
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
    with _printing_to_stderr():
        try:
            yield
        except BaseException as exc:
            said = reason(exc)
            kind = type(exc).__name__
            raise DataError(f"{what}: {said}" if said == kind else f"{what}: {kind}: {said}") from exc


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
            given = function(outputs, labels)
        if isinstance(given, str | bytes):  # of which float() would take some
            raise DataError(f"metric: {name} gave text; it must give a finite number")
        with calling(f"metric: {name} must give a finite number"):
            value = float(given)
        if not isfinite(value):
            raise DataError(f"metric: {name} gave {value}; it must give a finite number")
        return value

    return metric
