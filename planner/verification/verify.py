"""Runs the stages in a chain, and compares them with the fp32 model and the whole mixed model."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from planner.deployment.built_models import VerificationTarget
from planner.inputs.dataset import Dataset
from planner.plan.plan_record import Measured, StagePercentiles
from planner.user_objects import Metric
from planner.verification.chain_check import check_chain
from planner.verification.measure_errors import measure_errors
from planner.verification.median_interval import median_interval
from planner.verification.stage_chain import handed_over
from planner.verification.stage_times import StageRatios, percentiles_of, ratios_to_whole
from profiling.arrays import Feeds
from profiling.graph.any_model import AnyModel
from profiling.on_device.robust_statistics import are_enough, is_slow, least_sessions
from profiling.on_device.timing.session_interference import Interference, are_calm_enough, calmest
from profiling.progress import Progress, silent
from profiling.runtime.open_session import Runtime
from profiling.stage_session import runtime_of_model

_CHAIN_SAMPLES = 16  # bit equality is a property of the graphs: a few samples show it
_FEWEST_CHAIN_SAMPLES, _CHAIN_S = 2, 10.0  # they are as many as take that long


def verify(
    target: VerificationTarget,
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
    begun = time.perf_counter()
    errors = measure_errors(target, data, runtime, metric, progress)
    sample_s = (time.perf_counter() - begun) / len(data.samples)
    progress("comparing the stages with the whole model", 0, 1)
    few = data.spread(_chain_samples(sample_s)).samples
    check = check_chain(target, list(few), runtime)
    progress("timing the stages", 0, 1)
    ratios = latency_ratios(target, data.samples[0], runtime)
    progress("timing the stages", 1, 1)
    return Measured(
        **msgspec.structs.asdict(errors),
        latency_ratio_to_fp32=ratios.whole,
        chain_ratio_to_fp32=ratios.chain,
        stage_ratios_to_fp32=ratios.stages,
        chain_ratio_spread=ratios.chain_spread,
        chain_ratio_interval=ratios.chain_interval,
        stage_percentiles=ratios.percentiles,
        samples_note=data.note,
        class_names=data.class_names,
        chain=check,
    )


def _chain_samples(sample_s: float) -> int:
    """Return on how many samples bits are compared.

    Parameters
    ----------
    sample_s
        What the fp32 model and the chain take on one.
    """
    return int(min(_CHAIN_SAMPLES, max(_FEWEST_CHAIN_SAMPLES, _CHAIN_S / sample_s)))


def _ratios(
    target: VerificationTarget, models: Sequence[AnyModel | Path], feeds: Feeds, runtime: Runtime
) -> list[StageRatios]:
    """Return the seconds of each model of a chain over those of the fp32 model in its runtime."""
    runtimes = [runtime_of_model(model) for model in models]
    names = dict.fromkeys(runtimes)
    given = handed_over(models, feeds, runtime) if len(names) > 1 else {}
    ratios: dict[int, StageRatios] = {}
    for name in names:
        own = [number for number, other in enumerate(runtimes) if other == name]
        source, stages = target.fp32_beside(models[own[0]]), [models[number] for number in own]
        ratios |= zip(own, ratios_to_whole(source, stages, feeds, given, runtime), strict=True)
    return [ratios[number] for number in range(len(models))]


@dataclass(frozen=True, slots=True)
class LatencyRatios:
    """Seconds over the fp32 model's, timed in turn: of the whole mixed model, of all stages, and of each.

    `chain_spread` is the least and the greatest of all stages over the sessions, `chain_interval` that of
    their median; `percentiles` says how the runs of each stage spread.
    """

    whole: float
    chain: float
    stages: tuple[float, ...]
    chain_spread: tuple[float, float]
    chain_interval: tuple[float, float]
    percentiles: tuple[StagePercentiles | None, ...]


@dataclass(frozen=True, slots=True)
class _Session:
    """A plan's models timed once: all stages, and its whole model."""

    chain: Sequence[StageRatios]
    whole: StageRatios

    @property
    def interference(self) -> Interference:
        """What other work did to its runs."""
        return max(one.interference for one in (self.whole, *self.chain))

    @property
    def middle(self) -> float:
        """Seconds of all stages over those of the fp32 model."""
        return sum(stage.middle for stage in self.chain)

    @property
    def fp32_s(self) -> float:
        """Seconds of the fp32 model in its slowest runtime; 0 if a runtime does not tell."""
        seconds = [stage.fp32_s for stage in self.chain]
        return max(seconds) if all(seconds) else 0.0


def _are_enough(taken: Sequence[_Session]) -> bool:
    """Return whether no more sessions are needed: neither calm ones nor for a median that is certain.

    Where that may take minutes, as of slow models and of what is timed in another process, calm ones do.
    """
    if not taken:
        return False
    fp32_s = statistics.median(session.fp32_s for session in taken)
    if not are_calm_enough(taken, least_sessions(fp32_s)):
        return False
    middles = [session.middle for session in calmest(taken)]
    return not fp32_s or is_slow(fp32_s) or are_enough(middles, fp32_s, len(taken))


def latency_ratios(target: VerificationTarget, feeds: Feeds, runtime: Runtime) -> LatencyRatios:
    """Return medians over several sessions of each model; where one stage is the whole model, of that."""
    taken: list[_Session] = []
    # Where a session's memory lies makes a few percent: the median counts.
    while not _are_enough(taken):
        # Large models are in memory once.
        chain = _ratios(target, target.stages, feeds, runtime)
        whole = _ratios(target, [target.mixed], feeds, runtime)[0] if target.is_cut else chain[0]
        taken.append(_Session(chain, whole))
    sessions = calmest(taken)
    stages = np.asarray([[stage.middle for stage in session.chain] for session in sessions])
    sums = stages.sum(axis=1)
    spread = sums if len(sums) > 1 else [session.middle for session in taken]
    ends = float(min(spread)), float(max(spread))
    return LatencyRatios(
        float(np.median([session.whole.middle for session in sessions])),
        float(np.median(sums)),
        tuple(np.median(stages, axis=0).tolist()),
        ends,
        median_interval(sums.tolist()) if len(sums) > 1 else ends,
        tuple(percentiles_of(runs) for runs in zip(*(session.chain for session in sessions), strict=True)),
    )
