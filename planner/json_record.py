"""Records that are written as JSON."""

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what `plan.json` holds."""


def to_json(value: object) -> str:
    """Return a record as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()
