"""Noise of a tensor as float16, from that of it quantized: both errors are like noise."""

from collections.abc import Callable, Iterable

import numpy as np

from profiling.arrays import Array
from profiling.quantization.wire_formats import as_float16


def float16_error(exact: Iterable[Array], rounded: Callable[[Array], Array]) -> float | None:
    """Return the squared error of a tensor as float16 over that of it quantized; None if it overflows.

    Noise behind it is in the same proportion, as far as either error is like noise.

    Parameters
    ----------
    exact
        The tensor's values of each sample.
    rounded
        To what quantizing makes of them.
    """
    half = quantized = 0.0
    for values in exact:
        narrow = as_float16(values)
        if narrow is None:  # one sample that overflows is enough to rule the wire out
            return None
        half += float(np.square(narrow - values, dtype=np.float64).sum())
        quantized += float(np.square(rounded(values) - values, dtype=np.float64).sum())
    return half / quantized if quantized else 0.0


def float16_power(power: float, error: float | None) -> float | None:
    """Return noise as float16, given that quantized and the ratio of their errors; None if it overflows.

    >>> float16_power(0.5, 0.25), float16_power(0.5, None)
    (0.125, None)
    """
    return None if error is None else power * error
