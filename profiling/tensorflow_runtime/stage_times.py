"""Seconds of stages in the process with TensorFlow, where no array goes from process to process."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

from profiling.arrays import Feeds
from profiling.graph.any_model import AnyModel, Stage
from profiling.tensorflow_runtime.tensorflow_process import tensorflow_process


def stage_ratios(
    whole: bytes, stages: Sequence[AnyModel | Path], values: Feeds, threads: int, rounds: int = 0
) -> list[float]:
    """Return the seconds of each stage over those of the whole model, all run in turn.

    Parameters
    ----------
    whole, stages
        SavedModels.
    values
        One sample, and what stages read that other stages give.
    rounds
        0 for as many as the whole model's seconds ask for.
    """
    process = tensorflow_process(threads)
    contents = [whole, *(content_of(stage) for stage in stages)]
    numbers = [process.ask("open", content) for content in contents]
    known, work = dict(values), []
    for number in numbers:
        inputs, _ = process.ask("ends", number)
        fed = {name: known[name] for name, *_ in inputs}
        work.append((number, fed))
        known |= process.ask("run", number, fed)
    whole_s, *stages_s = process.ask("time", work, rounds)
    for number in numbers:
        process.ask("close", number)
    return [median(a / b for a, b in zip(runs, whole_s, strict=True)) for runs in stages_s]


def content_of(model: AnyModel | Path) -> bytes:
    """Return the bytes of a SavedModel's file, in memory or not.

    Raises
    ------
    TypeError
        If it is an ONNX model.
    """
    if isinstance(model, Path):
        return model.read_bytes()
    if not isinstance(model, Stage):
        raise TypeError("an ONNX model is no SavedModel")
    return model.content
