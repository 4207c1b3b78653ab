"""Times several plans in turn: every stage of every chain beside the fp32 model, in the same minutes.

Only ratios of seconds measured so can be compared: a shared machine's pace changes within minutes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from profiling.arrays import Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.timing.interleaved_rounds import rounds_for, time_interleaved
from profiling.on_device.timing.interleaved_sessions import median_ratio
from profiling.runtime.open_session import Runtime
from profiling.runtime_names import TENSORFLOW
from profiling.stage_session import open_stage, runtime_of_model
from profiling.tensorflow_runtime.stage_times import content_of, stage_ratios

_BASE = (-1, -1)  # the fp32 model among the stages, which are (chain, position)
_SESSIONS = 3  # where a session's memory lies makes a few percent: the median counts


@dataclass(frozen=True, slots=True)
class TimedStage:
    """A stage's model, and how the device that its seconds are of runs here."""

    model: AnyModel
    runtime: Runtime

    @property
    def key(self) -> tuple[str, Runtime]:
        """What the fp32 model beside it is opened in."""
        return runtime_of_model(self.model), self.runtime


def time_side_by_side(
    fp32: Mapping[str, AnyModel], chains: Sequence[Sequence[TimedStage]], feeds: Feeds
) -> list[tuple[float, ...]]:
    """Return the seconds of each stage of each chain over those of the fp32 model in the same runtime.

    Parameters
    ----------
    fp32
        Runtime -> the fp32 model there.
    feeds
        One real sample.
    """
    runs = [_ratios(fp32, chains, feeds) for _ in range(_SESSIONS)]
    return [
        tuple(float(np.median([run[number][position] for run in runs])) for position in range(len(chain)))
        for number, chain in enumerate(chains)
    ]


def _ratios(
    fp32: Mapping[str, AnyModel], chains: Sequence[Sequence[TimedStage]], feeds: Feeds
) -> list[list[float]]:
    keys = list(dict.fromkeys(stage.key for chain in chains for stage in chain))
    bases = {key: open_stage(fp32[key[0]], key[1]) for key in keys if key[0] != TENSORFLOW}
    # Each runtime has a clock of its own, so those that share one run in turn.
    work = {key: {_BASE: partial(base.run, None, dict(feeds))} for key, base in bases.items()}
    apart: dict[tuple[int, int], float] = {}
    for number, chain in enumerate(chains):
        values = dict(feeds)
        for position, stage in enumerate(chain):
            session = open_stage(stage.model, stage.runtime)
            stage_feeds = {end.name: values[end.name] for end in session.get_inputs()}
            names = [end.name for end in session.get_outputs()]
            if stage.key[0] == TENSORFLOW:  # in its own process, without what goes there and back
                whole = content_of(fp32[TENSORFLOW])
                apart[number, position] = stage_ratios(whole, [stage.model], values, stage.runtime.threads)[0]
            else:
                work[stage.key][number, position] = partial(session.run, None, stage_feeds)
            values.update(zip(names, session.run(None, stage_feeds), strict=True))
    ratios = dict(apart)
    for (_, runtime), calls in work.items():
        rounds = rounds_for(calls[_BASE], 0, runtime.clock)
        seconds = time_interleaved(calls, rounds, runtime.clock)
        ratios |= {place: median_ratio(own_s, seconds[_BASE]) for place, own_s in seconds.items()}
    return [
        [ratios[number, position] for position in range(len(chain))] for number, chain in enumerate(chains)
    ]
