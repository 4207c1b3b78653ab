"""What planning asks of a `.tflite` model."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from profiling.arrays import Feeds
from profiling.errors import ProfileError
from profiling.graph.compressed_weights import UncompressedWeights
from profiling.graph.operator_graph import Unit
from profiling.latency.measure_latency import BuiltPlan, Setup
from profiling.latency.plan_timing import PlanTiming
from profiling.litert.calibration import calibrate_litert
from profiling.litert.latency.litert_latency import (
    litert_measurement_plan,
    measure_litert_latency,
    time_litert_plan,
    variant_models,
)
from profiling.litert.latency.write_litert_bundle import write_litert_bundle
from profiling.litert.mode_search import find_modes
from profiling.litert.noise.measure_litert_noise import measure_litert_noise
from profiling.litert.planning.mixed_model import MODE_OF
from profiling.litert.planning.multiply_adds import multiplications
from profiling.litert.planning.ranges_file import load_ranges, save_ranges
from profiling.litert.unit_graph import LitertGraph
from profiling.noise.noise_sources import NoiseSources
from profiling.on_device.create_session import Optimization
from profiling.on_device.litert.interpreter import litert_version
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.precision import Precision
from profiling.progress import Progress
from profiling.quantization.calibration import Calibration
from profiling.range_method import TensorRanges
from profiling.records.cache import EntryKind
from profiling.records.profile import LatencyProfile, NoiseProfile, TensorNoise
from profiling.runtime.crash_journal import CrashJournal
from profiling.runtime.open_session import Runtime

_MADE_BY: Mapping[EntryKind, Callable[..., object]] = {
    EntryKind.RANGES: calibrate_litert,
    EntryKind.REFUSED_UNITS: find_modes,
    EntryKind.LATENCY: measure_litert_latency,
    EntryKind.NOISE: measure_litert_noise,
}


@dataclass(frozen=True, slots=True)
class LitertRuntimeModel(UncompressedWeights):
    """A `RuntimeModel` of LiteRT."""

    graph: LitertGraph

    @property
    def runtime_version(self) -> str:
        """LiteRT's version."""
        return litert_version()

    def made_by(self, kind: EntryKind) -> Callable[..., object]:
        """Return the function that makes what is kept."""
        return _MADE_BY[kind]

    def multiplications(self) -> int:
        """Return the multiplications of a sample."""
        return multiplications(self.graph.model)

    def calibrate(
        self, samples: Sequence[Feeds], ranges: Path, others: Collection[TensorRanges] = ()
    ) -> None:
        """Write the range of every float tensor."""
        del others  # of ONNX Runtime
        model = self.graph.model
        save_ranges(calibrate_litert(model, samples), model, ranges)

    def has_ranges(self, ranges: Path, others: Collection[TensorRanges] = ()) -> bool:
        """Return whether a file can be read; a tensor without a finite range has none."""
        del others
        try:
            load_ranges(self.graph.model, ranges)
        except ProfileError:
            return False
        return True

    def refused_units(
        self, calibration: Calibration, samples: Sequence[Feeds], level: Optimization, journal: CrashJournal
    ) -> dict[str, str]:
        """Return the units that LiteRT's quantizer leaves, or that come out wrong."""
        del level  # of ONNX Runtime
        mode = MODE_OF[calibration.scheme.precision]
        found = find_modes(self.graph, self._ranges(calibration), samples, [mode], journal)
        units = zip(self.graph.units, found, strict=True)
        return {unit.name: one.reasons[mode.name] for unit, one in units if mode.name in one.reasons}

    def with_refused(self, reasons: Mapping[Precision, Mapping[str, str]]) -> Self:
        """Return the model in which units lack precisions; one that lacks all of them stays in float."""
        units = tuple(_without(unit, reasons) for unit in self.graph.units)
        return replace(self, graph=self.graph.with_units(units))

    def measure_latency(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, progress: Progress
    ) -> LatencyProfile:
        """Return seconds as differences of stages, as `litert_latency` has them."""
        label, ranges = calibration.scheme.label, self._ranges(calibration)
        return measure_litert_latency(self.graph, label, ranges, feeds, setup, progress)

    def measurement_plan(self, calibration: Calibration, setup: Setup, device: str) -> MeasurementPlan:
        """Return what `litert_latency` measures."""
        return litert_measurement_plan(self.graph, calibration.scheme.label, setup, device)

    def write_bundle(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, plan: MeasurementPlan, folder: Path
    ) -> None:
        """Write a bundle as `write_litert_bundle` does."""
        models = variant_models(self.graph, self._ranges(calibration), setup)
        write_litert_bundle(models, feeds, plan, folder)

    def measure_noise(
        self,
        calibration: Calibration,
        samples: Sequence[Feeds],
        known_tensors: tuple[TensorNoise, ...] | None,
        only: NoiseSources | None,
        progress: Progress,
    ) -> NoiseProfile:
        """Return noise as `profiling.litert.noise` has it."""
        del known_tensors  # each mode has its own
        mode, ranges = MODE_OF[calibration.scheme.precision], self._ranges(calibration)
        able = [unit.index for unit in self.graph.units if unit.can_be(calibration.scheme.precision)]
        found = measure_litert_noise(self.graph, ranges, samples, {mode: able}, only, progress)
        return replace(found[mode], scheme=calibration.scheme.label)

    def time_plan(self, plan: BuiltPlan[Any], feeds: Feeds, runtime: Runtime, rounds: int) -> PlanTiming:
        """Time a plan as `litert_latency.time_litert_plan` does."""
        return time_litert_plan(self.graph, plan, feeds, runtime.threads, rounds)

    def _ranges(self, calibration: Calibration) -> Mapping[int, tuple[float, float]]:
        return load_ranges(self.graph.model, calibration.ranges)


def _without(unit: Unit, reasons: Mapping[Precision, Mapping[str, str]]) -> Unit:
    refused = {precision: found[unit.name] for precision, found in reasons.items() if unit.name in found}
    if reasons and len(refused) == len(reasons):
        return replace(unit, obstacle=unit.obstacle or next(iter(refused.values())))
    return replace(unit, refused=refused)
