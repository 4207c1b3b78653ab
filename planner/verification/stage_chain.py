"""Runs a chain of stages on this machine, handing each cut tensor from one to the next."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from planner.deployment.built_models import VerificationTarget
from profiling.arrays import Array, Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime, run_at_once, run_samples, run_session
from profiling.stage_session import open_stage


class Chain:
    """Open sessions of all stages, in running order.

    Parameters
    ----------
    stages
        Models, or files of models.
    levels
        Graph optimization of each stage, or one for all; default if not given.
    """

    def __init__(
        self,
        stages: Iterable[AnyModel | Path],
        runtime: Runtime,
        *levels: Optimization,
    ) -> None:
        level_of_stage = itertools.cycle(levels or (Optimization.DEFAULT,))
        self._sessions = [
            open_stage(stage, runtime, level) for stage, level in zip(stages, level_of_stage, strict=False)
        ]
        self._inputs = [[i.name for i in s.get_inputs()] for s in self._sessions]

    def run(self, feeds: Feeds, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the model's outputs for one sample.

        Parameters
        ----------
        outputs
            Names of the source model's outputs.
        """
        values = self.values(feeds)
        return {name: values[name] for name in outputs}

    def values(self, feeds: Feeds) -> dict[str, Array]:
        """Return all that is fed, or that a stage gives, for one sample."""
        values: dict[str, Array] = dict(feeds)
        for session, names in zip(self._sessions, self._inputs, strict=True):
            values |= run_session(session, {name: values[name] for name in names})
        return values


def handed_over(stages: Sequence[AnyModel | Path], feeds: Feeds, runtime: Runtime) -> dict[str, Array]:
    """Return what stages give, for one sample."""
    values = Chain(stages, runtime).values(feeds)
    return {name: value for name, value in values.items() if name not in feeds}


def same_bits(a: Mapping[str, Array], b: Mapping[str, Array]) -> bool:
    """Return whether all arrays agree in every bit."""
    return all(a[name].dtype == b[name].dtype and a[name].tobytes() == b[name].tobytes() for name in a)


def run_whole(
    model: AnyModel | Path,
    samples: Iterable[Feeds],
    runtime: Runtime,
    optimization: Optimization = Optimization.DEFAULT,
) -> list[dict[str, Array]]:
    """Return a model's outputs for each sample."""
    session = open_stage(model, runtime, optimization)
    return list(run_samples(session, samples))


def run_chain(
    chain: Chain, target: VerificationTarget, samples: Iterable[Feeds]
) -> Iterator[dict[str, Array]]:
    """Yield a chain's outputs for each sample, several samples at once."""
    return run_at_once(partial(chain.run, outputs=target.outputs), samples)
