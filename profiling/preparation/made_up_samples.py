"""Samples for a model whose real ones are not at hand, tried until the model runs on some."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper

from profiling.arrays import Array, Feeds
from profiling.preparation.source_session import open_source
from profiling.runtime.open_session import run_session

_SEED = 0  # the same samples, hence the same shapes and the same plan, in every run


def made_up_samples(model: onnx.ModelProto) -> list[Feeds]:
    """Return samples of noise, zeros and ones, those on which a model runs.

    Parameters
    ----------
    model
        With static input shapes.

    Raises
    ------
    ModelError
        If the runtime does not load the model.
    """
    session = open_source(model)
    for candidates in candidate_samples(model.graph.input):
        runnable: list[Feeds] = [feeds for feeds in candidates if _runs(session, feeds)]
        if runnable:
            return runnable
    return []


def _runs(session: ort.InferenceSession, feeds: Feeds) -> bool:
    try:
        run_session(session, feeds)
    except Exception:  # noqa: BLE001  the runtime's exceptions share no base class
        return False
    return True


def candidate_samples(inputs: Sequence[onnx.ValueInfoProto]) -> list[list[dict[str, Array]]]:
    """Return three lists of three samples for some inputs: noise, zeros and ones.

    Whole numbers, which may be sizes and axes, are the same within each list: shapes that follow from them
    are then those of every sample.
    """
    rng = np.random.default_rng(_SEED)
    columns = {value.name: _noise_zeros_ones(value, rng) for value in inputs}
    whole = {name for name, rows in columns.items() if not np.issubdtype(rows[0].dtype, np.floating)}
    return [
        [{name: rows[fixed if name in whole else i] for name, rows in columns.items()} for i in range(3)]
        for fixed in range(3)
    ]


def _noise_zeros_ones(value: onnx.ValueInfoProto, rng: np.random.Generator) -> list[Array]:
    tensor = value.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
    shape = [dim.dim_value for dim in tensor.shape.dim]
    # Whole numbers may be indices: 0 and 1 are within most bounds.
    whole = not np.issubdtype(dtype, np.floating)
    noise = rng.integers(0, 2, size=shape) if whole else rng.normal(size=shape)
    return [np.asarray(noise).astype(dtype), np.zeros(shape, dtype), np.ones(shape, dtype)]
