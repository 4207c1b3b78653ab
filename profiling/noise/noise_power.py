"""How far outputs are from those of a reference, as noise power."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from profiling.arrays import Array

UNBOUNDED = 1e9
"""Noise power that infinite noise counts as: solvers and JSON have no infinity."""


def noise_power(outputs: Iterable[dict[str, Array]], reference: Iterable[dict[str, Array]]) -> float:
    """Return squared error over squared reference, all outputs and samples together.

    Its square root is `noise_relative_rms`, but for what is `UNBOUNDED` at most: infinite errors, and any
    error beside a reference that is all zero. Zero error is 0, also there.

    Parameters
    ----------
    outputs, reference
        Output name -> array, for each sample.

    >>> noise_power([{"y": np.array([3.0, 4.5])}], [{"y": np.array([3.0, 4.0])}])
    0.01
    """
    error = signal = 0.0
    for actual, expected in zip(outputs, reference, strict=True):
        for difference, exact in output_errors(actual, expected):
            error += float(np.square(difference).sum())
            signal += float(np.square(exact).sum())
    if error == 0.0:
        return 0.0
    power = error / signal if signal else UNBOUNDED
    return power if power < UNBOUNDED else UNBOUNDED


def counted_outputs(reference: Mapping[str, Array]) -> list[str]:
    """Return the outputs whose errors count: those of floats, or all if none is."""
    whole = set(whole_number_outputs(reference))
    return [name for name in reference if name not in whole] or list(reference)


def whole_number_outputs(reference: Mapping[str, Array]) -> list[str]:
    """Return the outputs without floats: indices, counts, truth values."""
    return [name for name, exact in reference.items() if not np.issubdtype(exact.dtype, np.floating)]


def output_errors(
    outputs: Mapping[str, Array], reference: Mapping[str, Array]
) -> Iterator[tuple[Array, Array]]:
    """Yield (difference, exact values) of every output that counts; finite wherever `outputs` is right.

    Equal infinities differ by 0; a NaN or infinity on one side alone is an infinite error. An output of
    another shape, as the places of what is positive can have, is wrong throughout: as zeros would be. If no
    output is float (class indices), each counts as a one-hot vector: a wrong one differs by sqrt(2).
    """
    for name in counted_outputs(reference):
        same_shape = outputs[name].shape == reference[name].shape
        if not np.issubdtype(reference[name].dtype, np.floating):
            wrong = outputs[name] != reference[name] if same_shape else np.ones(max(reference[name].size, 1))
            yield np.where(wrong, np.sqrt(2.0), 0.0), np.ones(wrong.shape)
            continue
        actual, exact = outputs[name].astype(np.float64), reference[name].astype(np.float64)
        if not same_shape:
            # Without numbers there is nothing that could be wrong, but it is.
            exact = exact if exact.size else np.ones(1)
            actual = np.zeros(exact.shape)
        same = (actual == exact) | (np.isnan(actual) & np.isnan(exact))
        with np.errstate(invalid="ignore"):  # the difference of two infinities
            difference = np.where(same, 0.0, actual - exact)
        yield np.where(np.isnan(difference), np.inf, difference), np.where(np.isfinite(exact), exact, 0.0)
