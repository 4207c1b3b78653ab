"""Models of Keras and TensorFlow -> ONNX files, by a process of its own; kept by content."""

import contextlib
import hashlib
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from planner.conversion.request import CONVERSION, MODEL, Conversion, ConversionRequest, Kind
from planner.conversion.worker_process import run_worker
from profiling.directories import cache_folder, scratch_folder
from profiling.errors import ModelError
from profiling.progress import Progress, silent
from profiling.records.cache import cache_key

_NEEDED = ("tensorflow", "tf2onnx")


@dataclass(frozen=True, slots=True)
class Converted:
    """A converted model in its folder, and the order that asked for it."""

    order: ConversionRequest
    folder: Path

    @property
    def path(self) -> Path:
        """The ONNX file."""
        return self.folder / MODEL

    @property
    def conversion(self) -> Conversion:
        """What became of the source."""
        return msgspec.json.decode((self.folder / CONVERSION).read_bytes(), type=Conversion)


def convert(order: ConversionRequest, progress: Progress = silent) -> Converted:
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
        folder = fresh_folder()
        run_worker("convert", order, folder)
        kept = _keep(folder, kept)
        progress("converting the model", 1, 1)
    return Converted(order, kept)


def _require_tensorflow() -> None:
    for package in _NEEDED:
        try:
            version(package)
        except PackageNotFoundError as exc:
            raise ModelError(
                f"model: needs {package}, which is not installed: pip install 'splitquant[tensorflow]'"
            ) from exc


def _key(order: ConversionRequest) -> str | None:
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
    code = sorted((Path(__file__).parent / "tf_worker").glob("*.py"))
    return cache_key(
        order=msgspec.to_builtins(msgspec.structs.replace(order, target=_name(order))),
        content=[_hash(path, key) for key, path in read] + [_hash(path, "") for path in code],
        versions={name: _version(name) for name in (*_NEEDED, "keras", "tf_keras")},
    )


def _name(order: ConversionRequest) -> str:
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


def fresh_folder() -> Path:
    """Return an empty folder for what the process with TensorFlow reads and writes."""
    return Path(tempfile.mkdtemp(prefix="conversion-", dir=scratch_folder()))


def _keep(folder: Path, kept: Path | None) -> Path:
    """Move what was made to its place in the cache, if it has one; another process may have been first."""
    if kept is None:
        return folder
    with contextlib.suppress(OSError):
        folder.rename(kept)
    return kept if (kept / CONVERSION).is_file() else folder
