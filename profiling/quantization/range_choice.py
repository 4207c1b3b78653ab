"""From the values that a tensor holds to the range that its 8 bits span."""

from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
from onnxruntime.quantization.calibrate import HistogramCollector

from profiling.arrays import Array
from profiling.quantization.activation_histograms import SeenValues
from profiling.quantization.ranges_file import Range
from profiling.quantization.value_histogram import BINS
from profiling.range_method import RangeMethod, TensorRanges

_PERCENT = 99.99  # of all values, the same share left out at both ends
_ENTROPY_BINS = 512  # the search takes as many steps as there are bins, each as long
_ENTROPY_LEVELS = 255  # of 8 bits
_STEPS, _SYMMETRIC_STEPS = 255, 254  # of uint8, and of int8 around zero
_COARSE = 2.0 ** (-np.arange(25) / 3)  # parts of an end that are tried: down to a 256th,
_FINE = 2.0 ** (np.arange(-4, 5) / 15)  # and around the best of these
_POINT = 1e-3  # bins below this part of their width hold one value


def chosen_ranges(
    seen: Mapping[str, SeenValues], minmax: Mapping[str, Range], wanted: TensorRanges
) -> dict[str, Range]:
    """Return the range of each tensor that has several values; none reaches beyond its values or zero.

    Tensors with one value, with infinity or without numbers are left out: nothing can be clipped there.

    Parameters
    ----------
    minmax
        Least and greatest value of each tensor, which may lie beyond what was counted.
    """
    spread = {name: values for name, values in seen.items() if _has_spread(values, minmax[name])}
    if wanted.method is RangeMethod.MINMAX:
        return {name: minmax[name] for name in spread}
    if wanted.method is RangeMethod.ENTROPY:
        return _by_entropy(spread)
    if wanted.method is RangeMethod.PERCENTILE:
        return _by_percentile(spread)
    searched = {
        name: _by_error(values, minmax[name], symmetric=wanted.symmetric) for name, values in spread.items()
    }
    if wanted.method is RangeMethod.MSE:
        return searched
    best = {}
    for name, range_by_percentile in _by_percentile(spread).items():
        candidates = [minmax[name], range_by_percentile, searched[name]]
        errors = rounding_error(spread[name], *np.array(candidates).T, symmetric=wanted.symmetric)
        best[name] = candidates[int(np.argmin(errors))]
    return best


def _has_spread(values: SeenValues, minmax: Range) -> bool:
    return bool(np.isfinite(minmax).all() and values.low < values.high)


def _within(values: SeenValues, low: float, high: float) -> Range:
    """Return a range without what no value reaches, in float32 as the runtime has it.

    Values on one side of zero keep zero as their end, so that it stays exact and a Relu may vanish.
    """
    low = min(max(low, values.low), 0.0) if values.low < 0 else max(values.low, 0.0)
    high = max(min(high, values.high), 0.0) if values.high > 0 else min(values.high, 0.0)
    return float(np.float32(low)), float(np.float32(high))


def _collected(seen: Mapping[str, SeenValues]) -> HistogramCollector:
    """Return the runtime's own collector with histograms as it makes them."""
    collector = HistogramCollector(
        method="percentile",
        symmetric=False,
        num_bins=BINS,
        num_quantized_bins=_ENTROPY_LEVELS,
        percentile=_PERCENT,
        scenario=None,
    )
    for name, values in seen.items():
        ends = np.float32(values.low), np.float32(values.high)
        histogram = values.histogram
        edges = histogram.edges.astype(np.float32)
        collector.histogram_dict[name] = (histogram.counts, edges, *ends, edges[-1])
    return collector


def _by_percentile(seen: Mapping[str, SeenValues]) -> dict[str, Range]:
    collector = _collected(seen)
    with redirect_stdout(StringIO()):  # it prints what it does
        found = collector.compute_percentile() if seen else {}
    return {name: _within(seen[name], float(found[name][0]), float(found[name][1])) for name in seen}


def _by_entropy(seen: Mapping[str, SeenValues]) -> dict[str, Range]:
    collector = _collected(seen)
    merged = BINS // _ENTROPY_BINS
    ranges = {}
    for name, (counts, edges, *rest) in collector.histogram_dict.items():
        fewer = counts.reshape(-1, merged).sum(axis=1), edges[::merged], *rest
        with np.errstate(all="ignore"):
            low, high = collector.get_entropy_threshold(fewer, _ENTROPY_LEVELS)[:2]
        ranges[name] = _within(seen[name], float(low), float(high))
    return ranges


def _by_error(values: SeenValues, minmax: Range, *, symmetric: bool) -> Range:
    """Return the range with the least error that a search finds: both ends together, then each alone."""
    best = minmax
    both, upper, lower = (1, 1), (0, 1), (1, 0)
    for moved in (both,) if symmetric else (both, upper, lower):
        for parts in (_COARSE, _FINE):
            factors = np.where(np.array(moved)[:, None], parts, 1.0)
            tried = [_within(values, *pair) for pair in (np.array(best)[:, None] * factors).T]
            candidates = list(dict.fromkeys([best, *tried]))
            errors = rounding_error(values, *np.array(candidates).T, symmetric=symmetric)
            best = candidates[int(np.argmin(errors))]
    return best


def rounding_error(values: SeenValues, low: Array, high: Array, *, symmetric: bool) -> Array:
    """Return the mean square error of rounding a tensor to 8 bits, over all its values.

    Within a bin, values count as spread evenly.

    Parameters
    ----------
    low, high
        The ends of each range to be tried, shape [ranges].

    Returns
    -------
    Shape [ranges].
    """
    histogram = values.histogram
    counts = histogram.counts.copy()
    counts[BINS // 2] -= histogram.zeros  # which are exact
    used = counts.nonzero()[0]
    ends = np.clip(histogram.edges, values.low, values.high)
    start, stop = ends[used], ends[used + 1]
    wide = stop - start > _POINT * (histogram.edges[1] - histogram.edges[0])
    step, low, high = (each[:, None] for each in _levels(low, high, symmetric=symmetric))
    area = _error_area(stop, step, low, high) - _error_area(start, step, low, high)
    middle = (start + stop) / 2
    at_middle = (middle - np.clip(np.rint(middle / step) * step, low, high)) ** 2
    mean = np.where(wide, area / np.where(wide, stop - start, 1.0), at_middle)
    return np.asarray(mean @ counts[used] / max(1, histogram.counts.sum()))


def _levels(low: Array, high: Array, *, symmetric: bool) -> tuple[Array, Array, Array]:
    """Return step, least and greatest number of 8 bits as the quantization tool takes them for a range."""
    low, high = np.minimum(low, 0.0), np.maximum(high, 0.0)
    if symmetric:
        high = np.maximum(-low, high)
        step = 2 * high / _SYMMETRIC_STEPS
        return np.where(step > 0, step, 1.0), -high, high
    step = (high - low) / _STEPS
    step = np.where(step > 0, step, 1.0)
    zero = np.rint(-low / step)
    return step, -zero * step, (_STEPS - zero) * step


def _error_area(x: Array, step: Array, low: Array, high: Array) -> Array:
    """Return the integral of the squared error from 0 to x."""
    inner = np.clip(x, low, high) / step
    level = np.rint(inner)
    rounded = step**3 * (level / 12 + (inner - level) ** 3 / 3)
    return np.asarray(rounded + (x - np.clip(x, low, high)) ** 3 / 3)
