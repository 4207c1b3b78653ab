"""Quantization noise of a `.tflite` model at the outputs, one tensor and one unit at a time."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np

from profiling.arrays import Feeds
from profiling.graph.operator_graph import Unit
from profiling.litert.calibration import Ranges
from profiling.litert.cut import whole_stage
from profiling.litert.interpreter import runtime_version
from profiling.litert.modes import Mode
from profiling.litert.noise.integer_unit import IntegerUnit
from profiling.litert.noise.mode_parts import ModeParts
from profiling.litert.noise.suffix_runner import LitertSuffixRunner
from profiling.litert.unit_graph import LitertGraph
from profiling.noise.float16_noise import float16_error, float16_power
from profiling.noise.noise_pair import NoisePair, tap_over_output
from profiling.noise.noise_sources import NoiseSources
from profiling.progress import Progress, silent
from profiling.records.profile import NoiseProfile, ReadNoise, TensorNoise, UnitNoise


def measure_litert_noise(
    graph: LitertGraph,
    ranges: Ranges,
    samples: Sequence[Feeds],
    able: Mapping[Mode, Sequence[int]],
    only: NoiseSources | None = None,
    progress: Progress = silent,
) -> dict[Mode, NoiseProfile]:
    """Bring one tensor, or one unit, into a mode at a time and run what lies behind it.

    A unit's noise is that of its weights and of what else a mode does inside it (see
    `profiling.litert.noise.mode_parts`). Noise is taken where it adds up (see `profiling.noise.noise_taps`).

    Parameters
    ----------
    ranges
        Of the graph's model, by `calibrate_litert`.
    samples
        Calibration samples; the noise is their mean.
    able
        Mode -> the units that can compute in it, by `find_modes`.
    only
        What is measured, if not everything; profiles have no other rows.

    Returns
    -------
    dict
        Mode -> noise. Tensors that no unit quantizes in a mode, and units that cannot compute in it, have
        no row. A tensor that a scale-preserving unit writes has its noise as if that unit were in float.

    Raises
    ------
    QuantizeError
        If the quantizer fails on all units together that can be in a mode.
    ModelError
        If the model does not run.
    """
    measured = [
        _ModeNoise(ModeParts(graph, mode, units, ranges), graph, only) for mode, units in able.items()
    ]
    runner = LitertSuffixRunner(graph, samples)
    reads = Counter(name for unit in graph.units for name in unit.inputs)
    read_again = {name for name, times in (reads + Counter(graph.outputs)).items() if times > 1}
    total = sum(one.total for one in measured)

    def report() -> None:
        progress("noise", sum(one.done for one in measured), total)

    for one in measured:
        one.measure_tensors(runner, graph.inputs)
        report()
    for unit in graph.units:
        runner.advance()
        for one in measured:
            one.measure_unit(runner, unit, read_again)
            one.measure_tensors(runner, unit.outputs)
            report()
    content = sha256(whole_stage(graph.model).content).hexdigest()
    profiles = [one.profile(content, len(samples)) for one in measured]
    return dict(zip(able, profiles, strict=True))


class _ModeNoise:
    """Noise in one mode, as far as it is measured."""

    def __init__(self, parts: ModeParts, graph: LitertGraph, only: NoiseSources | None) -> None:
        self._parts = parts
        self._rounded = {name for name in parts.grids if only is None or name in only.tensors}
        self._changed = {n for n in parts.units if only is None or graph.units[n].name in only.units}
        self._tensors = dict[str, NoisePair]()
        self._units = dict[str, NoisePair]()
        self._reads = dict[tuple[str, str], NoisePair]()
        self._float16_errors = dict[str, float | None]()
        self._errors = dict[str, float]()  # squared, of rounding exact tensors
        self._written = dict[str, float]()  # squared errors, of the tensors that units write in integers

    @property
    def total(self) -> int:
        """How many tensors and units are to be measured."""
        return len(self._rounded) + len(self._changed)

    @property
    def done(self) -> int:
        """How many of them are."""
        return len(self._tensors) + len(self._units)

    def measure_tensors(self, runner: LitertSuffixRunner, names: Iterable[str]) -> None:
        """Measure tensors that were fed or that the last unit wrote."""
        for name in names:
            if name in self._rounded:
                rounded = self._parts.grids[name].rounded
                self._tensors[name] = runner.tensor_noise(name, rounded)
                exact = runner.tensor(name)
                self._float16_errors[name] = float16_error(exact, rounded)
                self._errors[name] = sum(
                    float(np.square(rounded(values) - values, dtype=np.float64).sum()) for values in exact
                )

    def measure_unit(self, runner: LitertSuffixRunner, unit: Unit, read_again: Collection[str]) -> None:
        """Measure the last unit, and what it reads of tensors that have other readers."""
        if unit.index not in self._changed:
            return
        computed = self._parts.unit(unit.index)
        self._units[unit.name] = runner.unit_noise(computed)
        if isinstance(computed, IntegerUnit):
            self._written |= {name: computed.written_error(name) for name in unit.outputs}
        for name in unit.inputs:
            if name in self._parts.grids:
                self._measure_read(runner, unit, name, has_others=name in read_again)

    def _measure_read(self, runner: LitertSuffixRunner, unit: Unit, name: str, *, has_others: bool) -> None:
        grid, other = self._parts.grids[name], self._parts.other_grid(unit.index, name)
        if other is not None:
            # In the unit's noise a tensor is rounded a second time, of which it is spared the first here.
            once = runner.read_noise(name, other.rounded)
            again = runner.read_noise(
                name, lambda exact: exact + (other.rounded(grid.rounded(exact)) - grid.rounded(exact))
            )
            self._reads[name, unit.name] = once.less(again)
        elif has_others:
            self._reads[name, unit.name] = runner.read_noise(name, grid.rounded)

    def profile(self, model_sha256: str, samples: int) -> NoiseProfile:
        """Return the noise as it adds up."""
        ratio = tap_over_output([*self._tensors.values(), *self._units.values()])
        powers = {name: noise.summable(ratio) for name, noise in self._tensors.items()}
        return NoiseProfile(
            model_sha256=model_sha256,
            runtime_version=runtime_version(),
            scheme=self._parts.mode.name,
            samples=samples,
            tensors=tuple(
                TensorNoise(
                    name,
                    power,
                    float16_power(power, self._float16_errors[name]),
                    self._as_written(name, power),
                )
                for name, power in powers.items()
            ),
            units=tuple(UnitNoise(name, noise.summable(ratio)) for name, noise in self._units.items()),
            reads=tuple(ReadNoise(*ends, noise.summable(ratio)) for ends, noise in self._reads.items()),
        )

    def _as_written(self, name: str, power: float) -> float | None:
        """Return a tensor's noise if what its unit reads is quantized too: both errors are like noise."""
        if name not in self._written:
            return None
        return power * self._written[name] / self._errors[name] if self._errors[name] else power
