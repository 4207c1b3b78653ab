"""Samples to the range of each tensor, once for all recipes."""

from collections.abc import Mapping, Sequence

import numpy as np

from profiling.arrays import Feeds
from profiling.errors import QuantizeError
from profiling.litert.interpreter import tensor_values
from profiling.litert.load import LitertModel

Ranges = Mapping[int, tuple[float, float]]
"""Tensor -> least and largest value over all samples."""


def calibrate_litert(model: LitertModel, samples: Sequence[Feeds]) -> Ranges:
    """Return the range of every float tensor that the model computes or is fed.

    A tensor that holds infinity or NaN has none, nor has one without elements.

    Raises
    ------
    QuantizeError
        If there are no samples.
    ModelError
        If the model does not run on them.
    """
    if not samples:
        raise QuantizeError(f"{model.shown}: ranges need at least one sample")
    found: dict[int, tuple[float, float]] = {}
    for values in tensor_values(model, samples):
        for tensor, value in values.items():
            if value.dtype == np.float32 and value.size:
                low, high = found.get(tensor, (np.inf, -np.inf))
                # NaN goes through both.
                found[tensor] = float(np.minimum(low, value.min())), float(np.maximum(high, value.max()))
    return {tensor: ends for tensor, ends in found.items() if np.isfinite(ends).all()}
