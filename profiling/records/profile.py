"""What was measured of one model: seconds per unit and switch on one device, noise per tensor."""

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from profiling.errors import ProfileError
from profiling.on_device.clock.run_clock import WALL
from profiling.on_device.cost_fits import rest_factor
from profiling.on_device.measurement_order import FORMAT as FORMAT
from profiling.on_device.measurement_order import XNNPACK
from profiling.on_device.robust_statistics import median_error
from profiling.precision import Precision, Wire
from profiling.records.json_files import parse_json, read_json
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW

TENSORFLOW_CPU = "CPU"  # the provider of a profile of TensorFlow

_RUNTIMES = {XNNPACK: LITERT, TENSORFLOW_CPU: TENSORFLOW}  # of providers that are not ONNX Runtime's
_LEAST_KEPT = 0.5  # of a unit's seconds, where a run's start is longer than was thought


@dataclass(frozen=True, slots=True)
class UnitCost:
    """Seconds that a unit takes where it really runs, inside the whole model.

    `spread` is the width of the middle half of its runs over their median.
    """

    unit: str
    precision: Precision
    seconds: float
    spread: float = 0.0


@dataclass(frozen=True, slots=True)
class SwitchCost:
    """Seconds to quantize a tensor or to bring it back, layout changes around it included.

    Between int8 and int16 a switch costs what one between int8 and fp32 does. `measured` is False where the
    seconds come from a fit over the bytes of measured switches.
    """

    tensor: str
    source: Precision
    to: Precision
    seconds: float
    measured: bool


@dataclass(frozen=True, slots=True)
class SeamCost:
    """Seconds that a stage loses by ending (`leave_s`) or beginning (`enter_s`) at a tensor in a form.

    `measured` is False where the seconds come from a fit over the bytes at the designed cuts.
    """

    tensor: str
    form: Precision
    leave_s: float
    enter_s: float
    measured: bool


@dataclass(frozen=True, slots=True)
class WireCost:
    """Seconds to encode or decode (`side`) a tensor for a link: `start_s` and `element_s` per element."""

    wire: Wire
    side: str
    start_s: float
    element_s: float


@dataclass(frozen=True, slots=True)
class LatencyProfile:
    """Seconds of one model on one device.

    Parameters
    ----------
    model_sha256
        Of the prepared model.
    scheme
        Label of the quantization scheme that was measured.
    overflows
        Whether int8 kernels overflow on the device with 8-bit weights; then plans use 7 bits.
    wall_s
        Precision -> median seconds of a whole run without the profiler. A unit that cannot be
        quantized stays in fp32 in every model.
    unattributed_s
        Precision -> seconds of a run that no unit and no switch accounts for.
    start_s
        Seconds of a run that computes hardly anything, part of `unattributed_s`.
    profiled_s
        Precision -> seconds of all kernels under the profiler, before its own cost was taken off.
    samples
        Runs behind each median.
    runs_s
        Precision -> seconds of the whole runs without the profiler that count; of the fp32 model those
        beside every other model.
    spread, noisy
        Width of the middle half of the fp32 runs over their median, by the clock that was used, and
        whether costs are noisy, as that is wide or as too many runs were contended.
    clock
        What tells seconds: `cpu`, the time in which the thread that computes alone had a processor, or
        `wall`.
    disturbed, waiting
        Of all fp32 runs, also those left out of `runs_s`: which part waited for a processor for more than
        5 % of its seconds, and how long they waited per second; None where the system does not tell.
    contended
        Of the fp32 runs that count, which part ended while something else computed on the same core; None
        where that cannot be told.
    """

    model_sha256: str
    runtime_version: str
    scheme: str
    overflows: bool
    processor: str
    threads: int
    provider: str
    samples: int
    runs_s: dict[Precision, tuple[float, ...]]
    spread: float
    noisy: bool
    wall_s: dict[Precision, float]
    unattributed_s: dict[Precision, float]
    profiled_s: dict[Precision, float]
    units: tuple[UnitCost, ...]
    switches: tuple[SwitchCost, ...]
    start_s: float
    seams: tuple[SeamCost, ...]
    wires: tuple[WireCost, ...]
    clock: str = WALL
    disturbed: float | None = None
    waiting: float | None = None
    contended: float | None = None

    @property
    def runtime(self) -> str | None:
        """The runtime that was measured, as scenarios name it; None where the provider is not known."""
        return _RUNTIMES.get(self.provider, ONNX_RUNTIME) if self.provider else None

    @property
    def standard_error(self) -> float:
        """How far the median of the fp32 runs errs, as a fraction of it; 0 where runs are not known."""
        return median_error(self.runs_s.get(Precision.FP32, ()))

    def spread_rest(self) -> "LatencyProfile":
        """Return the profile with what nothing accounts for, but a run's start, spread over the units."""
        factor = {
            precision: rest_factor(self.wall_s.get(precision, 0.0), self.start_s, rest)
            for precision, rest in self.unattributed_s.items()
        }
        return replace(
            self,
            units=tuple(
                replace(row, seconds=row.seconds * factor.get(row.precision, 1.0)) for row in self.units
            ),
            unattributed_s=dict.fromkeys(self.unattributed_s, self.start_s),
        )

    def with_start(self, start_s: float) -> "LatencyProfile":
        """Return the profile under which a run's start takes so long.

        What it takes less, the units of a whole model take more; in other precisions some of them are fp32.
        What it takes more, they take less, but half of their seconds at least: a timed plan may have
        corrected them under a much shorter start.
        """
        less_s = self.start_s - start_s
        seconds: dict[Precision, dict[str, float]] = {}
        for row in self.units:
            seconds.setdefault(row.precision, {})[row.unit] = row.seconds
        fp32 = seconds.get(Precision.FP32, {})
        fp32_s, factors = sum(fp32.values()), {}
        for precision, own in seconds.items():
            own_s, others_s = sum(own.values()), sum(s for unit, s in fp32.items() if unit not in own)
            rest_s = less_s * (1 - others_s / fp32_s) if fp32_s > 0 else less_s
            factors[precision] = max(_LEAST_KEPT, 1 + rest_s / own_s) if own_s > 0 else 1.0
        return replace(
            self,
            units=tuple(replace(row, seconds=row.seconds * factors[row.precision]) for row in self.units),
            start_s=start_s,
            unattributed_s=dict.fromkeys(self.unattributed_s, start_s),
        )


@dataclass(frozen=True, slots=True)
class TensorNoise:
    """Noise power where noise adds up (`profiling.noise.noise_taps`) when only this tensor is quantized.

    Squared error over squared fp32 values, all of these tensors and all samples together.

    Parameters
    ----------
    float16
        The same if it crosses a link as float16; None if it does not fit into that.
    written
        The same if what its unit reads is quantized as well, which leaves less to round where integers
        are passed on or scaled; None if that is not known.
    """

    tensor: str
    power: float
    float16: float | None = None
    written: float | None = None


@dataclass(frozen=True, slots=True)
class UnitNoise:
    """The same when only a unit's weights and inner tensors are quantized."""

    unit: str
    power: float


@dataclass(frozen=True, slots=True)
class ReadNoise:
    """The same when a tensor is written in float and only one of its readers quantizes it."""

    tensor: str
    unit: str
    power: float


@dataclass(frozen=True, slots=True)
class NoiseProfile:
    """Quantization noise of one model in one scheme on its calibration data; the same on every device.

    Parameters
    ----------
    reads
        For a runtime that quantizes a float tensor for each reader by itself, of tensors with several
        readers, a model's caller included; with one reader it is the tensor's noise.
    """

    model_sha256: str
    runtime_version: str
    scheme: str
    samples: int
    tensors: tuple[TensorNoise, ...]
    units: tuple[UnitNoise, ...]
    reads: tuple[ReadNoise, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """The portable record of one model on one device; without noise where a bundle made it."""

    format: int
    device: str
    latency: LatencyProfile
    noise: tuple[NoiseProfile, ...] = ()


def load_profile(path: Path) -> Profile:
    """Read a profile back.

    Raises
    ------
    ProfileError
        If the file is missing, no profile, or of another format.
    """
    return parse_profile(read_json(path), str(path))


def parse_profile(data: bytes, name: str) -> Profile:
    """Return the profile that JSON holds.

    Parameters
    ----------
    name
        What messages call it.

    Raises
    ------
    ProfileError
        If it is no profile, or of another format.
    """
    written = parse_json(data, name, _Format, "Profile").format
    if written != FORMAT:
        raise ProfileError(
            f"{name}: format {written}, this version reads {FORMAT}; make it again: plan profile"
        )
    return parse_json(data, name, Profile)


class _Format(msgspec.Struct):
    """What tells a profile, of whatever format."""

    format: int
    device: str
    latency: msgspec.Raw
