"""Which operators of a `.tflite` file compute on integers."""

from collections.abc import Iterator

from profiling.litert.load import parse_litert
from profiling.litert.table_access import tensors_of

_INTEGERS = frozenset({"int8", "uint8", "int16"})
_CONVERSIONS = frozenset({"QUANTIZE", "DEQUANTIZE"})


def operator_kinds(content: bytes) -> Iterator[tuple[str, bool]]:
    """Yield the type of each operator of a file, and whether it computes on integers.

    Its kernels are those that the file names: LiteRT moves no operator to another number type.
    """
    model = parse_litert(content, "the stage")
    for operator, kind in zip(model.operators, model.op_types, strict=True):
        types = {model.element_type(t).name for t in tensors_of(operator.inputs) if not model.is_constant(t)}
        yield kind, bool(types) and types <= _INTEGERS and kind not in _CONVERSIONS
