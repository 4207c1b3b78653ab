"""An ONNX model as ONNX Runtime is to run it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import onnxruntime as ort

from profiling.arrays import Feeds
from profiling.graph.compressed_weights import CompressedUnit, compress_weights, with_compressed
from profiling.graph.multiply_adds import multiplications
from profiling.graph.unit_graph import ModelGraph, with_refusals
from profiling.latency.measure_latency import (
    BuiltPlan,
    Setup,
    measure_latency,
    measurement_plan,
    time_plan,
    variants_of,
)
from profiling.latency.plan_timing import PlanTiming
from profiling.latency.write_bundle import write_bundle
from profiling.noise.choose_ranges import calibrate_choosing
from profiling.noise.measure_noise import measure_noise
from profiling.noise.noise_sources import NoiseSources
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.create_session import Optimization
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.precision import Precision
from profiling.progress import Progress
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.ranges_file import has_ranges_of
from profiling.range_method import TensorRanges
from profiling.records.cache import EntryKind
from profiling.records.profile import LatencyProfile, NoiseProfile, TensorNoise
from profiling.runtime.crash_journal import CrashJournal
from profiling.runtime.open_session import Runtime

_MADE_BY: Mapping[EntryKind, Callable[..., object]] = {
    EntryKind.RANGES: calibrate_choosing,
    EntryKind.REFUSED_UNITS: refused_units,
    EntryKind.COMPRESSED: compress_weights,
    EntryKind.LATENCY: measure_latency,
    EntryKind.NOISE: measure_noise,
}


@dataclass(frozen=True, slots=True)
class OnnxRuntimeModel:
    """A `RuntimeModel` of ONNX Runtime."""

    graph: ModelGraph

    @property
    def runtime_version(self) -> str:
        """ONNX Runtime's version."""
        return str(ort.__version__)

    def made_by(self, kind: EntryKind) -> Callable[..., object]:
        """Return the function that makes what is kept."""
        return _MADE_BY[kind]

    def multiplications(self) -> int:
        """Return the multiplications of a sample."""
        return multiplications(self.graph)

    def calibrate(
        self, samples: Sequence[Feeds], ranges: Path, others: Collection[TensorRanges] = ()
    ) -> None:
        """Write the ranges as `profiling.quantization.calibration.calibrate` does; others by need."""
        if others:
            calibrate_choosing(self.graph, samples, ranges, others)
        else:
            calibrate(self.graph.model, self.graph.quantizable_nodes, samples, ranges)

    def has_ranges(self, ranges: Path, others: Collection[TensorRanges] = ()) -> bool:
        """Return whether a file knows every tensor that a unit can quantize."""
        units = self.graph.units
        tensors = {name for unit in units for name in self.graph.tensors_quantized_with(unit.index)}
        return has_ranges_of(ranges, tensors, others)

    def refused_units(
        self, calibration: Calibration, samples: Sequence[Feeds], level: Optimization, journal: CrashJournal
    ) -> dict[str, str]:
        """Return the units that come out wrong once they are quantized."""
        return refused_units(UnitCheck(self.graph, calibration, samples, level, journal))

    def with_refused(self, reasons: Mapping[Precision, Mapping[str, str]]) -> Self:
        """Return the model as `profiling.graph.unit_graph.with_refusals` has it."""
        return replace(self, graph=with_refusals(self.graph, reasons))

    def compressed_weights(self, calibration: Calibration) -> tuple[CompressedUnit, ...]:
        """Return the weights' bytes as `profiling.graph.compressed_weights.compress_weights` does."""
        return compress_weights(self.graph, calibration)

    def with_compressed_weights(self, sizes: Sequence[CompressedUnit]) -> Self:
        """Return the model whose weights are kept compressed."""
        return replace(self, graph=with_compressed(self.graph, sizes))

    def measure_latency(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, progress: Progress
    ) -> LatencyProfile:
        """Return seconds by the runtime's profiler, as `profiling.latency.measure_latency` has them."""
        return measure_latency(self.graph, calibration, feeds, setup, progress)

    def measurement_plan(self, calibration: Calibration, setup: Setup, device: str) -> MeasurementPlan:
        """Return what `profiling.latency.measure_latency` measures."""
        return measurement_plan(self.graph, calibration, setup, device)

    def write_bundle(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, plan: MeasurementPlan, folder: Path
    ) -> None:
        """Write a bundle as `profiling.latency.write_bundle` does."""
        write_bundle(variants_of(self.graph, calibration, setup), feeds, plan, folder)

    def measure_noise(
        self,
        calibration: Calibration,
        samples: Sequence[Feeds],
        known_tensors: tuple[TensorNoise, ...] | None,
        only: NoiseSources | None,
        progress: Progress,
    ) -> NoiseProfile:
        """Return noise as `profiling.noise.measure_noise` has it."""
        return measure_noise(self.graph, calibration, samples, known_tensors, only, progress)

    def time_plan(self, plan: BuiltPlan[Any], feeds: Feeds, runtime: Runtime, rounds: int) -> PlanTiming:
        """Time a plan as `profiling.latency.measure_latency.time_plan` does."""
        return time_plan(self.graph, plan, feeds, runtime, rounds)
