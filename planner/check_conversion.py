"""How far a converted model's answers are from the source's own, on random numbers and on real samples."""

import shutil
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path

import numpy as np

from planner.conversion.order import ANSWERS, SAMPLES, Conversion
from planner.convert import Converted, fresh_folder
from planner.picture_axes import channels_first, channels_last
from planner.plan import ConvertedFrom
from planner.tensorflow_process import run_worker
from profiling.cache import cached, samples_hash
from profiling.errors import ModelError
from profiling.noise import noise_power, output_errors
from profiling.progress import Progress, silent
from profiling.session import Array, Feeds, Runtime, open_session, run_session

# Relative differences beyond rounding; where quantizers round, a step more or less.
_MOST, _MOST_QUANTIZED = 1e-2, 1e-1
_NEVERTHELESS = 1e-4  # absolute, of answers that are next to nothing
_RANDOM, _REAL = "random numbers", "calibration samples"


def check_on_random(converted: Converted) -> ConvertedFrom:
    """Return how far the converted model's answer to random numbers is from the source's own.

    Raises
    ------
    ModelError
        If they differ by more than rounding does.
    """

    def make() -> ConvertedFrom:
        return _compared(converted, converted.folder, _RANDOM)

    return cached(converted.folder / "random.json", ConvertedFrom, make)


def check_on_samples(
    converted: Converted, samples: Sequence[Feeds], progress: Progress = silent
) -> ConvertedFrom:
    """Return how far the converted model's answers are from the source's own, on real samples.

    Parameters
    ----------
    samples
        As the converted model wants them.

    Raises
    ------
    ModelError
        If they differ by more than rounding does.
    """

    def make() -> ConvertedFrom:
        progress("checking the conversion", 0, 1)
        folder = fresh_folder()
        own = [_moved(feeds, converted.conversion, channels_last) for feeds in samples]
        np.savez(folder / SAMPLES, **{name: np.stack([feeds[name] for feeds in own]) for name in own[0]})
        run_worker("answer", converted.order, folder)
        found = _compared(converted, folder, _REAL)
        shutil.rmtree(folder)
        progress("checking the conversion", 1, 1)
        return found

    return cached(converted.folder / f"check-{samples_hash(samples)[:16]}.json", ConvertedFrom, make)


def _moved(feeds: Feeds, conversion: Conversion, move: Callable[[Array], Array]) -> dict[str, Array]:
    """Return a sample whose channels are moved where source and model differ."""
    differ = {end.name for end in conversion.inputs if end.channels_last}
    return {name: move(value) if name in differ else value for name, value in feeds.items()}


def _rows(path: Path) -> list[dict[str, Array]]:
    """Return the samples in a file, which count along first axes."""
    with np.load(path) as arrays:
        columns = {name: arrays[name] for name in arrays.files}
    count = min(len(column) for column in columns.values())
    return [{name: column[i] for name, column in columns.items()} for i in range(count)]


def _compared(converted: Converted, folder: Path, data: str) -> ConvertedFrom:
    """Return how far the model's answers are from those in a folder; refuse those of another model."""
    conversion = converted.conversion
    session = open_session(converted.path, Runtime())
    got = [run_session(session, _moved(row, conversion, channels_first)) for row in _rows(folder / SAMPLES)]
    want = _rows(folder / ANSWERS)
    relative = sqrt(noise_power(got, want))
    pairs = (pair for one, exact in zip(got, want, strict=True) for pair in output_errors(one, exact))
    largest = max(float(np.abs(difference).max(initial=0.0)) for difference, _ in pairs)
    limit = _MOST_QUANTIZED if conversion.quantized else _MOST
    if largest > _NEVERTHELESS and not relative <= limit:
        raise ModelError(
            f"model: the conversion of {conversion.source} answers differently on {data}: by {largest:.3g} "
            f"at most, {relative:.3g} of the answers' size; please report this fault of the conversion"
        )
    return ConvertedFrom(
        source=conversion.source,
        opset=conversion.opset,
        versions=conversion.versions,
        notes=conversion.notes,
        channels_first=tuple(end.name for end in conversion.inputs if end.channels_last),
        max_abs_difference=largest,
        relative_rms_difference=relative,
        samples=len(want),
        data=data,
    )
