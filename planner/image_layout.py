"""Images with channels first, as the runtime's convolutions want them, and last, as TensorFlow has them.

Height, width and channels are the last three axes; any number of others may be in front.
"""

import numpy as np

from profiling.arrays import Array


def channels_first(values: Array) -> Array:
    """Return (..., height, width, channels) as (..., channels, height, width)."""
    return np.moveaxis(values, -1, -3)


def channels_last(values: Array) -> Array:
    """Return (..., channels, height, width) as (..., height, width, channels)."""
    return np.moveaxis(values, -3, -1)


def are_channels_last(values: Array, shape: tuple[int, ...]) -> bool:
    """Return whether values are images of a shape that has channels first, but have them last.

    Examples
    --------
    >>> are_channels_last(np.zeros((1, 4, 5, 3)), (1, 3, 4, 5))
    True
    """
    *_, channels, height, width = shape
    return values.shape[-3:] == (height, width, channels)
