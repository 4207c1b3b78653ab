"""Whether the chain of stages is the whole mixed model: bits, integer kernels, layout transposes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx

from planner.deployment.built_models import VerificationTarget
from planner.plan.plan_record import ChainCheck
from planner.verification.stage_chain import Chain, run_chain, run_whole, same_bits
from profiling.arrays import Array, Feeds
from profiling.directories import temporary_folder
from profiling.graph.integer_operators import is_integer_operator
from profiling.noise.noise_power import output_errors
from profiling.on_device.kernels import read_op_types
from profiling.on_device.session_options import Optimization
from profiling.runtime.open_session import Runtime, Trace, open_session, run_session


def check_chain(target: VerificationTarget, samples: Sequence[Feeds], runtime: Runtime) -> ChainCheck:
    """Compare the chain with the whole mixed model: bits, integer kernels, layout transposes."""
    equal, error, signal = {}, 0.0, 0.0
    # At basic optimization a chain must equal the whole model; at default a float cut changes fusions.
    for optimization in (Optimization.BASIC, Optimization.DEFAULT):
        whole = run_whole(target.mixed, samples, runtime, optimization)
        chain = Chain(target.stages, runtime, optimization)
        same = True
        for got, want in zip(run_chain(chain, target, samples), whole, strict=True):
            same = same and same_bits(got, want)
            if optimization is Optimization.DEFAULT:
                pairs = list(output_errors(got, want))  # finite where both are equally not
                error += sum(_square(difference) for difference, _ in pairs)
                signal += sum(_square(exact) for _, exact in pairs)
        equal[optimization] = same
        del chain
    parts = _op_types(target.stages, samples[0], runtime)
    whole_ops = _op_types([target.mixed], samples[0], runtime)
    return ChainCheck(
        samples=len(samples),
        basic_bit_equal=equal[Optimization.BASIC],
        default_bit_equal=equal[Optimization.DEFAULT],
        default_relative_difference=float(np.sqrt(error / signal)) if signal else float(error > 0),
        integer_kernels=_integer_kernels(parts),
        integer_kernels_whole=_integer_kernels(whole_ops),
        added_transposes=parts["Transpose"] - whole_ops["Transpose"],
    )


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
    return sum(count for op_type, count in ops.items() if is_integer_operator(op_type))


def _square(values: Array) -> float:
    return float(np.square(values.astype(np.float64)).sum())
