"""What a converted `.tflite` file answers to samples as its source takes them, in the source's own units."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.litert.cut import whole_stage
from profiling.litert.interpreter import StageRunner, model_outputs
from profiling.litert.load import LitertModel, load_litert
from profiling.litert.unit_graph import tensor_quantization


def tflite_answers(path: Path, samples: Sequence[Feeds]) -> list[dict[str, Array]]:
    """Return the answers of a `.tflite` file; those of quantized outputs as the floats that they stand for.

    Parameters
    ----------
    samples
        As the source takes them: floats also where the file takes integers in their place.

    Raises
    ------
    ModelError
        If LiteRT cannot run the file.
    """
    model = load_litert(path)
    runner = StageRunner(whole_stage(model).content)
    answers = []
    for feeds in samples:
        fed = {key: _as_fed(model, tensor, feeds[key]) for key, tensor in model.inputs.items()}
        given = model_outputs(model, fed | runner(fed))  # an output may be an input
        answers.append({key: _as_meant(model, model.outputs[key], value) for key, value in given.items()})
    return answers


def _as_fed(model: LitertModel, tensor: int, value: Array) -> Array:
    """Return what a quantized input holds for floats; anything else as it is."""
    quantization, dtype = tensor_quantization(model, tensor), model.element_type(tensor).numpy
    if quantization is None or value.dtype == dtype:
        return value
    steps = np.round(value / quantization.scales[0]) + quantization.zero_points[0]
    ends = np.iinfo(dtype.name)
    fed: Array = np.clip(steps, ends.min, ends.max).astype(dtype)
    return fed


def _as_meant(model: LitertModel, tensor: int, value: Array) -> Array:
    quantization = tensor_quantization(model, tensor)
    if quantization is None or not np.issubdtype(value.dtype, np.integer):
        return value
    steps = value.astype(np.float32) - quantization.zero_points[0]
    meant: Array = steps * np.float32(quantization.scales[0])
    return meant
