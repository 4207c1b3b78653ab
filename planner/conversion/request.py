"""What the process with TensorFlow is asked, and what it answers: the files between the two processes."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

SEED = 0  # of random weights and samples, so that they are the same each time
ORDER, CONVERSION, FAILURE = "order.json", "conversion.json", "failure.txt"
MODEL, SAMPLES, ANSWERS = "model.onnx", "samples.npz", "answers.npz"


class SourceKind(StrEnum):
    """Where a model that is no ONNX file comes from."""

    APPLICATION = "application"  # of keras.applications, by name
    KERAS = "keras"  # .keras, .h5
    SAVED_MODEL = "saved_model"  # a folder
    OBJECT = "object"  # what module:name returns
    TFLITE = "tflite"


class ConversionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A model to be converted, and how.

    Parameters
    ----------
    target
        The application's name, a path, or FOLDER/module:name.
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
    opset: int
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
    quantized
        Whether the model came with quantizers.
    """

    source: str
    opset: int
    versions: dict[str, str]
    inputs: tuple[SourceInput, ...]
    quantized: bool
    notes: tuple[str, ...] = ()


def read_request(folder: Path) -> ConversionRequest:
    """Return the request that lies in a folder."""
    return msgspec.json.decode((folder / ORDER).read_bytes(), type=ConversionRequest)
