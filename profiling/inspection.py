"""What a model is made of: its ends, operators and units, what can be quantized and what weighs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from profiling.arrays import Feeds
from profiling.directories import cache_folder, temporary_folder
from profiling.graph.any_model import Tensor
from profiling.graph.unit_graph import ModelGraph, build_graph, with_refusals
from profiling.latency.kernel_tags import tag_model
from profiling.noise.unit_check import UnitCheck, refused_units
from profiling.on_device.create_session import Optimization
from profiling.on_device.kernels import KernelTimes, OwnerKind, read_kernels
from profiling.onnx_io.load_model import default_opset, load_model, model_hash
from profiling.precision import Precision
from profiling.preparation.made_up_samples import made_up_samples
from profiling.preparation.rewrite_steps import prepare_model
from profiling.quantization.calibration import Calibration, calibrate
from profiling.quantization.int8_overflow import this_cpu_overflows
from profiling.quantization.node_forms import FORMS
from profiling.quantization.qdq_model import INT8, INT8_REDUCED
from profiling.runtime.crash_journal import SUFFIX, CrashJournal
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session

_RUNS = 10  # for a look: more would be steadier and slower; planning measures again, interleaved
_BESIDE_INT8 = (Precision.INT8_QOPERATOR, *FORMS)
_SAMPLES = 4  # each is a run; more would refine ranges that serve this report only


@dataclass(frozen=True, slots=True)
class End:
    """An input or output of the model.

    Parameters
    ----------
    dtype
        NumPy's name of the element type.
    shape
        Static: a symbolic batch counts as 1.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


@dataclass(frozen=True, slots=True)
class UnitFacts:
    """One unit.

    Parameters
    ----------
    obstacle
        Why it cannot be quantized; empty if it can.
    quantized
        Whether it came quantized.
    weight_bytes, weight_bytes_int8
        As it is, and once it is int8 (the same if it cannot be).
    output_bytes
        What crosses a link if the model is cut behind it, as it computes now.
    fp32_s
        Seconds in the whole model on this machine, one thread, in ONNX Runtime with the profiler's own;
        where several runtimes run it, in LiteRT. None if the model does not run on zeros.
    modes
        A mode's name -> why the unit cannot take it, empty if it can: all of LiteRT's, if they were tried
        out; of ONNX Runtime the precisions besides fp32, int8 and int16.
    """

    name: str
    op_types: tuple[str, ...]
    obstacle: str
    quantized: bool
    weight_bytes: int
    weight_bytes_int8: int
    output_bytes: int
    fp32_s: float | None
    modes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `plan inspect` tells; operators as the model came, units as they are planned.

    Parameters
    ----------
    tried_out
        Whether units ran quantized: what the runtime computes wrong then is among the obstacles.
    runtime
        What would run it: onnxruntime or litert, or both.
    """

    model: str
    opset: int
    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    operators: dict[str, int]
    units: tuple[UnitFacts, ...]
    tried_out: bool = True
    runtime: str = "onnxruntime"

    @property
    def weight_bytes(self) -> int:
        """Bytes of all weights as they are."""
        return sum(unit.weight_bytes for unit in self.units)

    @property
    def weight_bytes_int8(self) -> int:
        """Bytes of all weights once everything that can be quantized is."""
        return sum(unit.weight_bytes_int8 for unit in self.units)


def inspect_model(
    path: Path, input_shapes: Mapping[str, tuple[int, ...]], samples: Sequence[Feeds] = ()
) -> Inspection:
    """Return what a model is made of.

    Parameters
    ----------
    input_shapes
        Input name -> whole shape, where a dimension other than the batch is dynamic.
    samples
        Real ones. Without them made-up numbers are tried, which some models do not take.

    Raises
    ------
    ModelError
        If the model cannot be read or planned.
    """
    source = load_model(path, input_shapes)
    operators = Counter(node.op_type for node in source.graph.node)
    graph = build_graph(prepare_model(source, samples))
    tried = [samples[i] for i in range(min(_SAMPLES, len(samples)))] or made_up_samples(source)
    if tried:
        graph = with_refusals(graph, _refused(graph, tried))
    times = _fp32_times(graph, tried)
    return Inspection(
        model=str(path),
        opset=default_opset(source),
        inputs=tuple(_end(graph.tensors[name]) for name in graph.inputs),
        outputs=tuple(_end(graph.tensors[name]) for name in graph.outputs),
        operators=dict(operators.most_common()),
        units=tuple(
            UnitFacts(
                name=unit.name,
                op_types=unit.op_types,
                obstacle=unit.why_not(Precision.INT8),
                quantized=unit.quantized,
                weight_bytes=unit.weight_bytes,
                weight_bytes_int8=unit.weight_bytes_in(
                    Precision.INT8 if unit.can_be(Precision.INT8) else Precision.FP32
                ),
                output_bytes=sum(graph.tensors[name].size_bytes for name in unit.outputs),
                fp32_s=None if times is None else times.of(OwnerKind.UNIT).get(unit.index, 0.0),
                modes={precision.value: unit.why_not(precision) for precision in _BESIDE_INT8},
            )
            for unit in graph.units
        ),
        tried_out=bool(tried),
    )


def _end(tensor: Tensor) -> End:
    return End(tensor.name, tensor.dtype, tensor.shape, tensor.size_bytes)


def _refused(graph: ModelGraph, samples: Sequence[Feeds]) -> dict[Precision, dict[str, str]]:
    """Return precision -> unit -> why it cannot have it, as running it so on this machine shows."""
    scheme = INT8_REDUCED if this_cpu_overflows(Runtime()) else INT8
    journal = CrashJournal(cache_folder() / f"inspect-{model_hash(graph.model)[:32]}{SUFFIX}")
    with temporary_folder("inspection-") as folder:
        calibration = Calibration(scheme, folder / "ranges.json")
        calibrate(graph.model, graph.quantizable_nodes, samples, calibration.ranges)
        return {
            precision: refused_units(
                UnitCheck(
                    graph,
                    Calibration(scheme.at(precision), calibration.ranges),
                    samples,
                    Optimization.DEFAULT,
                    journal,
                )
            )
            for precision in (Precision.INT8, *_BESIDE_INT8)
        }


def _fp32_times(graph: ModelGraph, samples: Sequence[Feeds]) -> KernelTimes | None:
    """Return the seconds of each unit in the whole model, as the runtime's own profile has them."""
    if not samples:
        return None
    with temporary_folder("kernels-") as folder:
        optimized = folder / "optimized.onnx"
        trace = Trace(folder / "run", optimized)
        session = open_session(tag_model(graph.model, graph), Runtime(), trace=trace)
        for _ in range(_RUNS):
            run_session(session, samples[0])
        return read_kernels(Path(session.end_profiling()), optimized)
