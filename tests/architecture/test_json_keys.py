"""What others read as JSON keeps its keys: they are only added, whatever the classes are called."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
from json_records import RECORDS
from msgspec import inspect

KEYS = Path(__file__).parent / "json_keys.txt"


def keys(kind: inspect.Type, path: str) -> Iterator[str]:
    """Yield the path of every key below a type; `[]` is a list's item, `{}` a value by a free name."""
    if isinstance(kind, inspect.StructType | inspect.DataclassType):
        for field in kind.fields:
            yield f"{path} {field.encode_name}"
            yield from keys(field.type, f"{path} {field.encode_name}")
    elif isinstance(kind, inspect.VarTupleType | inspect.ListType):
        yield from keys(kind.item_type, f"{path}[]")
    elif isinstance(kind, inspect.DictType):
        yield from keys(kind.value_type, f"{path}{{}}")
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from keys(one, path)


def test_no_key_of_what_is_read_as_json_goes_away_or_changes_its_name(request):
    found = [key for name, kind in RECORDS.items() for key in keys(inspect.type_info(kind), f"{name}:")]
    if request.config.getoption("--golden"):
        KEYS.write_text("".join(f"{key}\n" for key in found), encoding="utf-8")
    known = KEYS.read_text(encoding="utf-8").splitlines()
    assert len(known) > 200
    assert [key for key in known if key not in found] == []
    assert [key for key in found if key not in known] == [], "new keys: write them down with --golden"


def test_a_key_inside_lists_and_names_is_found():
    class Inner(msgspec.Struct):
        x: int

    class Outer(msgspec.Struct):
        rows: tuple[Inner, ...] | None
        named: dict[str, Inner]

    found = list(keys(inspect.type_info(Outer), "o:"))
    assert found == ["o: rows", "o: rows[] x", "o: named", "o: named{} x"]
