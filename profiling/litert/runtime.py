"""LiteRT as a runtime: load, graph, quantize by unit, noise, cut, run, time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from profiling.arrays import Array, Feeds
from profiling.graph.any_model import Stage
from profiling.litert.calibration import Ranges, calibrate_litert
from profiling.litert.cut import cut
from profiling.litert.interpreter import StageRunner, run_chain
from profiling.litert.latency.time_in_place import UnitTimes, time_units
from profiling.litert.load import LitertModel, load_litert
from profiling.litert.mode_search import UnitModes
from profiling.litert.modes import FP32, MODES, Mode
from profiling.litert.noise.measure_litert_noise import measure_litert_noise
from profiling.litert.quantize import QuantizedModel, quantize_units
from profiling.litert.shapes import with_shapes
from profiling.litert.unit_graph import LitertGraph, build_litert_graph
from profiling.progress import Progress, silent
from profiling.records.profile import NoiseProfile


@dataclass(frozen=True, slots=True)
class LitertRuntime:
    """What a plan asks of LiteRT.

    Parameters
    ----------
    threads
        Of every operator; times are of one thread.
    """

    threads: int = 1

    def load(
        self, path: Path, signature: str = "", input_shapes: Mapping[str, tuple[int, ...]] | None = None
    ) -> LitertGraph:
        """Return the units of a `.tflite` file; errors as `load_litert` and `with_shapes`."""
        return self.graph(with_shapes(load_litert(path, signature), input_shapes or {}))

    def graph(self, model: LitertModel) -> LitertGraph:
        """Return the units of a model; errors as `build_litert_graph`."""
        return build_litert_graph(model)

    def calibrate(self, graph: LitertGraph, samples: Sequence[Feeds]) -> Ranges:
        """Return ranges for all recipes; errors as `calibrate_litert`."""
        return calibrate_litert(graph.model, samples)

    def quantize(self, graph: LitertGraph, modes: Mapping[int, Mode], ranges: Ranges) -> QuantizedModel:
        """Return the model with units in modes; errors as `quantize_units`."""
        return quantize_units(graph, modes, ranges)

    def noise(
        self,
        graph: LitertGraph,
        ranges: Ranges,
        samples: Sequence[Feeds],
        possible: Sequence[UnitModes],
        progress: Progress = silent,
    ) -> dict[Mode, NoiseProfile]:
        """Return noise in each mode that a unit can take; errors as `measure_litert_noise`."""
        modes = tuple(m for m in MODES if m is not FP32 and any(m in unit.possible for unit in possible))
        return measure_litert_noise(graph, ranges, samples, modes, possible, progress)

    def cut(self, parted: LitertGraph | QuantizedModel, stages: Sequence[Sequence[int]]) -> tuple[Stage, ...]:
        """Return stages of units, in running order; errors as `cut`."""
        return cut(parted.model, [parted.operators_of(units) for units in stages], parted.shared)

    def run(self, stage: Stage, feeds: Feeds) -> dict[str, Array]:
        """Return the outputs of a stage by name; errors as `StageRunner`."""
        return StageRunner(stage.content, self.threads)(feeds)

    def run_chain(self, graph: LitertGraph, stages: Sequence[Stage], feeds: Feeds) -> dict[str, Array]:
        """Return the model's outputs by its signature's keys, computed by stages."""
        return run_chain(graph.model, stages, feeds, self.threads)

    def time(self, parted: LitertGraph | QuantizedModel, feeds: Feeds) -> UnitTimes:
        """Return the seconds of each unit inside the whole, one thread."""
        return time_units(parted, feeds)
