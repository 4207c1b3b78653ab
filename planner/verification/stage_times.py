"""Seconds of stages over those of the fp32 model in the same runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from planner.plan.plan_record import StagePercentiles
from profiling.arrays import Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.timing.interleaved_rounds import rounds_for
from profiling.on_device.timing.interleaved_sessions import median_ratio, time_chain
from profiling.on_device.timing.session_interference import Interference
from profiling.runtime.open_session import Runtime
from profiling.runtime_names import TENSORFLOW
from profiling.stage_session import open_stage, runtime_of_model
from profiling.tensorflow_runtime.stage_times import content_of, stage_ratios

_PERCENTILES = (50, 90, 99)


@dataclass(frozen=True, slots=True)
class StageRatios:
    """Seconds of a stage over the fp32 model's, in one session.

    Parameters
    ----------
    middle
        The median over rounds.
    runs
        Each run over the median of the fp32 model's; none where a runtime tells the median alone.
    fp32_s
        That median; 0 likewise.
    interference
        What other work did to the runs.
    """

    middle: float
    runs: tuple[float, ...] = ()
    fp32_s: float = 0.0
    interference: Interference = Interference.NONE


def ratios_to_whole(
    source: AnyModel, stages: Sequence[AnyModel | Path], feeds: Feeds, given: Feeds, runtime: Runtime
) -> list[StageRatios]:
    """Return the seconds of each stage over those of the fp32 model, all run in turn.

    Parameters
    ----------
    source, stages
        Of one runtime; stages in running order.
    given
        What stages of other runtimes give them.
    """
    if runtime_of_model(source) == TENSORFLOW:
        ratios = stage_ratios(content_of(source), stages, {**feeds, **given}, runtime.threads)
        return [StageRatios(ratio) for ratio in ratios]
    whole = open_stage(source, runtime)
    sessions = [open_stage(model, runtime) for model in stages]
    rounds = rounds_for(partial(whole.run, None, dict(feeds)), 0, runtime.clock)
    found = time_chain(whole, sessions, feeds, rounds, runtime.clock, given)
    return [
        StageRatios(
            median_ratio(one.seconds, one.reference_s),
            tuple(float(seconds / np.median(one.reference_s)) for seconds in one.seconds),
            float(np.median(one.reference_s)),
            found.interference,
        )
        for one in found.stages
    ]


def percentiles_of(sessions: Sequence[StageRatios]) -> StagePercentiles | None:
    """Return how a stage's runs spread over all sessions; None where runs are not known."""
    runs = [ratio for session in sessions for ratio in session.runs]
    if not runs:
        return None
    p50, p90, p99 = np.percentile(runs, _PERCENTILES).tolist()
    return StagePercentiles(p50=p50, p90=p90, p99=p99, runs=len(runs))
