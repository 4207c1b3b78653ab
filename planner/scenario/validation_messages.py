"""Messages about faults of a scenario: which key, and what would be right there."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, get_args

from planner.scenario.field_types import AUTO, PRECISIONS_BY_NAME
from planner.scenario.metric_schema import COCO_AP

_MOST_FAULTS = 50  # shown at once
# A wrong value may be as long as the file.
_TEXT = "must be text"
_VALUE = Repr()
_VALUE.maxstring = _VALUE.maxother = 100
_MEMBERS = (
    "LabelTable",
    "CocoApSpec",
    "constrained-str",
    "float",
    "str",
    "tuple[]",
)  # of unions, in the paths of errors


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one value of a scenario, and the keys and list indices that lead to it."""

    key_path: tuple[str | int, ...]
    text: str


def describe_faults(
    errors: Iterable[Mapping[str, Any]],
    root: type[Any],
    unions: Collection[str],
    schema_command: str = "plan schema",
) -> tuple[Fault, ...]:
    """Return the errors of a validation as faults, without those that only follow from others.

    Parameters
    ----------
    errors
        As pydantic lists them.
    root
        The model that was validated.
    unions
        Names of union members, which stand in the paths of errors but are no keys.
    schema_command
        What shows all keys.
    """
    all_errors = list(errors)
    faults = [_describe(error, root, unions, schema_command) for error in all_errors[:_MOST_FAULTS]]
    independent = tuple(fault for fault in faults if not _follows(fault, faults))
    left_out = len(all_errors) - _MOST_FAULTS
    return (*independent, Fault((), f"has {left_out} more faults")) if left_out > 0 else independent


def _follows(fault: Fault, faults: list[Fault]) -> bool:
    """Return whether a list is too short, or a mapping no text, only because what is in it is wrong."""
    within = [other for other in faults if other.key_path[: len(fault.key_path)] == fault.key_path]
    if fault.text.startswith(_TEXT):
        # Of a value that may be text or a mapping, and is one with a fault of its own.
        return any(len(other.key_path) > len(fault.key_path) for other in within)
    return fault.text.startswith("needs at least") and len(within) > 1


def _describe(
    error: Mapping[str, Any], root: type[Any], unions: Collection[str], schema_command: str
) -> Fault:
    key_path = tuple(p for p in error["loc"] if p not in _MEMBERS and p not in unions)
    key_path = tuple(p for p in key_path if not (isinstance(p, str) and p.startswith(("tuple[", "literal["))))
    error_type, context, value = str(error["type"]), error.get("ctx") or {}, error.get("input")
    if error_type == "extra_forbidden":
        return Fault(key_path, _unknown_key(str(key_path[-1]), _keys_at(key_path[:-1], root), schema_command))
    text = _expectation(error_type, context, value) or f"{error['msg']}, got {_VALUE.repr(value)}"
    if error_type == "tuple_type" and PRECISIONS_BY_NAME in error["loc"]:
        text = text.replace("a list", f"{AUTO} or a list such as [fp32, int8]")
    if error_type == "enum" and PRECISIONS_BY_NAME in error["loc"] and value == AUTO:
        text = f"must be the name of a precision: {AUTO} stands alone, as `precisions: {AUTO}`"
    return Fault(key_path, text)


def _unknown_key(key: str, known_keys: Collection[str], schema_command: str) -> str:
    close = get_close_matches(key, known_keys, n=1, cutoff=0.5)
    return "is not a known key" + (f"; did you mean {close[0]}?" if close else f"; see `{schema_command}`")


def _expectation(error_type: str, context: Mapping[str, Any], value: object) -> str | None:
    signs = {
        "greater_than": ("gt", ">"),
        "greater_than_equal": ("ge", ">="),
        "less_than": ("lt", "<"),
        "less_than_equal": ("le", "<="),
    }
    if error_type in signs:
        name, sign = signs[error_type]
        return f"must be {sign} {context[name]:g}, got {_VALUE.repr(value)}"
    texts = {
        "missing": "is required",
        "finite_number": f"must be finite, got {_VALUE.repr(value)}",
        "bool_type": f"must be true or false, got {_VALUE.repr(value)}",
        "float_type": f"must be a number, got {_VALUE.repr(value)}",
        "int_type": f"must be a whole number, got {_VALUE.repr(value)}",
        "string_type": f"{_TEXT}, got {_VALUE.repr(value)}",
        "value_error": str(context.get("error", "")),
        "literal_error": f"must be {context.get('expected')}, got {_VALUE.repr(value)}",
        "enum": f"must be {context.get('expected')}, got {_VALUE.repr(value)}",
        "string_too_short": "must not be empty",
        "string_too_long": f"is longer than {context.get('max_length')} characters: {_VALUE.repr(value)}",
        "too_short": f"needs at least {context.get('min_length')} entry",
        "too_long": f"may have at most {context.get('max_length')} entries",
        "model_type": f"must be a mapping of keys, got {_VALUE.repr(value)}",
        "dict_type": f"must be a mapping of keys, got {_VALUE.repr(value)}",
        "tuple_type": f"must be a list, got {_VALUE.repr(value)}",
        "string_pattern_mismatch": f"{_pattern_words(context)}, got {_VALUE.repr(value)}",
    }
    return texts.get(error_type)


def _pattern_words(context: Mapping[str, Any]) -> str:
    pattern = str(context.get("pattern"))
    if ":" in pattern:
        return "must be module:name or coco_ap" if COCO_AP in pattern else "must be module:name"
    return "may hold only letters, digits and _ . -"


def _keys_at(key_path: tuple[str | int, ...], root: type[Any]) -> list[str]:
    """Return the keys that the part of a scenario at some path has."""
    part = root
    for step in key_path:
        fields = {field.alias or name: field.annotation for name, field in part.model_fields.items()}
        part = part_in(fields.get(str(step))) or part
    return [field.alias or name for name, field in part.model_fields.items()]


def part_in(annotation: object) -> type[Any] | None:
    """Return the part that a type is, or holds as `tuple[Part, ...]`, `Part | None` and the like."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    return next((part for inner in get_args(annotation) if (part := part_in(inner))), None)
