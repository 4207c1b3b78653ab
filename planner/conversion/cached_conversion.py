"""Models of Keras and TensorFlow -> ONNX or TFLite files, from the cache or by a process of its own."""

import contextlib
import hashlib
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from planner.conversion.request import (
    CONVERSION,
    MODEL,
    REPRESENTATIVE,
    SAVED_MODEL,
    TFLITE_MODEL,
    ConversionRequest,
    ConversionResult,
    OnnxForm,
    SavedModelForm,
    SourceKind,
    TfliteForm,
    write_samples,
)
from planner.conversion.worker_process import run_worker
from profiling.arrays import Feeds
from profiling.directories import claim, scratch_folder
from profiling.errors import ModelError
from profiling.progress import Progress, silent
from profiling.records.cache import EntryKind, entry_path, samples_hash

log = logging.getLogger(__name__)

# Package -> the extra that brings it.
_NEEDED = {
    OnnxForm: {"tensorflow": "tensorflow", "tf2onnx": "tensorflow"},
    SavedModelForm: {"tensorflow": "tensorflow"},
    TfliteForm: {"tensorflow": "tensorflow", "ai-edge-litert": "litert", "flatbuffers": "litert"},
}


_FILES = {OnnxForm: MODEL, TfliteForm: TFLITE_MODEL, SavedModelForm: SAVED_MODEL}


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model in its folder, and the request that asked for it."""

    request: ConversionRequest
    folder: Path

    @property
    def path(self) -> Path:
        """The ONNX or `.tflite` file, or that of a SavedModel."""
        return self.folder / _FILES[type(self.request.form)]

    @property
    def conversion(self) -> ConversionResult:
        """What became of the source."""
        return msgspec.json.decode((self.folder / CONVERSION).read_bytes(), type=ConversionResult)


def convert(
    request: ConversionRequest, progress: Progress = silent, representative: Sequence[Feeds] = ()
) -> Converted:
    """Return what a request asks for, from the cache where its content is known.

    Parameters
    ----------
    representative
        Samples as the source takes them, for a TFLite quantization that needs them.

    Raises
    ------
    ModelError
        If a package is not installed, the source cannot be read or converted, or samples are needed.
    """
    _require_packages(request)
    needs_samples = isinstance(request.form, TfliteForm) and request.form.quantization.needs_samples
    if needs_samples and not representative:
        raise ModelError("conversion.quantization: ranges of integers need at least one sample")
    samples = representative if needs_samples else ()
    cached_folder = _cached_folder(request, samples)
    if cached_folder is None or not claim(cached_folder) or not (cached_folder / CONVERSION).is_file():
        progress("converting the model", 0, 1)
        log.info("converting %s", request.shown)
        folder = fresh_folder()
        if samples:
            write_samples(folder / REPRESENTATIVE, samples)
        run_worker("convert", request, folder)
        cached_folder = _keep(folder, cached_folder)
        progress("converting the model", 1, 1)
    else:
        log.info("read %s from the cache", cached_folder.name)
    return Converted(request, cached_folder)


def _require_packages(request: ConversionRequest) -> None:
    for package, extra in _NEEDED[type(request.form)].items():
        try:
            version(package)
        except PackageNotFoundError as exc:
            raise ModelError(
                f"model: needs {package}, which is not installed: pip install 'splitquant[{extra}]'"
            ) from exc


def _cached_folder(request: ConversionRequest, samples: Sequence[Feeds] = ()) -> Path | None:
    """Return the cache's folder for what comes of a request; None if it cannot be known without doing it.

    A function may read anything, so that its model is built and converted each time.
    """
    if request.kind is SourceKind.OBJECT:
        return None
    source_files = [("model", Path(request.target))] if request.kind is not SourceKind.APPLICATION else []
    if request.weights is not None and Path(request.weights).is_absolute():
        source_files.append(("conversion.weights", Path(request.weights)))
    if request.custom_objects is not None:
        modules = sorted(Path(request.custom_objects).parent.glob("*.py"))
        source_files += [("conversion.custom_objects", path) for path in modules]
    # A changed conversion makes another model.
    code = sorted((Path(__file__).parent / "tf_worker").rglob("*.py"))
    entry = entry_path(
        EntryKind.CONVERTED,
        run_worker,
        order=msgspec.to_builtins(msgspec.structs.replace(request, target=_name_in_key(request))),
        content=[_hash(path, key) for key, path in source_files] + [_hash(path, "") for path in code],
        versions={name: _version(name) for name in (*_NEEDED[type(request.form)], "keras", "tf_keras")},
        representative=samples_hash(samples),
    )
    return entry.with_suffix("")


def _name_in_key(request: ConversionRequest) -> str:
    return request.target if request.kind is SourceKind.APPLICATION else request.kind


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


def fresh_folder() -> Path:
    """Return an empty folder for what the process with TensorFlow reads and writes."""
    return Path(tempfile.mkdtemp(prefix="conversion-", dir=scratch_folder()))


def _keep(folder: Path, cached_folder: Path | None) -> Path:
    """Move what was made to its place in the cache, if it has one; another process may have been first."""
    if cached_folder is None:
        return folder
    with contextlib.suppress(OSError):
        folder.rename(cached_folder)
    return cached_folder if (cached_folder / CONVERSION).is_file() else folder
