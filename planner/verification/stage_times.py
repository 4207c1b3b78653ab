"""Seconds of stages over those of the fp32 model in the same runtime."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from profiling.arrays import Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.timing_loop import rounds_for, time_stages
from profiling.runtime.open_session import Runtime
from profiling.runtime_names import TENSORFLOW
from profiling.stage_session import open_stage, runtime_of_model
from profiling.tensorflow_runtime.stage_times import content_of, stage_ratios


def ratios_to_whole(
    source: AnyModel, stages: Sequence[AnyModel | Path], feeds: Feeds, given: Feeds, runtime: Runtime
) -> list[float]:
    """Return the seconds of each stage over those of the fp32 model, all run in turn.

    Parameters
    ----------
    source, stages
        Of one runtime; stages in running order.
    given
        What stages of other runtimes give them.
    """
    if runtime_of_model(source) == TENSORFLOW:
        return stage_ratios(content_of(source), stages, {**feeds, **given}, runtime.threads)
    whole = open_stage(source, runtime)
    sessions = [open_stage(model, runtime) for model in stages]
    rounds = rounds_for(partial(whole.run, None, dict(feeds)), 0, runtime.clock)
    return time_stages([whole] * len(sessions), sessions, feeds, rounds, runtime.clock, given)
