"""The names of what units compute in and what tensors cross links as."""

from enum import StrEnum


class Precision(StrEnum):
    """How a unit computes."""

    FP32 = "fp32"
    INT8 = "int8"
    INT16 = "int16"  # 16-bit activations, 8-bit weights


class Wire(StrEnum):
    """How a float tensor can be written for a link, apart from what its units compute in."""

    FLOAT16 = "float16"
    UINT8 = "uint8"  # affine, over the tensor's range
