"""Values in place of those that a scenario has, and Python values as a scenario holds them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from ruamel.yaml.error import YAMLError

from planner.errors import ScenarioError
from planner.scenario.yaml_text import load_yaml

_EXAMPLES = {"--set": "links.0.latency_ms=2", "--conversion": "weights=imagenet"}
_DEEPEST = 32  # parts of a key: far more than a scenario's keys have
_DEEPEST_VALUE = 64  # as of YAML
_MOST_BITS = 4096  # of a whole number, as of YAML


@dataclass(frozen=True, slots=True)
class Change:
    """A value in place of one of a scenario.

    Parameters
    ----------
    key_path
        Keys, and places in lists as text.
    where
        What the user wrote, for messages.
    """

    key_path: tuple[str, ...]
    value: object
    where: str


def parse_setting(setting: str, option: str = "--set") -> Change:
    """Return what a `key.path=value` setting changes, its value in YAML.

    Raises
    ------
    ScenarioError
        If it is no such setting.

    Examples
    --------
    >>> parse_setting("links.0.latency_ms=2").key_path
    ('links', '0', 'latency_ms')
    """
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ScenarioError(f"{option} {setting}: write KEY=VALUE, such as {_EXAMPLES[option]}")
    try:
        value = load_yaml(text)
    except YAMLError as exc:
        raise ScenarioError(f"{option} {setting}: the value is not valid YAML") from exc
    return Change(tuple(key.split(".")), value, f"{option} {setting}")


def changes_of(values: Mapping[str, object]) -> list[Change]:
    """Return the changes that keyword arguments stand for.

    Keys of keys are joined by dots, or by two underscores where there is no dot.

    Raises
    ------
    ScenarioError
        If a value is none that a scenario can hold.

    Examples
    --------
    >>> [change.key_path for change in changes_of({"links__0__latency_ms": 2, "placement.pin.a__b": "x"})]
    [('links', '0', 'latency_ms'), ('placement', 'pin', 'a__b')]
    """
    return [
        Change(tuple(key.split("." if "." in key else "__")), plain_value(value, key), key)
        for key, value in values.items()
    ]


def apply_changes(content: dict[str, object], changes: Iterable[Change]) -> None:
    """Put values into a scenario's content.

    Raises
    ------
    ScenarioError
        If there is no place for one.
    """
    for change in changes:
        _apply(content, change)


def _apply(content: dict[str, object], change: Change) -> None:
    *parents, last = change.key_path
    if len(parents) > _DEEPEST:
        raise ScenarioError(f"{change.where}: a key has at most {_DEEPEST} parts")
    parent: object = content
    for step in parents:
        parent = _child(parent, step, change.where)
    if isinstance(parent, list):
        parent[_place(parent, last, change.where)] = change.value
    elif isinstance(parent, dict):
        parent[last] = change.value
    else:
        raise ScenarioError(f"{change.where}: {'.'.join(parents)} holds no keys")


def _child(parent: object, step: str, where: str) -> object:
    if isinstance(parent, dict):
        return parent.setdefault(step, {})
    if isinstance(parent, list):
        return parent[_place(parent, step, where)]
    raise ScenarioError(f"{where}: there is no {step!r}")


def _place(entries: list[object], step: str, where: str) -> int:
    """Return which entry of a list a step names: by its place, or by its name if only one has that."""
    if step in map(str, range(len(entries))):
        return int(step)
    names = [_entry_name(entry) for entry in entries]
    if names.count(step) == 1:
        return names.index(step)
    known = ", ".join(name for name in names if name is not None)
    by_name = f" or named {known}" if known else ""
    raise ScenarioError(
        f"{where}: there is no {step!r}; it has {len(entries)} entries, counted from 0{by_name}"
    )


def _entry_name(entry: object) -> str | None:
    """Return the name of a device or model, or that of a link, FROM-TO."""
    if not isinstance(entry, dict):
        return None
    if "name" in entry:
        return str(entry["name"])
    return f"{entry['from']}-{entry['to']}" if entry.keys() >= {"from", "to"} else None


def plain_value(value: Any, where: str, depth: int = 0) -> Any:
    """Return a Python value as JSON has it: numbers of NumPy, paths, tuples and sets as what they stand for.

    Raises
    ------
    ScenarioError
        If it, or what it holds, is none that a scenario can hold.
    """
    if depth > _DEEPEST_VALUE:
        raise ScenarioError(f"{where}: is nested more than {_DEEPEST_VALUE} levels deep")
    if hasattr(value, "tolist"):  # an array or a number of NumPy
        value = value.tolist()
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Mapping):
        return {str(key): plain_value(item, f"{where}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence | AbstractSet) and not isinstance(value, str | bytes | bytearray):
        return [plain_value(item, f"{where}.{n}", depth + 1) for n, item in enumerate(value)]
    return _plain_scalar(value, where)


def _plain_scalar(value: Any, where: str) -> Any:
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ScenarioError(f"{where}: a number has too many digits ({_MOST_BITS} bits are the most)")
    if value is None or isinstance(value, str | int | float):
        return value
    kind = type(value).__name__
    raise ScenarioError(f"{where}: a {kind} is no value here; give text, a number, a list or a mapping")
