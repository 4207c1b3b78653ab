"""What samples cannot show: too few to calibrate with, or the same ones to judge."""

from collections.abc import Iterator, Sequence

from planner.inputs.dataset import Dataset
from profiling.arrays import Feeds
from profiling.records.cache import samples_hash

_FEW = 32  # activation ranges of fewer miss what other samples reach
_LOOKED_AT = 32  # evaluation samples: reading all of them again takes as long as judging
_TENTH = 0.1  # a few samples may be alike by chance, such as empty pictures


def sample_doubts(calibration: Dataset, evaluation: Dataset) -> Iterator[str]:
    """Yield a sentence for each reason not to trust what samples will show.

    Parameters
    ----------
    calibration
        All of them, held-back ones too.
    """
    count = len(calibration.samples)
    if count < _FEW:
        yield (
            f"data.calibration: {count} samples are few: other samples may leave the ranges that they show, "
            f"and errors may be larger than predicted; give {_FEW} or more"
        )
    looked_at, known = common_samples(calibration.samples, evaluation.samples)
    if known >= max(1.0, _TENTH * looked_at):
        which = f"all {known}" if known == looked_at else f"{known} of {looked_at}"
        yield (
            f"data.evaluation: {which} samples that were looked at are calibration samples, too: they judge "
            "a plan that was made with them, and others may show larger errors"
        )


def common_samples(calibration: Sequence[Feeds], evaluation: Sequence[Feeds]) -> tuple[int, int]:
    """Return how many evaluation samples were looked at, evenly spread, and how many are among the others."""
    known = {samples_hash([feeds]) for feeds in calibration}
    step = max(1, len(evaluation) // _LOOKED_AT)
    looked_at = [samples_hash([evaluation[number]]) for number in range(0, len(evaluation), step)]
    return len(looked_at), sum(digest in known for digest in looked_at)
