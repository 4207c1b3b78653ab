"""What the process with TensorFlow is asked, and what it answers: the files between the two processes."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from profiling.arrays import Array, Feeds
from profiling.records.npz_files import write_npz

SEED = 0  # of random weights and samples, so that they are the same each time
ORDER, CONVERSION, FAILURE = "order.json", "conversion.json", "failure.txt"
MODEL, TFLITE_MODEL, SAVED_MODEL = "model.onnx", "model.tflite", "saved_model.pb"
SAMPLES, ANSWERS, REPRESENTATIVE = "samples.npz", "answers.npz", "representative.npz"


class SourceKind(StrEnum):
    """Where a model that is no ONNX file comes from."""

    APPLICATION = "application"  # of keras.applications, by name
    KERAS = "keras"  # .keras, .h5
    SAVED_MODEL = "saved_model"  # a folder
    OBJECT = "object"  # what module:name returns
    TFLITE = "tflite"


class TfliteQuantization(StrEnum):
    """What TensorFlow's converter quantizes while it writes a `.tflite` file."""

    NONE = "none"  # nothing; a quantization-aware model keeps its own scales
    DYNAMIC = "dynamic"  # int8 weights; activations in each run, by the ranges that they then have
    FLOAT16 = "float16"  # float16 weights
    FULL_INTEGER = "full_integer"  # int8 wherever there is a kernel, floats elsewhere and at the ends
    INTEGER_ONLY = "integer_only"  # integers throughout, at the ends too

    @property
    def needs_samples(self) -> bool:
        """Whether ranges of activations come from representative samples."""
        return self in (TfliteQuantization.FULL_INTEGER, TfliteQuantization.INTEGER_ONLY)


class IntegerType(StrEnum):
    """What a model of integers only takes and gives."""

    INT8 = "int8"
    UINT8 = "uint8"


class OnnxForm(msgspec.Struct, frozen=True, kw_only=True, tag="onnx"):
    """ONNX, for ONNX Runtime."""

    opset: int


class TfliteForm(msgspec.Struct, frozen=True, kw_only=True, tag="tflite"):
    """A `.tflite` file, for LiteRT; `integer_type` is that of the ends of `integer_only`."""

    quantization: TfliteQuantization = TfliteQuantization.NONE
    integer_type: IntegerType = IntegerType.INT8


class SavedModelForm(msgspec.Struct, frozen=True, kw_only=True, tag="saved_model"):
    """A SavedModel without variables, for TensorFlow."""


class ConversionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A model to be converted, and how.

    Parameters
    ----------
    target
        The application's name, a path, or FOLDER/module:name.
    form
        What it becomes.
    weights
        A file, or `imagenet`; None for the model's own, which are random in an application.
    arguments
        Keyword arguments of the application or of the object.
    custom_objects
        FOLDER/module:name of the classes and functions that a Keras file names.
    input_shapes
        Whole shapes of inputs with dynamic dimensions, in the source's own layout.
    """

    kind: SourceKind
    target: str
    form: OnnxForm | TfliteForm | SavedModelForm
    weights: str | None = None
    arguments: dict[str, Any] = {}
    custom_objects: str | None = None
    signature: str | None = None
    input_shapes: dict[str, tuple[int, ...]] = {}

    @property
    def shown(self) -> str:
        """What messages call the source."""
        if self.kind is SourceKind.APPLICATION:
            return f"keras:{self.target}"
        return self.target.rpartition("/")[2] if self.kind is SourceKind.OBJECT else self.target


class SourceInput(msgspec.Struct, frozen=True, kw_only=True):
    """An input as the source has it; `channels_last` if the converted model wants its channels first."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    channels_last: bool


class ConversionResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a source: the versions that converted it, its inputs, and what to know of it.

    Parameters
    ----------
    opset
        Of an ONNX model; 0 for a `.tflite` file.
    quantized
        Whether the model came with quantizers.
    flex_operators
        Names of the operators of a `.tflite` file that are TensorFlow's own: LiteRT runs them through its
        Flex delegate only.
    """

    source: str
    opset: int
    versions: dict[str, str]
    inputs: tuple[SourceInput, ...]
    quantized: bool
    notes: tuple[str, ...] = ()
    flex_operators: tuple[str, ...] = ()


def read_request(folder: Path) -> ConversionRequest:
    """Return the request that lies in a folder."""
    return msgspec.json.decode((folder / ORDER).read_bytes(), type=ConversionRequest)


def write_samples(path: Path, samples: Sequence[Feeds]) -> None:
    """Write samples to a file, stacked along first axes."""
    write_npz(path, {name: np.stack([feeds[name] for feeds in samples]) for name in samples[0]})


def read_samples(path: Path) -> list[dict[str, Array]]:
    """Return the samples in a file, which count along first axes."""
    with np.load(path) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    count = min(len(column) for column in columns.values())
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]
