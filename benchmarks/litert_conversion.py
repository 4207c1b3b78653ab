"""Prints what TensorFlow's quantizations cost and gain when a network is converted for LiteRT.

python benchmarks/litert_conversion.py [--all]

Needs the extras tensorflow and litert. Weights are random with statistics of pictures, so the norms are those
of such weights. MobileNetV3Large alone, with --all ResNet152V2 too.
"""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from keras_models import NETWORKS, pictures
from rich.console import Console
from rich.table import Table

from planner.conversion.cached_conversion import Converted, convert
from planner.conversion.equivalence_check import check_on_samples
from planner.conversion.model_source import tflite_request
from planner.conversion.request import TfliteForm, TfliteQuantization
from planner.scenario.schema import ConversionSpec
from profiling.arrays import Feeds
from profiling.litert.cut import whole_stage
from profiling.litert.interpreter import TimedInterpreter
from profiling.litert.load import load_litert

FEW, MORE = ("MobileNetV3Large",), ("ResNet152V2",)
CALIBRATION, EVALUATION, RUNS = 32, 8, 25
WARM_UP = 3
# Of the converter: the infinity norm to the answers of Keras, and the time over that of `none`.
PUBLISHED = {
    TfliteQuantization.NONE: (1.1e-7, 1.0),
    TfliteQuantization.DYNAMIC: (0.00344, 0.73),
    TfliteQuantization.FULL_INTEGER: (0.006, 0.73),
    TfliteQuantization.FLOAT16: (8.7e-5, 1.04),
}
_CONSOLE = Console(width=140)


@dataclass(frozen=True)
class Row:
    """A network as the conversion quantized it."""

    network: str
    quantization: TfliteQuantization
    infinity_norm: float
    seconds: float
    cpu_seconds: float
    mebibytes: float


def converted(name: str, quantization: TfliteQuantization) -> Converted:
    request = tflite_request(f"keras:{name}", ConversionSpec(), {})
    assert request is not None
    form = TfliteForm(quantization=quantization)
    calibration = fed(name, CALIBRATION, 0) if quantization.needs_samples else []
    return convert(msgspec.structs.replace(request, form=form), representative=calibration)


def fed(name: str, count: int, skip: int) -> list[Feeds]:
    side, family = NETWORKS[name]
    return [{"input_layer": each[None]} for each in pictures(count, skip, side, family)]


def timed(
    files: Mapping[TfliteQuantization, Converted], feeds: Feeds
) -> dict[TfliteQuantization, np.ndarray]:
    """Return seconds by the wall and of the thread for each file, the sum of runs that take turns."""
    runs = {key: TimedInterpreter(whole_stage(load_litert(file.path)), feeds) for key, file in files.items()}
    seconds = {key: np.zeros(2) for key in runs}
    for number in range(WARM_UP + RUNS):
        for key, run in runs.items():
            before = np.array([time.perf_counter(), time.thread_time()])
            run()
            if number >= WARM_UP:
                seconds[key] += np.array([time.perf_counter(), time.thread_time()]) - before
    return seconds


def rows(name: str) -> list[Row]:
    evaluation = fed(name, EVALUATION, 7)
    files = {}
    for quantization in PUBLISHED:
        _CONSOLE.print(f"{name}: {quantization}", style="dim")
        files[quantization] = converted(name, quantization)
    norms = {key: check_on_samples(file, evaluation).max_abs_difference for key, file in files.items()}
    seconds = timed(files, evaluation[0])
    return [
        Row(name, key, norms[key], *map(float, seconds[key]), file.path.stat().st_size / 2**20)
        for key, file in files.items()
    ]


def table(found: list[Row]) -> Table:
    made = Table(
        title=f"keras.applications to TFLite; {RUNS} runs taking turns, one thread, over those of none"
    )
    heads = ("network", "quantization", "infinity norm", "published", "time", "of the thread", "published",
             "time ms", "MiB")  # fmt: skip
    for head in heads:
        made.add_column(head, justify="left" if head in heads[:2] else "right")
    for row in found:
        plain = next(
            other
            for other in found
            if other.network == row.network and other.quantization is TfliteQuantization.NONE
        )
        norm, ratio = PUBLISHED[row.quantization]
        made.add_row(
            row.network, row.quantization, f"{row.infinity_norm:.3g}", f"{norm:.3g}",
            f"{row.seconds / plain.seconds:.2f}", f"{row.cpu_seconds / plain.cpu_seconds:.2f}",
            f"{ratio:.2f}", f"{row.seconds / RUNS * 1e3:.1f}", f"{row.mebibytes:.1f}",
        )  # fmt: skip
    return made


def main() -> None:
    if sys.argv[1:] not in ([], ["--all"]):
        sys.exit("usage: python benchmarks/litert_conversion.py [--all]")
    names = (*FEW, *MORE) if sys.argv[1:] else FEW
    _CONSOLE.print(table([row for name in names for row in rows(name)]))


if __name__ == "__main__":
    main()
