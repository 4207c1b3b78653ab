"""How LiteRT computes an operator: what a mode does to its weights and activations."""

from dataclasses import dataclass
from enum import Enum

from profiling.precision import Precision


class WeightUse(Enum):
    """What is done with an operator's weights when it runs."""

    AS_THEY_ARE = "as they are"
    BESIDE_INTEGERS = "integers beside integer activations"
    BESIDE_ROUNDED = "integers beside activations that are rounded in each run"
    UNPACKED = "unpacked to float32 first"


@dataclass(frozen=True, slots=True)
class Mode:
    """A way to compute an operator.

    Parameters
    ----------
    weight_type, activation_type
        Element types in the file.
    """

    name: str
    weight_type: str
    activation_type: str
    weight_use: WeightUse

    @property
    def is_static(self) -> bool:
        """Whether activations are integers in the file, so that ranges from samples are needed."""
        return self.weight_use is WeightUse.BESIDE_INTEGERS

    @property
    def weight_bits(self) -> int:
        """Bits of a weight in the file."""
        return int(self.weight_type.removeprefix("float").removeprefix("int"))

    @property
    def activation_bits(self) -> int:
        """Bits of an activation in the file."""
        return int(self.activation_type.removeprefix("float").removeprefix("int"))


FP32 = Mode(Precision.FP32, "float32", "float32", WeightUse.AS_THEY_ARE)
INT8 = Mode(Precision.INT8, "int8", "int8", WeightUse.BESIDE_INTEGERS)
INT16 = Mode(Precision.INT16, "int8", "int16", WeightUse.BESIDE_INTEGERS)
DYNAMIC_INT8 = Mode(Precision.INT8_DYNAMIC, "int8", "float32", WeightUse.BESIDE_ROUNDED)
DYNAMIC_INT4 = Mode(Precision.INT4_DYNAMIC, "int4", "float32", WeightUse.BESIDE_ROUNDED)
WEIGHT_INT8 = Mode(Precision.WEIGHTS_INT8, "int8", "float32", WeightUse.UNPACKED)
WEIGHT_INT4 = Mode(Precision.WEIGHTS_INT4, "int4", "float32", WeightUse.UNPACKED)
FLOAT16 = Mode(Precision.FLOAT16, "float16", "float32", WeightUse.UNPACKED)
MODES = (FP32, INT8, INT16, DYNAMIC_INT8, DYNAMIC_INT4, WEIGHT_INT8, WEIGHT_INT4, FLOAT16)
