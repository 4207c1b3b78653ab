"""Runs the stages in a chain, and compares them with the fp32 model and the whole mixed model."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx

from planner.deployment.deliverable import VerificationTarget
from planner.inputs.dataset import Dataset
from planner.plan.records import ChainCheck, Measured, Metrics
from planner.user_objects import Metric
from planner.verification.error_metrics import MetricsSum
from planner.verification.stage_chain import Chain, same_bits
from profiling.arrays import Array, Feeds
from profiling.directories import temporary_folder
from profiling.noise.noise_power import output_errors
from profiling.on_device.kernels import read_op_types
from profiling.on_device.timing import rounds_for, time_stages
from profiling.onnx_io.load import dimensions
from profiling.progress import Progress, silent
from profiling.runtime.session import (
    Optimization,
    Runtime,
    Trace,
    open_session,
    run_at_once,
    run_samples,
    run_session,
)

_CHAIN_SAMPLES = 16  # bit equality is a property of the graphs: a few samples show it
_TIMED_SESSIONS = 3  # where a session's memory lies makes a few percent: the median counts
_KEPT_ELEMENTS = 2**26  # of inputs and outputs in a batch: 256 MiB of float


def measure_errors(
    deliverable: VerificationTarget,
    data: Dataset,
    runtime: Runtime,
    metric: Metric | None = None,
    progress: Progress = silent,
) -> Metrics:
    """Return how far the chain of stages is from the fp32 model on every sample."""
    total = MetricsSum(metric)
    classes = data.classes
    done = 0
    for batch in _sample_batches(data, deliverable.source):
        exact = _run_whole(deliverable.source, batch, runtime)
        chain = Chain(deliverable.stages, runtime, *deliverable.levels)
        for got, want in zip(_run_chain(chain, deliverable, batch), exact, strict=True):
            label = None if classes is None else int(classes[done])
            total.add(got, want, label)
            done += 1
            progress("running the stages", done, len(data.samples))
        del chain
    return total.result(None if data.labels is None else data.labels.tolist())


def _sample_batches(data: Dataset, model: onnx.ModelProto) -> Iterator[list[Feeds]]:
    """Yield the samples in batches that fit into memory, since large models are run one at a time."""
    ends = (*model.graph.input, *model.graph.output)
    elements = [np.prod([d or 1 for d in dimensions(value)]) for value in ends]
    step = max(1, int(_KEPT_ELEMENTS // max(1, sum(elements))))
    for start in range(0, len(data.samples), step):
        yield [data.samples[i] for i in range(start, min(start + step, len(data.samples)))]


def _run_whole(
    model: onnx.ModelProto | Path,
    samples: Iterable[Feeds],
    runtime: Runtime,
    optimization: Optimization = Optimization.DEFAULT,
) -> list[dict[str, Array]]:
    session = open_session(model, runtime, optimization)
    return list(run_samples(session, samples))


def _run_chain(
    chain: Chain, deliverable: VerificationTarget, samples: Iterable[Feeds]
) -> Iterator[dict[str, Array]]:
    return run_at_once(partial(chain.run, outputs=deliverable.outputs), samples)


def verify(
    deliverable: VerificationTarget,
    data: Dataset,
    runtime: Runtime,
    metric: Metric | None = None,
    progress: Progress = silent,
) -> Measured:
    """Run a plan's stages on the evaluation data and compare them with both whole models.

    Parameters
    ----------
    runtime
        Threads and provider of every session.
    """
    errors = measure_errors(deliverable, data, runtime, metric, progress)
    few = data.spread(_CHAIN_SAMPLES).samples
    check = check_chain(deliverable, list(few), runtime)
    whole, chain = latency_ratios(deliverable, data.samples[0], runtime)
    return Measured(
        **msgspec.structs.asdict(errors),
        latency_ratio_to_fp32=whole,
        chain_ratio_to_fp32=chain,
        chain=check,
    )


def check_chain(deliverable: VerificationTarget, samples: Sequence[Feeds], runtime: Runtime) -> ChainCheck:
    """Compare the chain with the whole mixed model: bits, integer kernels, layout transposes."""
    equal, error, signal = {}, 0.0, 0.0
    # At basic optimization a chain must equal the whole model; at default a float cut changes fusions.
    for optimization in (Optimization.BASIC, Optimization.DEFAULT):
        whole = _run_whole(deliverable.mixed, samples, runtime, optimization)
        chain = Chain(deliverable.stages, runtime, optimization)
        same = True
        for got, want in zip(_run_chain(chain, deliverable, samples), whole, strict=True):
            same = same and same_bits(got, want)
            if optimization is Optimization.DEFAULT:
                pairs = list(output_errors(got, want))  # finite where both are equally not
                error += sum(_square(difference) for difference, _ in pairs)
                signal += sum(_square(exact) for _, exact in pairs)
        equal[optimization] = same
        del chain
    parts = _op_types(deliverable.stages, samples[0], runtime)
    whole_ops = _op_types([deliverable.mixed], samples[0], runtime)
    return ChainCheck(
        samples=len(samples),
        basic_bit_equal=equal[Optimization.BASIC],
        default_bit_equal=equal[Optimization.DEFAULT],
        default_relative_difference=float(np.sqrt(error / signal)) if signal else float(error > 0),
        integer_kernels=_integer_kernels(parts),
        integer_kernels_whole=_integer_kernels(whole_ops),
        added_transposes=parts["Transpose"] - whole_ops["Transpose"],
    )


def latency_ratios(deliverable: VerificationTarget, feeds: Feeds, runtime: Runtime) -> tuple[float, float]:
    """Return seconds over the fp32 model's, timed in turn: of the whole mixed model, and of all stages."""
    ratios = []
    for _ in range(_TIMED_SESSIONS):
        pair = []
        for models in ([deliverable.mixed], deliverable.stages):  # large models are in memory once
            source = open_session(deliverable.source, runtime)
            sessions = [open_session(model, runtime) for model in models]
            rounds = rounds_for(partial(source.run, None, dict(feeds)), 0)
            pair.append(sum(time_stages(source, sessions, feeds, rounds)))
            del source, sessions
        ratios.append(pair)
    whole, chain = np.median(np.asarray(ratios), axis=0)
    return float(whole), float(chain)


def _op_types(models: Iterable[onnx.ModelProto | Path], feeds: Feeds, runtime: Runtime) -> Counter[str]:
    """Return how often each kernel type runs in a chain, from the runtime's own profile of one sample."""
    values: dict[str, Array] = dict(feeds)
    counts = Counter[str]()
    with temporary_folder("kernels-") as folder:
        for number, model in enumerate(models):
            session = open_session(model, runtime, trace=Trace(folder / f"run{number}"))
            values |= run_session(session, {end.name: values[end.name] for end in session.get_inputs()})
            counts.update(read_op_types(Path(session.end_profiling())))
    return counts


def _integer_kernels(ops: Counter[str]) -> int:
    return sum(count for op, count in ops.items() if op.startswith(("QLinear", "QGemm")) or "Integer" in op)


def _square(values: Array) -> float:
    return float(np.square(values.astype(np.float64)).sum())
