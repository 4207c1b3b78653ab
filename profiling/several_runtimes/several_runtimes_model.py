"""What planning asks of a model in several runtimes: each answers for its own devices, in its own units."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from onnx import TensorProto

from profiling.arrays import Feeds
from profiling.directories import temporary_folder
from profiling.errors import ModelError, ProfileError, ProfilingError
from profiling.graph.compressed_weights import UncompressedWeights
from profiling.graph.operator_graph import OperatorGraph
from profiling.graph.unit_graph import ModelGraph
from profiling.latency.measure_latency import BuiltPlan, Setup
from profiling.latency.plan_timing import PlanTiming
from profiling.litert.planning.litert_model import LitertRuntimeModel
from profiling.litert.planning.ranges_file import load_ranges
from profiling.litert.unit_graph import LitertGraph
from profiling.noise.noise_sources import NoiseSources
from profiling.on_device.create_session import Optimization
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.onnx_runtime_model import OnnxRuntimeModel
from profiling.precision import Precision
from profiling.progress import Progress
from profiling.quantization.calibration import Calibration
from profiling.quantization.ranges_file import replace_ranges
from profiling.range_method import TensorRanges
from profiling.records.cache import EntryKind
from profiling.records.profile import LatencyProfile, NoiseProfile, SeamCost, TensorNoise
from profiling.runtime.crash_journal import CrashJournal
from profiling.runtime.open_session import Runtime
from profiling.runtime_model import RuntimeModel
from profiling.runtime_names import LITERT, ONNX_RUNTIME, TENSORFLOW
from profiling.several_runtimes.block_graph import BlockGraph, RuntimePart, build_block_graph
from profiling.several_runtimes.crossing_forms import Adapter, Affine, End, adapter_seconds
from profiling.several_runtimes.joint_blocks import JointBlock, OwnTensor, join_blocks
from profiling.several_runtimes.model_values import litert_values, onnx_values, with_random_samples
from profiling.several_runtimes.own_ranges import own_ranges, save_ranges_of_runtimes
from profiling.several_runtimes.tensor_matches import Values, have_equal_values, match_tensors
from profiling.stage_session import runtime_of_model
from profiling.tensorflow_runtime.saved_model_graph import SavedModelGraph, merged
from profiling.tensorflow_runtime.tensorflow_model import TensorFlowRuntimeModel

# Scales of any value take the same time.
_INTEGERS = Affine(1.0, 128, TensorProto.UINT8), Affine(1.0, 0, TensorProto.INT8)

_NO_PLAN = {  # plans for TensorFlow alone are made over the .tflite file, too
    ONNX_RUNTIME: "devices can then run one runtime only",
    TENSORFLOW: "no device can then run tensorflow",
}


def join_runtimes(
    litert: LitertGraph, others: Sequence[ModelGraph | SavedModelGraph], samples: Sequence[Feeds]
) -> "SeveralRuntimesModel":
    """Return one model in several runtimes, whose stages can be chained.

    Parameters
    ----------
    litert, others
        Of the same network, with the same inputs and outputs.
    samples
        On which their tensors are compared.

    Raises
    ------
    ModelError
        If they are not the same network.
    """
    many = with_random_samples(samples)
    litert_tensors = litert_values(litert, many)
    ends = {name: _same(litert, name) for name in (*litert.inputs, *litert.outputs)}
    graphs: dict[str, OperatorGraph] = {LITERT: litert}
    matches: dict[str, dict[str, OwnTensor]] = {}
    for other in others:
        runtime = ONNX_RUNTIME if isinstance(other, ModelGraph) else TENSORFLOW
        _require_same_names("inputs", litert.inputs, other.inputs, runtime)
        _require_same_names("outputs", litert.outputs, other.outputs, runtime)
        tensors = onnx_values(other, many) if isinstance(other, ModelGraph) else other.values(many)
        _require_equal(litert, other, litert_tensors, tensors, runtime)
        found = match_tensors(litert_tensors, tensors)
        # What is fed and due has the same name and form in all.
        inner = {n: own for n, own in found.items() if n not in ends and own.name not in ends}
        graphs[runtime], matches[runtime] = other, inner | ends
    common = set.intersection(*(set(found) for found in matches.values()))
    matches = {LITERT: {name: _same(litert, name) for name in common}, **matches}
    blocks = join_blocks(graphs, {r: {n: found[n] for n in common} for r, found in matches.items()})
    models = {runtime: _model_of(graph, runtime, blocks) for runtime, graph in graphs.items()}
    return SeveralRuntimesModel(
        build_block_graph(models, [_with_merged_units(b, i) for i, b in enumerate(blocks)])
    )


def _model_of(graph: OperatorGraph, runtime: str, blocks: Sequence[JointBlock]) -> RuntimeModel:
    if isinstance(graph, LitertGraph):
        return LitertRuntimeModel(graph)
    if isinstance(graph, ModelGraph):
        return OnnxRuntimeModel(graph)
    if isinstance(graph, SavedModelGraph):
        return TensorFlowRuntimeModel(merged(graph, [block.units[runtime] for block in blocks]))
    raise TypeError("the graph is of no runtime")


def _with_merged_units(block: JointBlock, number: int) -> JointBlock:
    """Return a block whose operators of TensorFlow are one unit: they are timed together."""
    if TENSORFLOW not in block.units:
        return block
    return replace(block, units={**block.units, TENSORFLOW: (number,)})


def _require_same_names(kind: str, litert: Sequence[str], others: Sequence[str], runtime: str) -> None:
    if set(litert) != set(others):
        there, here = ", ".join(litert), ", ".join(others)
        raise ModelError(
            f"model: its {kind} are {there} in the .tflite file, and {here} for {runtime}; "
            f"{_NO_PLAN[runtime]}"
        )


def _require_equal(
    litert: LitertGraph,
    other_graph: OperatorGraph,
    litert_tensors: Mapping[str, Values],
    other_tensors: Mapping[str, Values],
    runtime: str,
) -> None:
    """Refuse models whose ends differ in their shapes, types or values."""
    for name in (*litert.inputs, *litert.outputs):
        one, other = litert.tensors[name], other_graph.tensors[name]
        if (one.shape, one.elem_type) != (other.shape, other.elem_type):
            raise ModelError(
                f"model: {name!r} is {one.dtype} of shape {list(one.shape)} in the .tflite file, and "
                f"{other.dtype} of shape {list(other.shape)} for {runtime}; {_NO_PLAN[runtime]}"
            )
        is_judged = name in litert.outputs and one.is_float
        if is_judged and not have_equal_values(litert_tensors[name], other_tensors[name]):
            raise ModelError(
                f"model: the .tflite file and the model for {runtime} give different values of {name!r}; "
                f"{_NO_PLAN[runtime]}"
            )


def _same(graph: LitertGraph, name: str) -> OwnTensor:
    return OwnTensor(name, tuple(range(len(graph.tensors[name].shape))))


@dataclass(frozen=True, slots=True)
class SeveralRuntimesModel(UncompressedWeights):
    """A `RuntimeModel` of LiteRT and others."""

    graph: BlockGraph

    def part(self, calibration: Calibration) -> tuple[RuntimePart, Calibration]:
        """Return the model in the runtime that has a scheme, and its calibration."""
        runtime = calibration.scheme.tool or ONNX_RUNTIME
        return self.graph.parts[runtime], replace(calibration, ranges=own_ranges(calibration.ranges, runtime))

    @property
    def runtime_version(self) -> str:
        """The versions of all runtimes."""
        return ", ".join(part.model.runtime_version for part in self.graph.parts.values())

    def made_by(self, kind: EntryKind) -> Callable[..., object]:
        """Return a function whose module imports all that makes anything of the model."""
        del kind
        return join_runtimes

    def multiplications(self) -> int:
        """Return the multiplications of a sample."""
        return self.graph.first.model.multiplications()

    def calibrate(
        self, samples: Sequence[Feeds], ranges: Path, others: Collection[TensorRanges] = ()
    ) -> None:
        """Write ranges for all runtimes; a tensor of several gets LiteRT's in all."""
        del others  # of ONNX Runtime alone
        with temporary_folder("ranges-") as folder:
            files = {runtime: folder / f"{runtime}.json" for runtime in self.graph.parts}
            for runtime, part in self.graph.parts.items():
                part.model.calibrate(samples, files[runtime])
            litert = self.graph.first.graph
            if isinstance(litert, LitertGraph) and ONNX_RUNTIME in files:
                found = load_ranges(litert.model, files[LITERT])
                by_name = {litert.model.names[tensor]: ends for tensor, ends in found.items()}
                names = self.graph.parts[ONNX_RUNTIME].names
                known = {own: by_name[name] for name, own in names.items() if name in by_name}
                replace_ranges(files[ONNX_RUNTIME], known)
            save_ranges_of_runtimes(files, ranges)

    def has_ranges(self, ranges: Path, others: Collection[TensorRanges] = ()) -> bool:
        """Return whether a file has the ranges of all."""
        del others
        try:
            return all(
                part.model.has_ranges(own_ranges(ranges, name)) for name, part in self.graph.parts.items()
            )
        except (ProfilingError, KeyError, ValueError):
            return False

    def refused_units(
        self, calibration: Calibration, samples: Sequence[Feeds], level: Optimization, journal: CrashJournal
    ) -> dict[str, str]:
        """Return the blocks of which a unit is refused in a scheme's runtime."""
        part, own = self.part(calibration)
        found = part.model.refused_units(own, samples, level, journal)
        names = [unit.name for unit in part.graph.units]
        reasons = {
            block.name: next((found[names[unit]] for unit in inside if names[unit] in found), "")
            for block, inside in zip(self.graph.units, part.units, strict=True)
        }
        return {block: reason for block, reason in reasons.items() if reason}

    def with_refused(self, reasons: Mapping[Precision, Mapping[str, str]]) -> Self:
        """Return the model in which blocks stay in fp32: those refused in any precision, whole."""
        merged = {name: why for found in reasons.values() for name, why in found.items()}
        merged |= {unit.name: unit.obstacle for unit in self.graph.units if unit.obstacle}
        parts = {
            runtime: replace(part, model=part.model.with_refused(self._of_units(part, merged, reasons)))
            for runtime, part in self.graph.parts.items()
        }
        return replace(self, graph=self.graph.with_parts(parts, merged))

    def _of_units(
        self, part: RuntimePart, merged: Mapping[str, str], reasons: Mapping[Precision, object]
    ) -> dict[Precision, dict[str, str]]:
        """Return the reasons of blocks as those of their units, in every precision."""
        of_units = {
            part.graph.units[unit].name: merged[block.name]
            for block, inside in zip(self.graph.units, part.units, strict=True)
            for unit in inside
            if block.name in merged and part.graph.units[unit].can_be(Precision.INT8)
        }
        return dict.fromkeys(reasons or (Precision.INT8,), of_units)

    def measure_latency(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, progress: Progress
    ) -> LatencyProfile:
        """Return seconds of the units of the scheme's runtime; ONNX stages transpose what crosses."""
        part, own = self.part(calibration)
        profile = part.model.measure_latency(own, feeds, setup, progress)
        if not isinstance(part.graph, ModelGraph):
            return profile
        return replace(profile, seams=self._with_adapters(profile, part, setup.runtime))

    def _with_adapters(
        self, profile: LatencyProfile, part: RuntimePart, runtime: Runtime
    ) -> tuple[SeamCost, ...]:
        """Return what stages lose by ending at a tensor, its form in the other runtime included."""
        found = adapter_seconds(self._adapters(part), runtime)
        return tuple(
            replace(
                row,
                leave_s=row.leave_s + max(0.0, found[row.tensor, row.form][0] - profile.start_s),
                enter_s=row.enter_s + max(0.0, found[row.tensor, row.form][1] - profile.start_s),
            )
            if (row.tensor, row.form) in found
            else row
            for row in profile.seams
        )

    def _adapters(self, part: RuntimePart) -> dict[tuple[str, Precision], Adapter]:
        adapters = {}
        for name, own_name in part.names.items():
            tensor, own = self.graph.tensors[name], part.graph.tensors[own_name]
            ends = {Precision.FP32: (None, None)} | ({Precision.INT8: _INTEGERS} if own.is_float else {})
            for precision, (there, here) in ends.items():
                adapters[own_name, precision] = Adapter(
                    End("own", own.shape, there.elem_type if there else own.elem_type, there),
                    End("crossing", tensor.shape, here.elem_type if here else tensor.elem_type, here),
                    part.axes[name],
                )
        return adapters

    def measurement_plan(self, calibration: Calibration, setup: Setup, device: str) -> MeasurementPlan:
        """Return what a device of the scheme's runtime measures, in its own units."""
        part, own = self._part_in_bundle(calibration, device)
        return part.model.measurement_plan(own, setup, device)

    def write_bundle(
        self, calibration: Calibration, feeds: Feeds, setup: Setup, plan: MeasurementPlan, folder: Path
    ) -> None:
        """Write the bundle of the scheme's runtime."""
        part, own = self._part_in_bundle(calibration, plan.device)
        part.model.write_bundle(own, feeds, setup, plan, folder)

    def _part_in_bundle(self, calibration: Calibration, device: str) -> tuple[RuntimePart, Calibration]:
        """Return the scheme's runtime, unless its stages transpose what crosses: no bundle has that yet."""
        part, own = self.part(calibration)
        if isinstance(part.graph, ModelGraph):
            raise ProfileError(
                f"{device} runs onnxruntime beside devices of other runtimes, for which there is no bundle: "
                "run plan profile on the device itself"
            )
        return part, own

    def measure_noise(
        self,
        calibration: Calibration,
        samples: Sequence[Feeds],
        known_tensors: tuple[TensorNoise, ...] | None,
        only: NoiseSources | None,
        progress: Progress,
    ) -> NoiseProfile:
        """Return the noise of tensors and units in the scheme's runtime."""
        part, own = self.part(calibration)
        return part.model.measure_noise(own, samples, known_tensors, only, progress)

    def time_plan(self, plan: BuiltPlan[Any], feeds: Feeds, runtime: Runtime, rounds: int) -> PlanTiming:
        """Time the stages of the runtime that a plan's whole model is of."""
        part = self.graph.parts[runtime_of_model(plan.mixed)]
        return part.model.time_plan(plan, feeds, runtime, rounds)
