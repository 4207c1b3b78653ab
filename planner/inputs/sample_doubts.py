"""What samples cannot show, too few or the same ones to judge, and values that the model does not take."""

from collections.abc import Iterator, Sequence

import numpy as np

from planner.errors import DataError
from planner.inputs.dataset import Dataset
from profiling.arrays import Array, Feeds
from profiling.graph.any_model import AnyModel, inputs_of
from profiling.printable_text import first_line
from profiling.records.cache import samples_hash
from profiling.runtime.open_session import Runtime, run_session
from profiling.stage_session import open_stage

_FEW = 32  # activation ranges of fewer miss what other samples reach
_LOOKED_AT = 32  # evaluation samples: reading all of them again takes as long as judging
_NARROW_BYTES = 2  # wider integers may be indices
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


def check_values(model: AnyModel, data: Dataset, where: str) -> None:
    """Run the samples that hold the least and the greatest value of each input of whole numbers.

    Indices that are out of range stop the runtime: they are told before anything is measured.

    Raises
    ------
    DataError
        If the model refuses one.
    """
    names = [tensor.name for tensor in inputs_of(model) if _may_be_indices(tensor.dtype)]
    if not names:
        return
    session = open_stage(model, Runtime())
    for number in sorted(set(_extreme_samples(data, names))):
        try:
            run_session(session, data.samples[number])
        except Exception as exc:  # the runtimes' exceptions share no base class
            raise DataError(
                f"{where}: sample {number}, counted from 0: the model does not take its values, "
                f"{_ranges_text(data.samples[number], names)}: {first_line(exc)}"
            ) from exc


def _may_be_indices(dtype: str) -> bool:
    number_type = np.dtype(dtype)
    return number_type.kind in "iu" and number_type.itemsize > _NARROW_BYTES


def _extreme_samples(data: Dataset, names: Sequence[str]) -> Iterator[int]:
    """Yield, for each input, the sample with the least value and the one with the greatest."""
    ranges = np.array([[_range(sample[name]) for name in names] for sample in data.samples])
    for least, greatest in ranges.transpose(1, 2, 0):
        yield int(np.argmin(least))
        yield int(np.argmax(greatest))


def _ranges_text(sample: Feeds, names: Sequence[str]) -> str:
    ranges = ((name, *_range(sample[name])) for name in names)
    return ", ".join(f"{name} from {least} to {greatest}" for name, least, greatest in ranges)


def _range(values: Array) -> tuple[int, int]:
    return (int(values.min()), int(values.max())) if values.size else (0, 0)
