"""Whether the chain of stages is the whole mixed model: bits, integer kernels, layout transposes."""

from collections.abc import Sequence

import numpy as np

from planner.deployment.built_models import VerificationTarget
from planner.plan.plan_record import ChainCheck
from planner.verification.integer_kernels import count_kernels, integer_kernels
from planner.verification.stage_chain import Chain, run_chain, same_bits
from profiling.arrays import Array, Feeds
from profiling.noise.noise_power import output_errors
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime


def check_chain(target: VerificationTarget, samples: Sequence[Feeds], runtime: Runtime) -> ChainCheck:
    """Compare the chain with the whole mixed model: bits, integer kernels, layout transposes."""
    equal, error, signal = {}, 0.0, 0.0
    # At basic optimization a chain must equal the whole model; at default a float cut changes fusions.
    for optimization in (Optimization.BASIC, Optimization.DEFAULT):
        whole = list(run_chain(Chain(target.whole_chain, runtime, optimization), target, samples))
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
    chain_kernels = count_kernels(target.stages, samples[0], runtime)
    whole_kernels = count_kernels(target.whole_chain, samples[0], runtime)
    return ChainCheck(
        samples=len(samples),
        basic_bit_equal=equal[Optimization.BASIC],
        default_bit_equal=equal[Optimization.DEFAULT],
        default_relative_difference=float(np.sqrt(error / signal)) if signal else float(error > 0),
        integer_kernels=integer_kernels(chain_kernels),
        integer_kernels_whole=integer_kernels(whole_kernels),
        added_transposes=chain_kernels["Transpose"] - whole_kernels["Transpose"],
    )


def _square(values: Array) -> float:
    return float(np.square(values.astype(np.float64)).sum())
