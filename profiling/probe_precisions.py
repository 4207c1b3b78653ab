"""What a whole model costs in each precision, found in about two seconds: which ones to measure at all."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import onnxruntime as ort

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError, QuantizeError
from profiling.graph.mixed_model import mixed_model
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.noise_power import noise_power
from profiling.on_device.robust_statistics import MOST_ROUNDS, median_error
from profiling.on_device.timing.interleaved_rounds import round_seconds
from profiling.on_device.timing.interleaved_sessions import InterleavedTimer
from profiling.precision import Precision
from profiling.printable_text import first_line
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.runtime.open_session import Runtime, open_session, run_session

log = logging.getLogger(__name__)

PROBING = "trying out precisions"  # what progress says
FEW_ROUNDS = 3
"""So few rounds, or fewer, do not show how far the ratio errs."""
_PROBED_S = 2.0  # seconds of timed runs, of all precisions together


@dataclass(frozen=True, slots=True)
class ProbedPrecision:
    """A whole model with every unit in a precision that can be, beside the fp32 model.

    Parameters
    ----------
    units
        How many are in it.
    ratio
        Its seconds over those of the fp32 model, in the median of its rounds.
    standard_error
        Of the ratio, as a fraction of it; 0 for one round.
    rounds
        That show how far the ratio errs: at most `FEW_ROUNDS` if other work disturbed them.
    noise_power
        As `profiling.noise.noise_power` has it.
    fault
        Why the model does not run; empty if it does.
    """

    precision: Precision
    units: int
    ratio: float = 1.0
    standard_error: float = 0.0
    rounds: int = 0
    noise_power: float = 0.0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PrecisionProbe:
    """What a probe showed of each precision that it was asked for, in their order."""

    rows: tuple[ProbedPrecision, ...]


def probe_precisions(
    graph: ModelGraph,
    calibration: Calibration,
    samples: Sequence[Feeds],
    runtime: Runtime,
    precisions: Sequence[Precision],
    progress: Progress = silent,
) -> PrecisionProbe:
    """Run a whole model in each precision in turn with the fp32 model, and compare their outputs.

    Rounds take `_PROBED_S` in all; one whose runs take longer has one round, after a first run of each that
    does not count. Besides, each model runs once on each sample.

    Parameters
    ----------
    samples
        At least one; the first is the one that is timed.
    precisions
        Without fp32.

    Raises
    ------
    ModelError
        If the fp32 model does not run.
    """
    reference = open_session(graph.model, runtime)
    exact = _outputs(reference, samples)
    rows = []
    for done, precision in enumerate(precisions):
        progress(PROBING, done, len(precisions))
        able = [unit.index for unit in graph.units if unit.can_be(precision)]
        row = ProbedPrecision(precision, len(able))
        if able:
            try:
                schemes = calibration.at(dict.fromkeys(able, precision))
                model = mixed_model(graph, schemes, calibration.ranges)
                session = open_session(model, runtime)
                row = replace(row, noise_power=noise_power(_outputs(session, samples), exact))
            except (ModelError, QuantizeError) as exc:
                log.info("with all units in %s the model does not run: %s", precision, exc)
                row = replace(row, fault=str(exc))
            else:
                row = _timed(row, session, reference, samples[0], runtime, _PROBED_S / len(precisions))
                del session  # large models are in memory twice at most
        rows.append(row)
    progress(PROBING, len(precisions), len(precisions))
    return PrecisionProbe(tuple(rows))


def _timed(
    row: ProbedPrecision,
    session: ort.InferenceSession,
    reference: ort.InferenceSession,
    feeds: Feeds,
    runtime: Runtime,
    most_s: float,
) -> ProbedPrecision:
    """Return a row with the seconds of its session, which ran before, beside those of the fp32 model."""
    clock = runtime.clock
    runs_s = [clock.time(partial(one.run, None, dict(feeds))).seconds for one in (reference, session)]
    round_s = round_seconds(runs_s)
    rounds = max(1, min(MOST_ROUNDS, int(most_s / round_s))) if round_s else MOST_ROUNDS
    runs = InterleavedTimer(reference, feeds, rounds, clock)(session)
    ratios = [own.seconds / fp32.seconds for own, fp32 in zip(runs.session, runs.reference, strict=True)]
    # Of rounds that other work disturbed the quickest count: they do not show by how much they err.
    counted = len(ratios) if runs.rounds.are_warm else min(FEW_ROUNDS, len(ratios))
    return replace(row, ratio=runs.ratio, standard_error=median_error(ratios), rounds=counted)


def _outputs(session: ort.InferenceSession, samples: Sequence[Feeds]) -> list[dict[str, Array]]:
    try:
        return [run_session(session, feeds) for feeds in samples]
    except Exception as exc:  # the runtime's exceptions share no base class
        raise ModelError(first_line(exc)) from exc
