"""Random numbers that the inputs of a source may hold, where there are no samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.conversion.request import SEED, SourceInput
from profiling.arrays import Array


def random_samples(ends: Sequence[SourceInput], count: int) -> list[dict[str, Array]]:
    """Return samples of normal numbers, or of zeros and ones where they must be whole; the same each time.

    >>> end = SourceInput(name="x", dtype="int64", shape=(1, 3), channels_last=False)
    >>> [sample["x"].tolist() for sample in random_samples([end], 2)]
    [[[1, 1, 1]], [[0, 0, 0]]]
    """
    rng = np.random.default_rng(SEED)
    return [{end.name: _random(end, rng) for end in ends} for _ in range(count)]


def _random(end: SourceInput, rng: np.random.Generator) -> Any:
    dtype = np.dtype(end.dtype)
    if np.issubdtype(dtype, np.floating):
        return rng.normal(size=end.shape).astype(dtype)
    return rng.integers(0, 2, end.shape).astype(dtype)
