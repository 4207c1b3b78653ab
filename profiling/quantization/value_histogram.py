"""How often a tensor has which values, counted in bins that fit each other whatever is counted first."""

from dataclasses import dataclass

import numpy as np

from profiling.arrays import Array

BINS = 2048  # a power of two, half of them on each side of zero
_AT_ONCE = 2**18  # values, so that counting a large tensor needs little memory
_HALF = BINS // 2
_LEAST = -126  # exponent of the smallest normal float32


@dataclass(frozen=True, slots=True)
class ValueHistogram:
    """Counts of the finite values of a tensor.

    Bins are as wide as a power of two, and zero lies between two of them: where larger values ask for wider
    bins, pairs of bins merge, and no value changes its bin by more than that.

    Parameters
    ----------
    counts
        Of bins from -2 ** exponent to 2 ** exponent, each without its upper end; int64, shape [2048].
    exponent
        Every value lies below 2 ** exponent in absolute terms.
    zeros
        How many values are exactly zero, which no rounding changes; they are in `counts`, too.
    """

    counts: Array
    exponent: int
    zeros: int

    @property
    def edges(self) -> Array:
        """The ends of the bins, ascending; float64, shape [2049]."""
        return np.ldexp(np.arange(-_HALF, _HALF + 1) / _HALF, self.exponent)

    def __add__(self, other: "ValueHistogram") -> "ValueHistogram":
        """Return the histogram of the values of both."""
        exponent = max(self.exponent, other.exponent)
        counts = self._widened(exponent) + other._widened(exponent)
        return ValueHistogram(counts, exponent, self.zeros + other.zeros)

    def _widened(self, exponent: int) -> Array:
        merged = min(2 ** min(exponent - self.exponent, BINS), _HALF)
        inner = self.counts.reshape(-1, merged).sum(axis=1)
        return np.pad(inner, (BINS - len(inner)) // 2)


def histogram_of(values: Array) -> ValueHistogram:
    """Return the histogram of the finite values of a float32 tensor of any shape."""
    flat = values.reshape(-1)
    finite = flat if np.isfinite(flat).all() else flat[np.isfinite(flat)]
    counts = np.zeros(BINS, np.int64)
    if not finite.size:
        return ValueHistogram(counts, _LEAST, 0)
    largest = max(-finite.min(), finite.max())
    # Zeros alone ask for no width.
    exponent = max(int(np.frexp(largest)[1]), _LEAST) if largest else _LEAST
    for start in range(0, finite.size, _AT_ONCE):
        part = finite[start : start + _AT_ONCE]
        bins = np.floor(np.ldexp(part, _HALF.bit_length() - 1 - exponent)).astype(np.int64)
        counts += np.bincount(bins + _HALF, minlength=BINS)
    return ValueHistogram(counts, exponent, int(finite.size - np.count_nonzero(finite)))
