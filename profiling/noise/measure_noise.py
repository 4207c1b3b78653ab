"""Quantization noise at the outputs, one tensor and one unit's weights at a time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import onnxruntime as ort

from profiling.arrays import Array, Feeds
from profiling.graph.operator_graph import Unit
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.block_end import BlockEnd
from profiling.noise.float16_noise import float16_power
from profiling.noise.form_noise import measure_form_noise
from profiling.noise.noise_blocks import FollowedChanges, RunBudget, blocks_within
from profiling.noise.noise_pair import NO_NOISE, NoisePair, tap_over_output
from profiling.noise.noise_sources import NoiseSources
from profiling.noise.rounded_sources import RoundedSources
from profiling.noise.suffix_runner import SuffixRunner
from profiling.onnx_io.external_weights import delete_files
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.int16_activations import STEPS
from profiling.records.profile import NoiseProfile, TensorNoise, UnitNoise

NOISE_STEP = "noise, in runs of the model"
HUNDRED_RUNS = RunBudget(runs=100.0, multiplications=3e11)
"""A profile takes a hundred runs of a large model; a small one's changes are all followed to its outputs."""
LARGEST = 10
"""Sources of a large model that are followed to its outputs as well."""


def measure_noise(
    graph: ModelGraph,
    calibration: Calibration,
    samples: Sequence[Feeds],
    known_tensors: tuple[TensorNoise, ...] | None = None,
    only: NoiseSources | None = None,
    progress: Progress = silent,
) -> NoiseProfile:
    """Quantize one tensor, or one unit's weights and inner tensors, at a time and run what lies behind.

    In a precision with float tensors only units make noise (see `profiling.noise.form_noise`). Noise is taken
    where it adds up (see `profiling.noise.noise_taps`). What lies behind ends with the model, or where that
    would cost too much, with a block of units (see `profiling.noise.noise_blocks`).

    Parameters
    ----------
    calibration
        What `calibrate` wrote for this graph's model.
    samples
        Calibration samples; the noise is their mean.
    known_tensors
        Their noise, where it is known from another scheme with the same activations.
    only
        What is measured, if not everything; the profile has no other rows.
    """
    if not calibration.scheme.precision.is_static:
        return measure_form_noise(graph, calibration.scheme, samples, only, progress)
    sources = RoundedSources.of(graph, calibration, only)
    if known_tensors is not None:
        sources = replace(sources, boundary=())
    found = follow_sources(sources, samples, HUNDRED_RUNS, progress)
    ratio = tap_over_output([*found.tensors.values(), *found.units.values()])
    return NoiseProfile(
        model_sha256=graph.model_sha256,
        runtime_version=ort.__version__,
        scheme=calibration.scheme.label,
        samples=len(samples),
        tensors=known_tensors
        or tuple(
            TensorNoise(
                name, power := noise.summable(ratio), float16_power(power, found.float16_errors[name])
            )
            for name, noise in found.tensors.items()
        ),
        units=tuple(UnitNoise(name, noise.summable(ratio)) for name, noise in found.units.items()),
    )


@dataclass(frozen=True, slots=True)
class FoundNoise:
    """Noise of single sources.

    Parameters
    ----------
    tensors, units
        By name.
    float16_errors
        Of each tensor: squared error as float16 over that of it quantized; None if it overflows.
    """

    tensors: dict[str, NoisePair] = field(default_factory=dict)
    units: dict[str, NoisePair] = field(default_factory=dict)
    float16_errors: dict[str, float | None] = field(default_factory=dict)

    def largest(self, count: int) -> NoiseSources:
        """Return the sources with most noise, at most so many of them."""
        rows = [(noise.tap or noise.output, name, True) for name, noise in self.tensors.items()]
        rows += ((noise.tap or noise.output, name, False) for name, noise in self.units.items())
        chosen = sorted(rows, reverse=True)[:count]
        tensors, units = (
            frozenset(n for _, n, is_tensor in chosen if is_tensor is kind) for kind in (True, False)
        )
        return NoiseSources(tensors, units)


def follow_sources(
    sources: RoundedSources, samples: Sequence[Feeds], budget: RunBudget, progress: Progress = silent
) -> FoundNoise:
    """Follow each source to the outputs, or to the end of a block where the budget allows no more runs.

    Parameters
    ----------
    samples
        The noise is their mean.
    progress
        Told how many runs of the whole model on one sample are done.
    """
    changes = sources.changes()
    ends = blocks_within(changes, budget.runs_per_sample(sum(changes.work), len(samples)))
    runs = _Runs(changes, ends, len(samples), progress)
    found = _walked(sources, samples, ends, runs)
    if len(ends) > 1:
        # A source that makes most of the noise deserves better than a gain that it shares with others.
        largest = _walked(sources.restricted(found.largest(LARGEST)), samples, ends[-1:], runs)
        found.tensors.update(largest.tensors)
        found.units.update(largest.units)
    return found


def _walked(
    sources: RoundedSources, samples: Sequence[Feeds], ends: Sequence[int], runs: "_Runs"
) -> FoundNoise:
    walk = _Walk(sources, SuffixRunner(sources.graph, samples), runs)
    for start, end in pairwise((0, *ends)):
        runs.ends_with(end)
        walk.follow_block(start, end)
    return walk.found


class _Walk:
    """Goes along the units once and follows every source from where it is."""

    def __init__(self, sources: RoundedSources, runner: SuffixRunner, runs: "_Runs") -> None:
        self._sources, self._runner, self._runs = sources, runner, runs
        self._block: BlockEnd | None = None
        self._taken: list[tuple[dict[str, NoisePair], str]] = []  # where noise goes that the block's end has
        self.found = FoundNoise()

    def follow_block(self, start: int, end: int) -> None:
        """Follow the sources of a block, and those of the inputs in the first one."""
        units = self._sources.graph.units
        if end < len(units):
            self._block = self._runner.begin_block(end)
        else:
            self._runner.begin_last_block()
            self._block = None
        if not start:
            self._follow_tensors(self._sources.graph.inputs, 0)
        for unit in units[start:end]:
            if unit.name in self._sources.units:
                self._follow_unit(unit)
            else:
                self._runner.advance()
            self._follow_tensors(unit.outputs, unit.index + 1)
        if self._block is not None:
            noise = self._runner.noise_behind(self._block)
            for (rows, name), row in zip(self._taken, noise, strict=True):
                rows[name] = row
            self._taken.clear()
            self._runs.ended(start, end)

    def _follow_unit(self, unit: Unit) -> None:
        inner, weights = self._sources.of_unit(unit)
        rounded = self._runner.outputs_of_rounded_unit(inner, weights) if inner or weights else None
        delete_files(weights.values())  # large ones are files, one set per unit
        self._runner.advance()
        self._take(self.found.units, unit.name, rounded, unit.index)

    def _follow_tensors(self, names: Collection[str], place: int) -> None:
        for name in self._sources.boundary:
            if name in names:
                rounding = self._sources.tensors[name]
                self.found.float16_errors[name] = self._runner.float16_error(rounding)
                self._take(self.found.tensors, name, self._runner.rounded_tensor(rounding), place)

    def _take(
        self, rows: dict[str, NoisePair], name: str, changes: Sequence[dict[str, Array]] | None, place: int
    ) -> None:
        rows[name] = NO_NOISE
        if changes is not None and self._block is not None:
            self._block.take(place, self._runner.followed(changes))
            self._taken.append((rows, name))
        elif changes is not None:
            rows[name] = self._runner.noise_of(changes)
        self._runs.followed(place)


class _Runs:
    """Reports how much is done, in runs of the whole model: what lies far in front takes the longest."""

    def __init__(
        self, changes: FollowedChanges, ends: Sequence[int], samples: int, progress: Progress
    ) -> None:
        self._changes, self._samples, self._progress = changes, samples, progress
        once = changes.runs(ends) + (LARGEST if len(ends) > 1 else 0)  # at most a run for each of the largest
        self._done, self._total = 0.0, max(1, round(once * samples))
        self._end = ends[0]

    def ends_with(self, end: int) -> None:
        """Take to where changes are followed from now on."""
        self._end = end

    def ended(self, start: int, end: int) -> None:
        """Count what the end of a block took."""
        self._report(self._changes.runs_for_end(start, end))

    def followed(self, place: int) -> None:
        """Count a change that was followed from a place."""
        self._report(self._changes.share(place, self._end))

    def _report(self, runs: float) -> None:
        self._done += runs
        self._progress(NOISE_STEP, min(self._total, round(self._done * self._samples)), self._total)


def scale_to_int16(tensors: Sequence[TensorNoise]) -> tuple[TensorNoise, ...]:
    """Return the noise of tensors with 16 bits, given that with 8: its power grows with the step's square.

    See Widrow and Kollar, "Quantization Noise" (2008), chapter 4: rounding adds a twelfth of that square.
    """
    return tuple(TensorNoise(row.tensor, row.power / STEPS**2, row.float16) for row in tensors)
