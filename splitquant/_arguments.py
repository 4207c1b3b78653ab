"""Arguments from callers in Python, who may give anything: the command checks its own as it reads them."""

import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from planner.errors import UsageError
from planner.scenario.model_paths import expanded
from profiling.progress import Progress, silent


def real(option: str, value: Any) -> float:
    """Return a number that a caller gives.

    Raises
    ------
    UsageError
        If it is none: text, say, or a truth value.
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise UsageError(f"{option} {value!r}: must be a number")
    return float(value)


def whole(option: str, value: Any) -> int:
    """Return a whole number that a caller gives.

    Raises
    ------
    UsageError
        If it is none: 2.5, say, or text.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise UsageError(f"{option} {value!r}: must be a whole number")
    return int(value)


def path_of(name: str, value: Any) -> Path:
    """Return a path that a caller gives, the home folder for a leading ~.

    Raises
    ------
    UsageError
        If it is none.
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name}: {described(value)} is no path")
    return expanded(value)


def progress_of(value: Any) -> Progress:
    """Return what is to be called with how far a call is; None is nothing.

    Raises
    ------
    UsageError
        If it cannot be called.
    """
    if value is None:
        return silent
    if not callable(value):
        raise UsageError(
            f"progress: {described(value)} cannot be called; give a function of what, done and total"
        )
    called: Progress = value
    return called


def described(value: Any) -> str:
    """Return in words what a value is that a caller gave for something else."""
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'AEIOUaeiou' else 'a'} {kind}"
