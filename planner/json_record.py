"""Records that are written as JSON."""

from math import inf
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    Unbounded = float
else:
    Unbounded = float | None
"""A number that may be infinite. JSON has no infinity: null stands for it, and records read it back."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what `plan.json` holds."""


def restore_infinite(record: msgspec.Struct, *names: str) -> None:
    """Set `Unbounded` fields that were read as null, or such values of a dict, to infinity."""
    for name in names:
        value = getattr(record, name)
        if value is None:
            msgspec.structs.force_setattr(record, name, inf)
        elif isinstance(value, dict):
            restored = {key: inf if one is None else one for key, one in value.items()}
            msgspec.structs.force_setattr(record, name, restored)


def to_json(value: object) -> str:
    """Return a record as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
