"""How far a converted model's answers are from the source's own, on random numbers and on real samples."""

import shutil
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path

import numpy as np
import onnx

from planner.conversion.order import ANSWERS, SAMPLES, Conversion
from planner.convert import Converted, fresh_folder
from planner.plan import ConvertedFrom
from planner.tensorflow_process import run_worker
from profiling.cache import cached, samples_hash
from profiling.errors import ModelError
from profiling.noise import noise_power, output_errors
from profiling.progress import Progress, silent
from profiling.quantize import SWITCHES
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
    folder = converted.folder

    def make() -> ConvertedFrom:
        samples, answers = _read(folder / SAMPLES), _read(folder / ANSWERS)
        return _compared(converted, _alone(samples), _alone(answers), _RANDOM)

    return cached(folder / "random.json", ConvertedFrom, make)


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
        own = [_to_source(feeds, converted.conversion) for feeds in samples]
        columns = {name: np.stack([feeds[name] for feeds in own]) for name in own[0]}
        np.savez(folder / SAMPLES, **columns)
        run_worker("answer", converted.order, folder)
        answers = {name: list(values) for name, values in _read(folder / ANSWERS).items()}
        found = _compared(converted, {name: list(own) for name, own in columns.items()}, answers, _REAL)
        shutil.rmtree(folder)
        progress("checking the conversion", 1, 1)
        return found

    return cached(converted.folder / f"check-{samples_hash(samples)[:16]}.json", ConvertedFrom, make)


def _to_source(feeds: Feeds, conversion: Conversion) -> Feeds:
    """Return a sample with the layout that the source wants."""
    last = {end.name for end in conversion.inputs if end.channels_last}
    return {name: np.moveaxis(value, 1, -1) if name in last else value for name, value in feeds.items()}


def _from_source(feeds: Mapping[str, Array], conversion: Conversion) -> Feeds:
    """Return a sample of the source with the layout that the converted model wants."""
    last = {end.name for end in conversion.inputs if end.channels_last}
    return {name: np.moveaxis(value, -1, 1) if name in last else value for name, value in feeds.items()}


def _alone(arrays: Mapping[str, Array]) -> dict[str, list[Array]]:
    return {name: [value] for name, value in arrays.items()}


def _holds_quantizers(path: Path) -> bool:
    nodes = onnx.load(path, load_external_data=False).graph.node
    return any(node.op_type in SWITCHES for node in nodes)


def _read(path: Path) -> dict[str, Array]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _compared(
    converted: Converted,
    samples: Mapping[str, Sequence[Array]],
    answers: Mapping[str, Sequence[Array]],
    data: str,
) -> ConvertedFrom:
    """Return how far the converted model's answers are from given ones; refuse those of another model."""
    conversion = converted.conversion
    count = len(next(iter(answers.values())))
    session = open_session(converted.path, Runtime())
    rows = [{name: column[i] for name, column in samples.items()} for i in range(count)]
    got = [run_session(session, _from_source(row, conversion)) for row in rows]
    want = [{name: column[i] for name, column in answers.items()} for i in range(count)]
    relative = sqrt(noise_power(got, want))
    pairs = (pair for one, exact in zip(got, want, strict=True) for pair in output_errors(one, exact))
    largest = max(float(np.abs(difference).max(initial=0.0)) for difference, _ in pairs)
    limit = _MOST_QUANTIZED if _holds_quantizers(converted.path) else _MOST
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
        samples=count,
        data=data,
    )
