"""Words for what is wrong with a scenario: which key, and what would be right there."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

_MOST_FAULTS = 50  # told at once
_MEMBERS = ("LabelTable", "float", "str", "tuple[]")  # of unions, in the places of errors


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at one place of a scenario: the keys and list positions that lead there."""

    place: tuple[str | int, ...]
    text: str


def describe_faults(
    errors: Iterable[Mapping[str, Any]], root: type[Any], unions: Collection[str]
) -> tuple[Fault, ...]:
    """Return the errors of a validation as faults, without those that only follow from others.

    Parameters
    ----------
    errors
        As pydantic lists them.
    root
        The model that was validated.
    unions
        Names of union members, which stand in places but are no keys.
    """
    listed = list(errors)
    found = [_describe(error, root, unions) for error in listed[:_MOST_FAULTS]]
    told = tuple(fault for fault in found if not _follows(fault, found))
    more = len(listed) - _MOST_FAULTS
    return (*told, Fault((), f"has {more} more faults")) if more > 0 else told


def _follows(fault: Fault, faults: list[Fault]) -> bool:
    """Return whether a list counts as too short only because its entries are wrong."""
    inside = [other for other in faults if other.place[: len(fault.place)] == fault.place]
    return fault.text.startswith("needs at least") and len(inside) > 1


def _describe(error: Mapping[str, Any], root: type[Any], unions: Collection[str]) -> Fault:
    place = tuple(p for p in error["loc"] if p not in _MEMBERS and p not in unions)
    place = tuple(p for p in place if not (isinstance(p, str) and p.startswith(("tuple[", "literal["))))
    kind, context, value = str(error["type"]), error.get("ctx") or {}, error.get("input")
    if kind == "extra_forbidden":
        return Fault(place, _unknown_key(str(place[-1]), _keys_at(place[:-1], root)))
    return Fault(place, _wording(kind, context, value) or f"{error['msg']}, got {value!r}")


def _unknown_key(key: str, known: Collection[str]) -> str:
    close = get_close_matches(key, known, n=1, cutoff=0.5)
    return "is not a known key" + (f"; did you mean {close[0]}?" if close else "; see `plan schema`")


def _wording(kind: str, context: Mapping[str, Any], value: object) -> str | None:
    signs = {"greater_than": ("gt", ">"), "greater_than_equal": ("ge", ">="), "less_than_equal": ("le", "<=")}
    if kind in signs:
        name, sign = signs[kind]
        return f"must be {sign} {context[name]:g}, got {value}"
    wanted = {
        "missing": "is required",
        "finite_number": f"must be finite, got {value}",
        "bool_type": f"must be true or false, got {value!r}",
        "float_type": f"must be a number, got {value!r}",
        "int_type": f"must be a whole number, got {value!r}",
        "string_type": f"must be text, got {value!r}",
        "value_error": str(context.get("error", "")),
        "literal_error": f"must be {context.get('expected')}, got {value!r}",
        "enum": f"must be {context.get('expected')}, got {value!r}",
        "too_short": f"needs at least {context.get('min_length')} entry",
        "too_long": f"may have at most {context.get('max_length')} entries",
        "model_type": f"must be a mapping of keys, got {value!r}",
        "dict_type": f"must be a mapping of keys, got {value!r}",
        "tuple_type": f"must be a list, got {value!r}",
        "string_pattern_mismatch": f"{_pattern_words(context)}, got {value!r}",
    }
    return wanted.get(kind)


def _pattern_words(context: Mapping[str, Any]) -> str:
    if ":" in str(context.get("pattern")):
        return "must be module:name"
    return "may hold only letters, digits and _ . -"


def _keys_at(place: tuple[str | int, ...], root: type[Any]) -> list[str]:
    """Return the keys that the part of a scenario at some place has."""
    part = root
    for step in place:
        fields = {field.alias or name: field.annotation for name, field in part.model_fields.items()}
        part = part_in(fields.get(str(step))) or part
    return [field.alias or name for name, field in part.model_fields.items()]


def part_in(annotation: object) -> type[Any] | None:
    """Return the part that a type is, or holds as `tuple[Part, ...]`, `Part | None` and the like."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    return next((found for inner in get_args(annotation) if (found := part_in(inner))), None)
