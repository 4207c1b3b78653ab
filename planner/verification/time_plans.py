"""Several plans timed in turn: every stage of every chain beside the fp32 model, in the same minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx

from profiling.arrays import Feeds
from profiling.on_device.timing import rounds_for, time_interleaved
from profiling.runtime.session import Runtime, open_session

_SESSIONS = 3  # where a session's memory lies makes a few percent: the middle one counts


@dataclass(frozen=True, slots=True)
class TimedStage:
    """A stage's model, and how the device that its seconds are of runs here."""

    model: onnx.ModelProto
    runtime: Runtime


def time_side_by_side(
    source: onnx.ModelProto, chains: Sequence[Sequence[TimedStage]], feeds: Feeds
) -> list[tuple[float, ...]]:
    """Return the seconds of each stage of each chain over those of the fp32 model in the same runtime.

    Parameters
    ----------
    source
        The fp32 model.
    feeds
        One real sample.
    """
    found = [_ratios(source, chains, feeds) for _ in range(_SESSIONS)]
    return [
        tuple(float(np.median([one[number][place] for one in found])) for place in range(len(chain)))
        for number, chain in enumerate(chains)
    ]


def _ratios(
    source: onnx.ModelProto, chains: Sequence[Sequence[TimedStage]], feeds: Feeds
) -> list[list[float]]:
    runtimes = list(dict.fromkeys(stage.runtime for chain in chains for stage in chain))
    bases = {runtime: open_session(source, runtime) for runtime in runtimes}
    work = {
        (-1, place): partial(bases[runtime].run, None, dict(feeds)) for place, runtime in enumerate(runtimes)
    }
    for number, chain in enumerate(chains):
        values = dict(feeds)
        for place, stage in enumerate(chain):
            session = open_session(stage.model, stage.runtime)
            mine = {end.name: values[end.name] for end in session.get_inputs()}
            names = [end.name for end in session.get_outputs()]
            values.update(zip(names, session.run(None, mine), strict=True))
            work[number, place] = partial(session.run, None, mine)
    rounds = max((rounds_for(call, 0) for key, call in work.items() if key[0] < 0), default=0)
    seconds = {key: np.asarray(own) for key, own in time_interleaved(work, rounds).items()}
    return [
        [
            float(np.median(seconds[number, place] / seconds[-1, runtimes.index(stage.runtime)]))
            for place, stage in enumerate(chain)
        ]
        for number, chain in enumerate(chains)
    ]
