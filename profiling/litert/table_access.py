"""What tables say, whatever of it is missing: types, shapes, names, the graphs that operators run."""

from collections.abc import Iterator, Sequence
from typing import Any

from profiling.litert.flatbuffer import BUILTIN_NAMES
from profiling.printable_text import shown as printable

OPTIONAL = -1  # an input that is left out
_CUSTOM = 32
_FLEX = "Flex"  # operators of TensorFlow itself begin so


def op_type(code: Any) -> str:
    """Return the name of an operator's type."""
    number = builtin_code(code)
    if number == _CUSTOM:
        return text_of(code.customCode) or "CUSTOM"
    return BUILTIN_NAMES.get(number, f"operator {number}")


def builtin_code(code: Any) -> int:
    """Return the number of an operator's type: newer ones do not fit the old field."""
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def is_custom(code: Any) -> bool:
    """Whether an operator is none of LiteRT's own."""
    return builtin_code(code) == _CUSTOM


def needs_flex(kind: str) -> bool:
    """Whether an operator is TensorFlow's, which LiteRT runs through its Flex delegate only."""
    return kind.startswith(_FLEX)


def tensors_of(indices: Any) -> list[int]:
    """Return the tensors that an operator or graph names, without what is left out."""
    return [int(index) for index in listed(indices) if index != OPTIONAL]


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Return the shape of a tensor's table."""
    return tuple(int(size) for size in listed(tensor.shape))


def subgraph_fields(operator: Any) -> Iterator[tuple[Any, str]]:
    """Yield the options of an operator that name graphs it runs, and the field that does."""
    for options in (operator.builtinOptions, operator.builtinOptions2):
        for field in vars(options) if options is not None else ():
            if field == "subgraph" or field.endswith(("SubgraphIndex", "SubgraphIndices")):
                yield options, field


def named_subgraphs(options: Any, field: str) -> list[int]:
    """Return the graphs that a field of options names."""
    value = getattr(options, field)
    indices = listed(value) if not isinstance(value, int) else [value]
    return [int(index) for index in indices if index != OPTIONAL]


def reached_operators(tables: Any, operators: Sequence[Any]) -> Iterator[Any]:
    """Yield operators and all those of the graphs that they run."""
    pending, seen = list(operators), set[int]()
    while pending:
        operator = pending.pop()
        yield operator
        for options, field in subgraph_fields(operator):
            for subgraph in set(named_subgraphs(options, field)) - seen:
                seen.add(subgraph)
                pending += listed(tables.subgraphs[subgraph].operators)


def listed(values: Any) -> Sequence[Any]:
    """Return a vector of a table; an empty one reads as None or 0."""
    return () if values is None or isinstance(values, int) else values


def text_of(name: Any) -> str:
    """Return a name as it can be shown; empty if there is none."""
    return printable((name or b"").decode("utf-8", "backslashreplace"))


def raw_name(graph: Any, tensor: int) -> str:
    """Return a tensor's name in the file, or its number if it has none."""
    return text_of(graph.tensors[tensor].name) or f"tensor_{tensor}"
