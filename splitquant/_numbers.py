"""Numbers from callers in Python, who may give anything: the command checks its own as it reads them."""

from numbers import Integral, Real
from typing import Any

from planner.errors import UsageError


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
