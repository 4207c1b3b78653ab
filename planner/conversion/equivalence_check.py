"""How far a converted model's answers are from the source's own, on random numbers and on real samples."""

from collections.abc import Callable, Sequence
from math import inf, sqrt
from pathlib import Path

import msgspec
import numpy as np

from planner.conversion.cached_conversion import Converted
from planner.conversion.provenance import ConvertedFrom
from planner.conversion.request import (
    ANSWERS,
    SAMPLES,
    ConversionResult,
    TfliteForm,
    TfliteQuantization,
    read_samples,
    write_samples,
)
from planner.conversion.worker_process import run_worker
from planner.image_layout import channels_first, channels_last
from profiling.arrays import Array, Feeds
from profiling.directories import scratch_folder, temporary_folder
from profiling.errors import ModelError
from profiling.noise.noise_power import noise_power, output_errors
from profiling.progress import Progress, silent
from profiling.records.cache import cached, samples_hash
from profiling.runtime.open_session import Runtime, open_session, run_session

# Relative differences beyond rounding; where quantizers round, a step more or less. Conversions that are
# right differ by 1e-6 to 1e-4 (docs/benchmarks/keras-models.md), wrong ones by much more.
_MOST, _MOST_QUANTIZED = 1e-2, 1e-1
_NEVERTHELESS = 1e-4  # absolute: relative differences of answers that are next to nothing mean nothing
_JUDGED_LATER = "a plan judges the conversion on its calibration samples"
_RANDOM, _REAL = "random numbers", "calibration samples"
Rows = list[dict[str, Array]]


def check_on_random(converted: Converted) -> ConvertedFrom:
    """Return how far the converted model's answer to random numbers is from the source's own.

    A difference beyond rounding is a doubt, no refusal: noise may lie where nothing is meant to be right.
    """

    def make() -> ConvertedFrom:
        converted_from, differing = _compared(converted, converted.folder, _RANDOM)
        return msgspec.structs.replace(
            converted_from, doubt=f"{differing}; {_JUDGED_LATER}" if differing else ""
        )

    return cached(converted.folder / "random.json", ConvertedFrom, make)


def check_on_samples(
    converted: Converted, samples: Sequence[Feeds], progress: Progress = silent
) -> ConvertedFrom:
    """Return how far the converted model's answers are from the source's own, on real samples.

    What a quantization changes that was asked for is told, not judged.

    Parameters
    ----------
    samples
        As the converted model wants them; floats also where a `.tflite` file takes integers in their place.

    Raises
    ------
    ModelError
        If they differ by more than rounding does.
    """

    def make() -> ConvertedFrom:
        progress("checking the conversion", 0, 1)
        source_samples = [
            _with_channels_moved(feeds, converted.conversion, channels_last) for feeds in samples
        ]
        with temporary_folder("answers-", scratch_folder()) as folder:
            if not converted.conversion.flex_operators:
                write_samples(folder / SAMPLES, source_samples)
                run_worker("answer", converted.request, folder)
            converted_from, differing = _compared(converted, folder, _REAL)
        if differing:
            raise ModelError(
                f"model: the conversion of {converted_from.source} is not used, since {differing}"
            )
        progress("checking the conversion", 1, 1)
        return converted_from

    return cached(converted.folder / f"check-{samples_hash(samples)[:16]}.json", ConvertedFrom, make)


def _with_channels_moved(
    feeds: Feeds, conversion: ConversionResult, move: Callable[[Array], Array]
) -> dict[str, Array]:
    """Return a sample whose channels are moved where source and model differ."""
    differ = {end.name for end in conversion.inputs if end.channels_last}
    return {name: move(value) if name in differ else value for name, value in feeds.items()}


def _compared(converted: Converted, folder: Path, data: str) -> tuple[ConvertedFrom, str]:
    """Return how far the model's answers are from those in a folder, and what differs beyond rounding."""
    if converted.conversion.flex_operators:
        return _not_compared(converted, data), ""
    got = _answers(converted, read_samples(folder / SAMPLES))
    want = read_samples(folder / ANSWERS)
    relative = sqrt(noise_power(got, want))
    pairs = (pair for answers, exact in zip(got, want, strict=True) for pair in output_errors(answers, exact))
    largest = max(float(np.abs(difference).max(initial=0.0)) for difference, _ in pairs)
    limit = _limit(converted)
    differing = ""
    if largest > _NEVERTHELESS and not relative <= limit:
        name = _first_differing(got, want, limit)
        differing = (
            f"its answers differ on {data}, first at output {name!r}: by {largest:.3g} at most, "
            f"{relative:.3g} of the answers' size, where rounding explains {limit:g}"
        )
    converted_from = msgspec.structs.replace(
        _not_compared(converted, data),
        max_abs_difference=largest,
        relative_rms_difference=relative,
        samples=len(want),
    )
    return converted_from, differing


def _answers(converted: Converted, samples: Rows) -> Rows:
    if isinstance(converted.request.form, TfliteForm):
        # Its runtime is an extra.
        from planner.conversion.tflite_answers import tflite_answers

        return tflite_answers(converted.path, samples)
    session = open_session(converted.path, Runtime())
    known = {end.name for end in converted.conversion.inputs}
    if renamed := [end.name for end in session.get_inputs() if end.name not in known]:
        raise ModelError(
            f"{converted.conversion.source}: the converted model calls an input {renamed[0]!r}, as an output "
            "that hands it on; convert the model without that output"
        )
    return [
        run_session(session, _with_channels_moved(row, converted.conversion, channels_first))
        for row in samples
    ]


def _limit(converted: Converted) -> float:
    """Return the relative difference up to which a conversion is right."""
    form = converted.request.form
    if isinstance(form, TfliteForm) and form.quantization is not TfliteQuantization.NONE:
        return inf  # how much to lose was asked for
    return _MOST_QUANTIZED if converted.conversion.quantized else _MOST


def _not_compared(converted: Converted, data: str) -> ConvertedFrom:
    conversion, form = converted.conversion, converted.request.form
    return ConvertedFrom(
        source=conversion.source,
        opset=conversion.opset,
        versions=conversion.versions,
        notes=conversion.notes,
        channels_first=tuple(end.name for end in conversion.inputs if end.channels_last),
        max_abs_difference=0.0,
        relative_rms_difference=0.0,
        samples=0,
        data=data,
        converted_to="tflite" if isinstance(form, TfliteForm) else "onnx",
        quantization=form.quantization if isinstance(form, TfliteForm) else TfliteQuantization.NONE,
        flex_operators=conversion.flex_operators,
    )


def _first_differing(got: Rows, want: Rows, limit: float) -> str:
    """Return the first output whose answers differ by more than a limit, else the one that differs most."""
    relative_by_name = {
        name: sqrt(noise_power(_of_output(got, name), _of_output(want, name))) for name in want[0]
    }
    beyond = [name for name, relative in relative_by_name.items() if not relative <= limit]
    return beyond[0] if beyond else max(relative_by_name, key=relative_by_name.__getitem__)


def _of_output(rows: Rows, name: str) -> Rows:
    return [{name: row[name]} for row in rows]
