"""The names of what units compute in and what tensors cross links as."""

from enum import StrEnum


class Precision(StrEnum):
    """How a unit computes: fp32 and static integers everywhere, the others where a runtime has them."""

    FP32 = "fp32"
    INT8 = "int8"
    INT16 = "int16"  # 16-bit activations, 8-bit weights
    INT8_QOPERATOR = "int8-qoperator"  # the numbers of int8, from operators on integers in the file
    INT8_DYNAMIC = "int8-dynamic"  # 8-bit weights, activations rounded in each run
    INT4_DYNAMIC = "int4-dynamic"  # the same with 4-bit weights
    WEIGHTS_INT8 = "weights-int8"  # 8-bit weights, computed in float
    WEIGHTS_INT4 = "weights-int4"
    FLOAT16 = "float16"  # weights of half precision

    @property
    def is_static(self) -> bool:
        """Whether tensors beside the unit are integers, too, which ranges from samples say how to round."""
        return self in STATIC

    @property
    def numbers(self) -> "Precision":
        """The precision whose numbers these are: its own, but where another is written in the file only.

        Units in two precisions with the same numbers make the same noise, and hand tensors to each other as
        they are.

        Examples
        --------
        >>> Precision.INT8_QOPERATOR.numbers.value, Precision.INT16.numbers.value
        ('int8', 'int16')
        """
        return Precision.INT8 if self is Precision.INT8_QOPERATOR else self


STATIC = (Precision.INT8, Precision.INT16, Precision.INT8_QOPERATOR)
"""The precisions in which tensors between units are integers, too."""
DEFAULT_PRECISIONS = (Precision.FP32, Precision.INT8)
"""Those of a device that is not measured here, where a scenario names none."""
OFFERED = (
    *STATIC,
    Precision.INT8_DYNAMIC,
    Precision.WEIGHTS_INT8,
    Precision.WEIGHTS_INT4,
    Precision.FLOAT16,
)
"""The precisions of ONNX Runtime besides fp32."""


class Wire(StrEnum):
    """How a float tensor can be written for a link, apart from what its units compute in."""

    FLOAT16 = "float16"
    UINT8 = "uint8"  # affine, over the tensor's range
