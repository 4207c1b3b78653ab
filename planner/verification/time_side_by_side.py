"""Times several plans in turn: every stage of every chain beside the fp32 model, in the same minutes.

Only ratios of seconds measured so can be compared: a shared machine's pace changes within minutes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from profiling.arrays import Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.timing_loop import rounds_for, time_interleaved
from profiling.runtime.open_session import Runtime
from profiling.stage_session import open_stage

_SESSIONS = 3  # where a session's memory lies makes a few percent: the median counts


@dataclass(frozen=True, slots=True)
class TimedStage:
    """A stage's model, and how the device that its seconds are of runs here."""

    model: AnyModel
    runtime: Runtime


def time_side_by_side(
    source: AnyModel, chains: Sequence[Sequence[TimedStage]], feeds: Feeds
) -> list[tuple[float, ...]]:
    """Return the seconds of each stage of each chain over those of the fp32 model in the same runtime.

    Parameters
    ----------
    source
        The fp32 model.
    feeds
        One real sample.
    """
    runs = [_ratios(source, chains, feeds) for _ in range(_SESSIONS)]
    return [
        tuple(float(np.median([run[number][position] for run in runs])) for position in range(len(chain)))
        for number, chain in enumerate(chains)
    ]


def _ratios(source: AnyModel, chains: Sequence[Sequence[TimedStage]], feeds: Feeds) -> list[list[float]]:
    runtimes = list(dict.fromkeys(stage.runtime for chain in chains for stage in chain))
    bases = {runtime: open_stage(source, runtime) for runtime in runtimes}
    work = {
        (-1, position): partial(bases[runtime].run, None, dict(feeds))
        for position, runtime in enumerate(runtimes)
    }
    for number, chain in enumerate(chains):
        values = dict(feeds)
        for position, stage in enumerate(chain):
            session = open_stage(stage.model, stage.runtime)
            stage_feeds = {end.name: values[end.name] for end in session.get_inputs()}
            names = [end.name for end in session.get_outputs()]
            values.update(zip(names, session.run(None, stage_feeds), strict=True))
            work[number, position] = partial(session.run, None, stage_feeds)
    rounds = max((rounds_for(call, 0) for key, call in work.items() if key[0] < 0), default=0)
    seconds = {key: np.asarray(row) for key, row in time_interleaved(work, rounds).items()}
    return [
        [
            float(np.median(seconds[number, position] / seconds[-1, runtimes.index(stage.runtime)]))
            for position, stage in enumerate(chain)
        ]
        for number, chain in enumerate(chains)
    ]
