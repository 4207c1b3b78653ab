"""What planning asks of a model in the runtime that is to run it, whichever that is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from profiling.arrays import Feeds
from profiling.graph.compressed_weights import CompressedUnit
from profiling.graph.operator_graph import OperatorGraph
from profiling.latency.measure_latency import BuiltPlan, Setup
from profiling.latency.plan_timing import PlanTiming
from profiling.noise.noise_sources import NoiseSources
from profiling.on_device.create_session import Optimization
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.precision import Precision
from profiling.progress import Progress
from profiling.quantization.calibration import Calibration
from profiling.range_method import TensorRanges
from profiling.records.cache import EntryKind
from profiling.records.profile import LatencyProfile, NoiseProfile, TensorNoise
from profiling.runtime.crash_journal import CrashJournal
from profiling.runtime.open_session import Runtime


class RuntimeModel(Protocol):
    """A prepared model, its units, and how they are measured and built.

    Ranges of tensors lie in a file: `calibrate` writes it, and everything that quantizes reads it.
    """

    @property
    def graph(self) -> OperatorGraph:
        """Its units."""

    @property
    def runtime_version(self) -> str:
        """Name and version of the runtime."""

    def made_by(self, kind: EntryKind) -> Callable[..., object]:
        """Return the function whose code decides what is kept of the model under a kind."""

    def multiplications(self) -> int:
        """Return how much it computes per sample, which says on how many its noise can be measured."""

    def calibrate(
        self, samples: Sequence[Feeds], ranges: Path, others: Collection[TensorRanges] = ()
    ) -> None:
        """Write the range of every tensor that a unit can quantize, and others where the runtime has them."""

    def has_ranges(self, ranges: Path, others: Collection[TensorRanges] = ()) -> bool:
        """Return whether a file of ranges is whole."""

    def refused_units(
        self, calibration: Calibration, samples: Sequence[Feeds], level: Optimization, journal: CrashJournal
    ) -> dict[str, str]:
        """Return unit -> why it must not be quantized."""

    def with_refused(self, reasons: Mapping[Precision, Mapping[str, str]]) -> Self:
        """Return the model in which some units, by name, do not have a precision."""

    def compressed_weights(self, calibration: Calibration) -> tuple[CompressedUnit, ...]:
        """Return what each unit's weights weigh when they are compressed."""

    def with_compressed_weights(self, sizes: Sequence[CompressedUnit]) -> Self:
        """Return the model whose weights are kept compressed."""

    def measure_latency(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, progress: Progress
    ) -> LatencyProfile:
        """Return the seconds of units and switches on this machine."""

    def measurement_plan(self, calibration: Calibration, setup: Setup, device: str) -> MeasurementPlan:
        """Return what a device is to measure by itself.

        Raises
        ------
        ProfilingError
            If no device can.
        """

    def write_bundle(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, plan: MeasurementPlan, folder: Path
    ) -> None:
        """Write what a device needs to measure `measurement_plan` into an empty folder."""

    def measure_noise(
        self,
        calibration: Calibration,
        samples: Sequence[Feeds],
        known_tensors: tuple[TensorNoise, ...] | None,
        only: NoiseSources | None,
        progress: Progress,
    ) -> NoiseProfile:
        """Return the noise of each tensor and unit in a scheme, or only of some."""

    def time_plan(self, plan: BuiltPlan[Any], feeds: Feeds, runtime: Runtime, rounds: int) -> PlanTiming:
        """Time a plan's models on this machine, in turn with the fp32 model."""
