"""JSON Schemas, and records that are written as JSON, as pages of the reference."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import inspect

Schema = Mapping[str, Any]
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}
_FIRST = ("Scenario", "ModelsSpec", "ProblemSpec")  # the parts that are whole files
_HUGE = 1e9  # a bound that no value comes near to


def schema_sections(schema: Schema) -> Iterator[str]:
    """Yield a section for each part of a schema: its keys, their types, defaults and meanings."""
    parts = {**_roots(schema), **schema["$defs"]}
    for name in (
        *(name for name in _FIRST if name in parts),
        *(name for name in parts if name not in _FIRST),
    ):
        part = parts[name]
        if "properties" not in part:
            continue
        yield f"## {_title(name)}"
        yield " ".join(part.get("description", "").split())
        required = set(part.get("required", ()))
        rows = []
        for key, value in part["properties"].items():
            cells = (_type(value, schema), _default(key, value, required), _meaning(value, schema))
            rows.append(" | ".join((f"| `{key}`", *cells)) + " |")
        yield "\n".join(("| key | type | default | meaning |", "|---|---|---|---|", *rows))


def record_section(title: str, record: type) -> str:
    """Return a section with every key of a record; `[]` is a list's item, `{}` a value by a free name."""
    rows = [f"| `{path}` | {kind} |" for path, kind in _keys(inspect.type_info(record), "")]
    return "\n".join((f"## {title}", "", "| key | type |", "|---|---|", *rows))


def _roots(schema: Schema) -> Mapping[str, Schema]:
    return {} if "anyOf" in schema else {str(schema["title"]): schema}


def _title(name: str) -> str:
    return name.removesuffix("Spec")


def _type(value: Schema, schema: Schema) -> str:
    """Return a type as people say it; parts are links to their sections."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        part = schema["$defs"][name]
        return f"[{_title(name)}](#{_title(name).lower()})" if "properties" in part else _type(part, schema)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in value:
            kinds = (_type(one, schema) for one in value[union] if one.get("type") != "null")
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in value or "const" in value:
        return ", ".join(f"`{one}`" for one in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        return _array(value, schema)
    if value.get("type") == "object":
        values = value.get("additionalProperties")
        return f"name: {_type(values, schema)}" if isinstance(values, Mapping) else "mapping"
    bounds = [
        f"{word} {value[key]:g}" for key, word in _BOUNDS.items() if key in value and abs(value[key]) < _HUGE
    ]
    return " ".join(filter(None, (value.get("type", "any"), " and ".join(bounds))))


def _array(value: Schema, schema: Schema) -> str:
    if "prefixItems" in value:
        return "[" + ", ".join(_type(one, schema) for one in value["prefixItems"]) + "]"
    return f"list of {_type(value['items'], schema)}"


def _default(key: str, value: Schema, required: Iterable[str]) -> str:
    if key in required:
        return "**required**"
    default = value.get("default")
    if isinstance(default, Mapping | list):
        return f"`{_compact(default)}`" if default and not isinstance(default, Mapping) else ""
    return "" if default is None else f"`{_compact(default)}`"


def _compact(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_compact, value)) + "]"
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{key}: {_compact(one)}" for key, one in value.items() if one is not None) + "}"
        )
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


def _meaning(value: Schema, schema: Schema) -> str:
    """Return a key's description, or that of the part that it holds."""
    text = value.get("description", "")
    if not text:
        name = value.get("items", value).get("$ref", "").rpartition("/")[2]
        text = schema["$defs"].get(name, {}).get("description", "")
    return " ".join(text.split()).replace("|", "\\|")


def _keys(kind: inspect.Type, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(kind, inspect.StructType | inspect.DataclassType):
        for field in kind.fields:
            below = f"{path}.{field.encode_name}".removeprefix(".")
            yield below, _record_type(field.type)
            yield from _keys(field.type, below)
    elif isinstance(kind, inspect.VarTupleType | inspect.ListType):
        yield from _keys(kind.item_type, f"{path}[]")
    elif isinstance(kind, inspect.DictType):
        yield from _keys(kind.value_type, f"{path}{{}}")
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _keys(one, path)


def _record_type(kind: inspect.Type) -> str:
    """Return the kind of a JSON value."""
    names = {
        inspect.StrType: "text", inspect.BoolType: "true or false", inspect.IntType: "integer",
        inspect.FloatType: "number", inspect.NoneType: "null", inspect.EnumType: "text",
    }  # fmt: skip
    if type(kind) in names:
        return names[type(kind)]
    if isinstance(kind, inspect.UnionType):
        return " or ".join(dict.fromkeys(_record_type(one) for one in kind.types))
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return f"list of {_record_type(kind.item_type)}"
    if isinstance(kind, inspect.TupleType):
        return "[" + ", ".join(_record_type(one) for one in kind.item_types) + "]"
    if isinstance(kind, inspect.DictType):
        return f"name: {_record_type(kind.value_type)}"
    return "object"
