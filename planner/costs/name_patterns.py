"""What a scenario says of units and tensors by name or pattern."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeVar

from planner.errors import ScenarioError

_Value = TypeVar("_Value")


def values_by_name(key: str, by_pattern: Mapping[str, _Value], names: Sequence[str]) -> dict[str, _Value]:
    """Return name -> value for the names that patterns match; a name itself counts more than a pattern.

    Parameters
    ----------
    key
        Of the scenario, for messages.

    Raises
    ------
    ScenarioError
        If a pattern matches nothing, or two patterns say different things of one name.

    Examples
    --------
    >>> values_by_name("placement.pin", {"block/*": "server", "block/a": "phone"}, ["block/a", "block/b"])
    {'block/a': 'phone', 'block/b': 'server'}
    """
    # Of what is named itself, patterns say nothing; a name such as `a[1]` is no pattern.
    values = {name: value for name, value in by_pattern.items() if name in names}
    for pattern in [pattern for pattern in by_pattern if pattern not in values]:
        value = by_pattern[pattern]
        matched = [name for name in names if fnmatchcase(name, pattern)]
        if not matched:
            close = get_close_matches(pattern, names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else "; plan inspect --json lists the units"
            raise ScenarioError(f"{key}: nothing is named {pattern!r}{hint}")
        undecided = [name for name in matched if name not in by_pattern]
        disputed = next((name for name in undecided if values.get(name, value) != value), None)
        if disputed is not None:
            raise ScenarioError(
                f"{key}: {pattern!r} and another pattern say different things of {disputed!r}"
            )
        values |= dict.fromkeys(undecided, value)
    return values
