"""A model in memory, for whichever runtime: an ONNX one, or the bytes of a `.tflite` file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper

from profiling.onnx_io.input_shapes import dimensions
from profiling.runtime_names import LITERT, TENSORFLOW


@dataclass(frozen=True, slots=True)
class Tensor:
    """A value that flows between units, with its shape."""

    name: str
    shape: tuple[int, ...]
    elem_type: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def size_bytes(self) -> int:
        """Bytes in the source model's type."""
        return self.elements * helper.tensor_dtype_to_np_dtype(self.elem_type).itemsize

    @property
    def dtype(self) -> str:
        """Numpy name of the element type."""
        return str(helper.tensor_dtype_to_np_dtype(self.elem_type))

    @property
    def is_float(self) -> bool:
        """Whether the quantization tool can quantize it."""
        return self.elem_type == TensorProto.FLOAT


@dataclass(frozen=True, slots=True)
class Stage:
    """A `.tflite` model, or a part of one, as a file of its own.

    Parameters
    ----------
    operators
        Their numbers in the whole model, in running order.
    inputs, outputs
        Names of the whole model's tensors: the keys of the stage's signature.
    content
        The bytes of its `.tflite` file.
    tensors
        Shape and type of its inputs and outputs, by name.
    """

    operators: tuple[int, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    content: bytes
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def runtime(self) -> str:
        """What runs it."""
        return LITERT


@dataclass(frozen=True, slots=True)
class SavedModelStage(Stage):
    """A SavedModel without variables, or a part of one; `content` is that of its only file."""

    @property
    def runtime(self) -> str:
        """What runs it."""
        return TENSORFLOW


AnyModel = onnx.ModelProto | Stage


def onnx_model(model: AnyModel) -> onnx.ModelProto:
    """Return a model that has to be an ONNX one.

    Raises
    ------
    TypeError
        If it is not.
    """
    if isinstance(model, Stage):
        raise TypeError("a model of another runtime is no ONNX model")
    return model


def inputs_of(model: AnyModel) -> tuple[Tensor, ...]:
    """Return what a model reads; a dynamic dimension is 0."""
    if isinstance(model, Stage):
        return tuple(model.tensors[name] for name in model.inputs)
    return _tensors(model.graph.input)


def outputs_of(model: AnyModel) -> tuple[Tensor, ...]:
    """Return what a model gives; a dynamic dimension is 0."""
    if isinstance(model, Stage):
        return tuple(model.tensors[name] for name in model.outputs)
    return _tensors(model.graph.output)


def _tensors(values: Sequence[onnx.ValueInfoProto]) -> tuple[Tensor, ...]:
    return tuple(
        Tensor(value.name, tuple(d or 0 for d in dimensions(value)), value.type.tensor_type.elem_type)
        for value in values
    )
