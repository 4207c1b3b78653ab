"""LiteRT's element types: their names, NumPy's and ONNX's, and how many bits an element has."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

_IN_NUMPY = frozenset(
    {"float16", "float32", "float64", "bool", "int8", "int16", "int32", "int64", "complex64", "complex128"}
    | {"uint8", "uint16", "uint32", "uint64"}
)


@dataclass(frozen=True, slots=True)
class ElementType:
    """An element type.

    Parameters
    ----------
    name
        As NumPy calls it where it has it.
    onnx
        ONNX's number for it, 0 if it has none.
    bits
        Of an element where it is stored; 0 if they differ from element to element, or it is a handle.
    """

    name: str
    onnx: int
    bits: int

    @property
    def can_be_handed_over(self) -> bool:
        """Whether a tensor of it can leave a stage and enter another as an array."""
        return self.name in _IN_NUMPY

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """NumPy's type of it."""
        return np.dtype(self.name)


# By the numbers of the schema's TensorType.
ELEMENT_TYPES = {
    0: ElementType("float32", TensorProto.FLOAT, 32),
    1: ElementType("float16", TensorProto.FLOAT16, 16),
    2: ElementType("int32", TensorProto.INT32, 32),
    3: ElementType("uint8", TensorProto.UINT8, 8),
    4: ElementType("int64", TensorProto.INT64, 64),
    5: ElementType("string", TensorProto.STRING, 0),
    6: ElementType("bool", TensorProto.BOOL, 8),
    7: ElementType("int16", TensorProto.INT16, 16),
    8: ElementType("complex64", TensorProto.COMPLEX64, 64),
    9: ElementType("int8", TensorProto.INT8, 8),
    10: ElementType("float64", TensorProto.DOUBLE, 64),
    11: ElementType("complex128", TensorProto.COMPLEX128, 128),
    12: ElementType("uint64", TensorProto.UINT64, 64),
    13: ElementType("resource", 0, 0),
    14: ElementType("variant", 0, 0),
    15: ElementType("uint32", TensorProto.UINT32, 32),
    16: ElementType("uint16", TensorProto.UINT16, 16),
    17: ElementType("int4", TensorProto.INT4, 4),
    18: ElementType("bfloat16", TensorProto.BFLOAT16, 16),
    19: ElementType("int2", TensorProto.INT2, 2),
    20: ElementType("uint4", TensorProto.UINT4, 4),
    21: ElementType("float8_e4m3fn", TensorProto.FLOAT8E4M3FN, 8),
    22: ElementType("float8_e5m2", TensorProto.FLOAT8E5M2, 8),
}
