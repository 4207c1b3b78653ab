import json
from math import inf

import msgspec
import pytest

from planner.json_record import Record, Unbounded, restore_infinite, to_json


class _Inner(Record, frozen=True, kw_only=True):
    name: str
    size_bytes: int = msgspec.field(name="bytes")


class _Outer(Record, frozen=True, kw_only=True):
    rows: tuple[_Inner, ...]
    value: float | None = None


def test_a_record_goes_through_json_and_back():
    record = _Outer(rows=(_Inner(name='a "\n\u202e', size_bytes=2**53),), value=0.1 + 0.2)
    text = to_json(record)
    assert msgspec.json.decode(text, type=_Outer) == record
    assert json.loads(text) == {
        "rows": [{"name": 'a "\n\u202e', "bytes": 2**53}],
        "value": 0.30000000000000004,
    }
    assert text.splitlines()[1].startswith(' "rows"')


class _Errors(Record, frozen=True, kw_only=True):
    largest: Unbounded
    of_outputs: dict[str, Unbounded]

    def __post_init__(self) -> None:
        restore_infinite(self, "largest", "of_outputs")


def test_infinite_numbers_go_through_json_as_null():
    record = _Errors(largest=inf, of_outputs={"a": inf, "b": 0.5})
    text = to_json(record)
    assert json.loads(text) == {"largest": None, "of_outputs": {"a": None, "b": 0.5}}
    assert msgspec.json.decode(text, type=_Errors) == record


def test_a_record_does_not_change():
    with pytest.raises(AttributeError):
        _Outer(rows=()).value = 1.0
