"""What a scenario says of units and tensors by name or pattern."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeVar

from planner.errors import ScenarioError

UNITS_LISTED = "plan inspect --json lists the units"
_Value = TypeVar("_Value")


def values_by_name(
    key: str, by_pattern: Mapping[str, _Value], names: Sequence[str], listed: str = UNITS_LISTED
) -> dict[str, _Value]:
    """Return name -> value for the names that patterns match; a name itself counts more than a pattern.

    Parameters
    ----------
    key
        Of the scenario, for messages.
    listed
        Where the names stand, for messages.

    Raises
    ------
    ScenarioError
        If a pattern matches nothing, or two patterns say different things of one name.

    Examples
    --------
    >>> values_by_name("placement.pin", {"block/*": "server", "block/a": "phone"}, ["block/a", "block/b"])
    {'block/a': 'phone', 'block/b': 'server'}
    """
    unknown = [
        pattern
        for pattern in by_pattern
        if pattern not in names and not any(fnmatchcase(name, pattern) for name in names)
    ]
    if unknown:
        raise ScenarioError(f"{key}: nothing is named {_unknown_text(unknown, names, listed)}")
    # Of what is named itself, patterns say nothing; a name such as `a[1]` is no pattern.
    values = {name: value for name, value in by_pattern.items() if name in names}
    for pattern in [pattern for pattern in by_pattern if pattern not in values]:
        value = by_pattern[pattern]
        matched = [name for name in names if fnmatchcase(name, pattern)]
        undecided = [name for name in matched if name not in by_pattern]
        disputed = next((name for name in undecided if values.get(name, value) != value), None)
        if disputed is not None:
            raise ScenarioError(
                f"{key}: {pattern!r} and another pattern say different things of {disputed!r}"
            )
        values |= dict.fromkeys(undecided, value)
    return values


def _unknown_text(unknown: Sequence[str], names: Sequence[str], where: str) -> str:
    """Return names that there are not, each with the one that was meant, as far as that can be told."""
    meant = [_meant_by(pattern, names) for pattern in unknown]
    if len(unknown) == 1:
        (close,) = meant
        hint = f"did you mean {close!r}?" if close else where
        return f"{unknown[0]!r}; {hint}"
    pairs = zip(unknown, meant, strict=True)
    listed = [f"{name!r} (did you mean {close!r}?)" if close else repr(name) for name, close in pairs]
    return f"{', '.join(listed)}; {where}"


def _meant_by(pattern: str, names: Sequence[str]) -> str:
    """Return the name that is most like one that there is not; empty if none is like it."""
    # What was made of a node is named after it.
    made = next((name for name in names if name.startswith(f"{pattern}/")), "")
    return made or next(iter(get_close_matches(pattern, names, n=1)), "")
