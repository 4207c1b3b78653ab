"""Models of Keras and TensorFlow -> ONNX files, by a process of its own; kept by content and checked."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from math import sqrt
from pathlib import Path

import msgspec
import numpy as np
import onnx

from planner.conversion.order import (
    ANSWERS,
    CONVERSION,
    FAILURE,
    MODEL,
    ORDER,
    SAMPLES,
    Conversion,
    Kind,
    Order,
    read_order,
)
from planner.plan import ConvertedFrom
from profiling.cache import cache_key, cached, samples_hash
from profiling.errors import ModelError
from profiling.folders import cache_folder, scratch_folder
from profiling.noise import noise_power, output_errors
from profiling.progress import Progress, silent
from profiling.quantize import SWITCHES
from profiling.session import Array, Feeds, Runtime, open_session, run_session

_WORKER = "planner.conversion.worker"
_NEEDED = ("tensorflow", "tf2onnx")
_LOG = "log.txt"
# Its threads and logs must not disturb, nor a GPU change what it answers.
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}
_ABOVE = str(Path(__file__).parent.parent)


# Relative differences beyond rounding; where quantizers round, a step more or less.
_MOST, _MOST_QUANTIZED = 1e-2, 1e-1
_NEVERTHELESS = 1e-4  # absolute, of answers that are next to nothing
_RANDOM, _REAL = "random numbers", "calibration samples"


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model in its folder, and the order that asked for it."""

    order: Order
    folder: Path

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.folder / MODEL

    @property
    def conversion(self) -> Conversion:
        """What became of the source."""
        return _read_conversion(self.folder)


def convert(order: Order, progress: Progress = silent) -> Converted:
    """Return the ONNX form of what an order names, from the cache where its content is known.

    Raises
    ------
    ModelError
        If TensorFlow is not installed, or the source cannot be read or converted.
    """
    _require_tensorflow()
    key = _key(order)
    kept = cache_folder() / f"converted-{key}" if key else None
    if kept is None or not (kept / CONVERSION).is_file():
        progress("converting the model", 0, 1)
        folder = _fresh_folder()
        _run("convert", order, folder)
        kept = _keep(folder, kept)
        progress("converting the model", 1, 1)
    return Converted(order, kept)


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
        return _compared(folder, _alone(samples), _alone(answers), _RANDOM)

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
        folder = _fresh_folder()
        own = [to_source(feeds, converted.conversion) for feeds in samples]
        columns = {name: np.stack([feeds[name] for feeds in own]) for name in own[0]}
        np.savez(folder / SAMPLES, **columns)
        _run("answer", converted.order, folder)
        found = _compared(converted.folder, columns, _read(folder / ANSWERS), _REAL)
        shutil.rmtree(folder)
        progress("checking the conversion", 1, 1)
        return found

    return cached(converted.folder / f"check-{samples_hash(samples)[:16]}.json", ConvertedFrom, make)


def to_source(feeds: Feeds, conversion: Conversion) -> Feeds:
    """Return a sample with the layout that the source wants."""
    last = {end.name for end in conversion.inputs if end.channels_last}
    return {name: np.moveaxis(value, 1, -1) if name in last else value for name, value in feeds.items()}


def from_source(feeds: Mapping[str, Array], conversion: Conversion) -> Feeds:
    """Return a sample of the source with the layout that the converted model wants."""
    last = {end.name for end in conversion.inputs if end.channels_last}
    return {name: np.moveaxis(value, -1, 1) if name in last else value for name, value in feeds.items()}


def _read_conversion(folder: Path) -> Conversion:
    return msgspec.json.decode((folder / CONVERSION).read_bytes(), type=Conversion)


def _alone(arrays: Mapping[str, Array]) -> dict[str, list[Array]]:
    return {name: [value] for name, value in arrays.items()}


def _holds_quantizers(path: Path) -> bool:
    nodes = onnx.load(path, load_external_data=False).graph.node
    return any(node.op_type in SWITCHES for node in nodes)


def _require_tensorflow() -> None:
    for package in _NEEDED:
        try:
            version(package)
        except PackageNotFoundError as exc:
            raise ModelError(
                f"model: needs {package}, which is not installed: pip install 'splitquant[tensorflow]'"
            ) from exc


def _key(order: Order) -> str | None:
    """Return a name for what comes of an order; None if it cannot be known without doing it.

    A function may read anything, so that its model is built and converted each time.
    """
    if order.kind is Kind.OBJECT:
        return None
    read = [("model", Path(order.target))] if order.kind is not Kind.APPLICATION else []
    if order.weights is not None and Path(order.weights).is_absolute():
        read.append(("conversion.weights", Path(order.weights)))
    if order.custom_objects is not None:
        beside = sorted(Path(order.custom_objects).parent.glob("*.py"))
        read += [("conversion.custom_objects", path) for path in beside]
    code = sorted((Path(__file__).parent / "conversion").glob("*.py"))
    return cache_key(
        order=msgspec.to_builtins(msgspec.structs.replace(order, target=_name(order))),
        content=[_hash(path, key) for key, path in read] + [_hash(path, "") for path in code],
        versions={name: _version(name) for name in (*_NEEDED, "keras", "tf_keras")},
    )


def _name(order: Order) -> str:
    return order.target if order.kind is Kind.APPLICATION else order.kind


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _hash(path: Path, key: str) -> str:
    """Return a hash of a file that a key of the scenario names, or of every file in a folder."""
    if not path.exists():
        raise ModelError(f"{key}: {path} does not exist")
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(path)).encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _fresh_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="conversion-", dir=scratch_folder()))


def _keep(folder: Path, kept: Path | None) -> Path:
    """Move what was made to its place in the cache, if it has one."""
    if kept is None:
        return folder
    shutil.rmtree(kept, ignore_errors=True)  # what another version left half
    folder.rename(kept)
    return kept


def _run(command: str, order: Order, folder: Path) -> None:
    """Let a process of its own do what an order asks, in a folder."""
    (folder / ORDER).write_bytes(msgspec.json.encode(order))
    path = os.pathsep.join(filter(None, [_ABOVE, os.environ.get("PYTHONPATH")]))
    call = [sys.executable, "-m", _WORKER, command, str(folder)]
    with (folder / _LOG).open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  our own module
            call,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=os.environ | _QUIET | {"PYTHONPATH": path},
        )
        try:
            code = process.wait()
        finally:
            process.kill()
            process.wait()
    if code:
        raise ModelError(_failure(folder, code))


def _failure(folder: Path, code: int) -> str:
    told = folder / FAILURE
    if told.is_file():
        return told.read_text(encoding="utf-8")
    if code < 0:
        killed = -code == signal.SIGKILL
        likely = "memory may have run out" if killed else "the file may be damaged"
        name = signal.Signals(-code).name
        return f"model: TensorFlow ended with {name} over {read_order(folder).shown}: {likely}"
    last = (folder / _LOG).read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    return f"model: TensorFlow's process failed: {''.join(last) or f'exit code {code}'}"


def _read(path: Path) -> dict[str, Array]:
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _compared(
    folder: Path, samples: Mapping[str, Sequence[Array]], answers: Mapping[str, Sequence[Array]], data: str
) -> ConvertedFrom:
    """Return how far the converted model's answers are from given ones; refuse those of another model."""
    conversion = _read_conversion(folder)
    count = len(next(iter(answers.values())))
    session = open_session(folder / MODEL, Runtime())
    rows = [{name: column[i] for name, column in samples.items()} for i in range(count)]
    got = [run_session(session, from_source(row, conversion)) for row in rows]
    want = [{name: column[i] for name, column in answers.items()} for i in range(count)]
    relative = sqrt(noise_power(got, want))
    pairs = (pair for one, exact in zip(got, want, strict=True) for pair in output_errors(one, exact))
    largest = max(float(np.abs(difference).max(initial=0.0)) for difference, _ in pairs)
    limit = _MOST_QUANTIZED if _holds_quantizers(folder / MODEL) else _MOST
    if largest > _NEVERTHELESS and not relative <= limit:
        raise ModelError(
            f"model: the conversion of {conversion.source} answers differently on {data}: by {largest:.3g} "
            f"at most, {relative:.3g} of the answers' size; this is a fault of the conversion, please report it"
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
