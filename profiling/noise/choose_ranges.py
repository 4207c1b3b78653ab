"""Ranges of tensors for 8 bits: by one method, or by what gives the least noise at the outputs."""

import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.errors import ProfilingError
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.noise_power import output_errors
from profiling.on_device.create_session import Optimization
from profiling.quantization.calibration import calibrate_ranges
from profiling.quantization.qdq_model import Scheme, quantize
from profiling.quantization.ranges_file import read_ranges, save_ranges
from profiling.range_method import RangeMethod, TensorRanges
from profiling.runtime.open_session import open_session, run_samples, runtime_for

log = logging.getLogger(__name__)

_JUDGED_EVERY = 4  # samples
MOST_JUDGED = 128
# The least and greatest values come first: others have to be better.
_CANDIDATES = (RangeMethod.MINMAX, RangeMethod.PERCENTILE, RangeMethod.MSE, RangeMethod.BEST)


def calibrate_choosing(
    graph: ModelGraph, samples: Sequence[Feeds], ranges: Path, wanted: Collection[TensorRanges]
) -> None:
    """Write least and greatest values and the wanted ranges of a graph's tensors to a file.

    For `RangeMethod.BEST` the ranges are taken from three quarters of the samples: by each method, and per
    tensor by the one with the least rounding error. On the others, with every unit quantized that can be,
    the noise at the outputs decides between them; least and greatest values stay if nothing is surely
    better.

    Raises
    ------
    QuantizeError
        If there is no sample.
    """
    best = [one for one in wanted if one.method is RangeMethod.BEST]
    tried = {TensorRanges(method, one.symmetric) for one in best for method in _CANDIDATES}
    everything = sorted({*wanted, *tried}, key=lambda one: one.label)
    counted, judged = split_to_judge(samples) if best else (samples, ())
    calibrate_ranges(graph.model, graph.quantizable_nodes, counted, ranges, everything, judged)
    found = {one: read_ranges(ranges, one) for one in everything}
    taken = {one: _quietest(graph, judged[:MOST_JUDGED], ranges, symmetric=one.symmetric) for one in best}
    others = {one: found[taken.get(one, one)] for one in wanted}
    save_ranges(read_ranges(ranges), ranges, others, taken)


def split_to_judge(samples: Sequence[Feeds]) -> tuple[Sequence[Feeds], Sequence[Feeds]]:
    """Return samples that count and those that judge; a single one does both."""
    judging = range(len(samples))[::-_JUDGED_EVERY]
    counted = [feeds for position, feeds in enumerate(samples) if position not in judging]
    return counted or samples, [samples[position] for position in judging]


def _quietest(graph: ModelGraph, samples: Sequence[Feeds], ranges: Path, *, symmetric: bool) -> TensorRanges:
    """Return the ranges with the least noise at the outputs, of those that are surely better than extremes.

    All is computed in float, where no kernel overflows.
    """
    runtime = runtime_for(len(samples))
    exact = list(run_samples(open_session(graph.model, runtime), samples))
    extremes, *others = (TensorRanges(method, symmetric) for method in _CANDIDATES)
    errors: dict[TensorRanges, Array] = {}
    for one in (extremes, *others):
        chosen = dict.fromkeys(graph.quantizable_nodes, Scheme(symmetric, ranges=one.method))
        try:
            model = quantize(graph.model, chosen, ranges, graph.guarded_nodes)
            outputs = run_samples(open_session(model, runtime, Optimization.BASIC), samples)
            errors[one] = np.array([squared_error(*pair) for pair in zip(outputs, exact, strict=True)])
        except ProfilingError as exc:  # of a unit that later stays in float; here all are quantized
            log.info("ranges %s cannot be judged: %s", one.label, exc)
            return extremes
    better = [one for one in others if is_surely_less(errors[one], errors[extremes])]
    found = min(better, key=lambda one: float(errors[one].sum()), default=extremes)
    shown = ", ".join(f"{one.label} {error.sum():.3g}" for one, error in errors.items())
    log.info("ranges by %s: on %d samples, squared errors of outputs %s", found.label, len(samples), shown)
    return found


def squared_error(outputs: Mapping[str, Array], exact: Mapping[str, Array]) -> float:
    """Return the sum of squares by which a sample's outputs differ."""
    return sum(float(np.square(difference).sum()) for difference, _ in output_errors(outputs, exact))


def is_surely_less(errors: Array, others: Array) -> bool:
    """Return whether errors are less in the mean, by more than the standard error of their difference.

    Parameters
    ----------
    errors, others
        Of the same samples, shape [samples].

    >>> is_surely_less(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.1, 4.0]))
    True
    >>> is_surely_less(np.array([1.0, 2.0, 3.0]), np.array([9.0, 1.0, 2.0]))
    False
    """
    if len(errors) < 2 or not (np.isfinite(errors).all() and np.isfinite(others).all()):  # noqa: PLR2004
        return False
    gain = others - errors
    return bool(gain.mean() > gain.std(ddof=1) / np.sqrt(len(gain)))
