"""What planning asks of a model that TensorFlow runs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from profiling.arrays import Feeds
from profiling.errors import ProfileError
from profiling.graph.compressed_weights import UncompressedWeights
from profiling.latency.measure_latency import BuiltPlan, Setup
from profiling.latency.measured_mixes import planned_switches, planned_units
from profiling.latency.plan_timing import PlanTiming, StageTime
from profiling.noise.noise_sources import NoiseSources
from profiling.on_device.clock.run_clock import CPU, WALL, RunTime
from profiling.on_device.create_session import Optimization
from profiling.on_device.kernels import Kernel, KernelTimes, Owner, OwnerKind
from profiling.on_device.measured_record import Timed
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.processor import cpu_description
from profiling.on_device.robust_statistics import are_noisy, middle_error, relative_iqr
from profiling.precision import Precision
from profiling.progress import Progress
from profiling.quantization.calibration import Calibration
from profiling.range_method import TensorRanges
from profiling.records.cache import EntryKind
from profiling.records.profile import (
    TENSORFLOW_CPU,
    LatencyProfile,
    NoiseProfile,
    SeamCost,
    SwitchCost,
    TensorNoise,
    UnitCost,
)
from profiling.runtime.crash_journal import CrashJournal
from profiling.runtime.open_session import Runtime
from profiling.tensorflow_runtime.saved_model_graph import SavedModelGraph
from profiling.tensorflow_runtime.stage_times import stage_ratios
from profiling.tensorflow_runtime.tensorflow_process import tensorflow_process

_SESSIONS = 3


@dataclass(frozen=True, slots=True)
class TensorFlowRuntimeModel(UncompressedWeights):
    """A `RuntimeModel` of TensorFlow, which computes in float."""

    graph: SavedModelGraph

    @property
    def runtime_version(self) -> str:
        """TensorFlow's version."""
        return str(tensorflow_process(1).ask("version"))

    def made_by(self, kind: EntryKind) -> Callable[..., object]:
        """Return a function whose module makes all that is kept."""
        del kind
        return _unit_seconds

    def multiplications(self) -> int:
        """Return 0: noise is never measured here."""
        return 0

    def calibrate(
        self, samples: Sequence[Feeds], ranges: Path, others: Collection[TensorRanges] = ()
    ) -> None:
        """Write that nothing has a range."""
        del samples, others
        ranges.write_text("{}")

    def has_ranges(self, ranges: Path, others: Collection[TensorRanges] = ()) -> bool:
        """Return whether the file is there."""
        del others
        return ranges.is_file()

    def refused_units(
        self, calibration: Calibration, samples: Sequence[Feeds], level: Optimization, journal: CrashJournal
    ) -> dict[str, str]:
        """Return nothing: what no unit can be was said before."""
        del calibration, samples, level, journal
        return {}

    def with_refused(self, reasons: Mapping[Precision, Mapping[str, str]]) -> Self:
        """Return the model as it is: all is in float."""
        del reasons
        return self

    def measure_latency(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, progress: Progress
    ) -> LatencyProfile:
        """Return the seconds of units, each run alone, brought to those of the whole."""
        progress("timing", 0, 1)
        found = _unit_seconds(self.graph, feeds, setup.runtime.threads, setup.rounds)
        progress("timing", 1, 1)
        floats = [name for name in self.graph.boundary_tensors() if self.graph.tensors[name].is_float]
        both = (Precision.FP32, Precision.INT8)
        spread = relative_iqr(found.runs_s)
        return LatencyProfile(
            model_sha256=self.graph.model_sha256,
            runtime_version=self.runtime_version,
            scheme=calibration.scheme.label,
            overflows=False,
            processor=cpu_description(),
            threads=setup.runtime.threads,
            provider=TENSORFLOW_CPU,
            samples=len(found.runs_s),
            runs_s={Precision.FP32: found.runs_s},
            spread=spread,
            noisy=are_noisy(found.runs_s),
            wall_s={Precision.FP32: found.wall_s},
            unattributed_s={Precision.FP32: found.start_s},
            profiled_s={Precision.FP32: found.kernels.total_s},
            units=tuple(
                UnitCost(unit.name, Precision.FP32, kernel.seconds)
                for unit, kernel in zip(self.graph.units, found.profiled.kernels, strict=True)
            ),
            switches=tuple(
                SwitchCost(name, *ends, 0.0, measured=False) for name in floats for ends in (both, both[::-1])
            ),
            start_s=found.start_s,
            seams=tuple(SeamCost(name, form, 0.0, 0.0, measured=False) for name in floats for form in both),
            wires=(),
            clock=CPU if setup.runtime.threads == 1 else WALL,
        )

    def measurement_plan(self, calibration: Calibration, setup: Setup, device: str) -> MeasurementPlan:
        """Raise that it is measured where this package is installed."""
        del calibration, setup
        raise ProfileError(
            f"{device} runs tensorflow, for which there is no bundle: run plan profile on the device itself"
        )

    def write_bundle(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, plan: MeasurementPlan, folder: Path
    ) -> None:
        """Raise as `measurement_plan` does."""
        del feeds, folder
        self.measurement_plan(calibration, setup, plan.device)

    def measure_noise(
        self,
        calibration: Calibration,
        samples: Sequence[Feeds],
        known_tensors: tuple[TensorNoise, ...] | None,
        only: NoiseSources | None,
        progress: Progress,
    ) -> NoiseProfile:
        """Return that nothing adds noise."""
        del known_tensors, only, progress
        label = calibration.scheme.label
        return NoiseProfile(self.graph.model_sha256, self.runtime_version, label, len(samples), (), ())

    def time_plan(self, plan: BuiltPlan[Any], feeds: Feeds, runtime: Runtime, rounds: int) -> PlanTiming:
        """Time the whole model, its units and a plan's stages on this machine."""
        whole = _unit_seconds(self.graph, feeds, runtime.threads, rounds)
        stages = [stage for _, stage in plan.stages]
        values = {**feeds, **plan.handed_over}
        runs = [
            stage_ratios(plan.mixed.content, stages, values, runtime.threads, rounds)
            for _ in range(_SESSIONS)
        ]
        times = tuple(
            StageTime(units, median(run[number] for run in runs) * whole.wall_s)
            for number, (units, _) in enumerate(plan.stages)
        )
        switches = planned_switches(self.graph)
        error = middle_error([sum(run) for run in runs])
        return PlanTiming(planned_units(self.graph), switches, plan.mix, whole.wall_s, whole, times, error)


def _unit_seconds(graph: SavedModelGraph, feeds: Feeds, threads: int, rounds: int) -> Timed:
    """Return the seconds of the whole model, and of each unit as its kernel."""
    process = tensorflow_process(threads)
    number = process.ask("open", graph.content)
    whole, *parts = process.ask("time_parts", number, graph.parts(), dict(feeds), rounds)
    process.ask("close", number)
    start_s, wall_s = process.ask("start"), median(whole)
    alone = [max(0.0, median(runs) - start_s) for runs in parts]
    factor = max(0.0, wall_s - start_s) / (sum(alone) or 1.0)
    kernels = tuple(
        Kernel(unit.name, unit.op_types[0], Owner(OwnerKind.UNIT, unit.index), seconds * factor)
        for unit, seconds in zip(graph.units, alone, strict=True)
    )
    return Timed(wall_s, KernelTimes(kernels), tuple(map(RunTime, whole)), start_s)
