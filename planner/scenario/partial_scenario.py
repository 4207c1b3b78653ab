"""What can be read of a scenario that has faults, so that the rest of it is checked in the same go."""

import json
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from planner.scenario.validation_messages import part_in

P = TypeVar("P", bound=BaseModel)


def read_partially(part_type: type[P], content: object) -> P:
    """Return a part of a scenario with the values that are right, and defaults for the others.

    Text that is wrong is kept, since others may name it; what is required and not there is empty. Rules
    between the keys of a part are not checked.
    """
    values = content if isinstance(content, dict) else {}
    fields = part_type.model_fields.items()
    return part_type.model_construct(
        _fields_set=None,
        **{name: _value(field, values.get(field.alias or name)) for name, field in fields},
    )


def _value(field: FieldInfo, value: object) -> Any:
    inner = part_in(field.annotation)
    if inner is not None and field.annotation is inner:
        return read_partially(inner, value)
    if inner is not None and get_origin(field.annotation) is tuple and isinstance(value, list):
        return tuple(read_partially(inner, item) for item in value)
    if get_origin(field.annotation) is dict and isinstance(value, dict):
        value_type = get_args(field.annotation)[1]
        return {key: item for key, item in value.items() if _is_right(value_type, item)}
    # The field's bounds belong to what is right.
    constrained_type: Any = (
        Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    )
    if value is not None and _is_right(constrained_type, value):
        return TypeAdapter(constrained_type).validate_json(json.dumps(value))
    return _stand_in(field, value)


def _is_right(value_type: Any, value: object) -> bool:
    try:
        TypeAdapter(value_type).validate_json(json.dumps(value))
    except ValidationError:
        return False
    return True


def _stand_in(field: FieldInfo, value: object) -> Any:
    """Return what stands for a value that is wrong or missing."""
    types = (field.annotation,) if field.annotation is str else get_args(field.annotation)
    if isinstance(value, str) and str in types and get_origin(field.annotation) not in (dict, tuple):
        return value
    inner = part_in(field.annotation)
    if isinstance(value, dict) and inner is not None and get_origin(field.annotation) not in (dict, tuple):
        return read_partially(inner, value)
    if not field.is_required():
        return field.get_default(call_default_factory=True)
    return "" if field.annotation is str else ()
