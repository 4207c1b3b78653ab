"""Which versions of the libraries that decide a plan's numbers are installed, and which were tested."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from rich.table import Table

TESTED = {
    "onnxruntime": ("1.31.1", "1.32.0"),
    "onnx": ("1.23.2",),
    "numpy": ("1.26.4",),
    "pulp": ("3.3.2",),
    "highspy": ("1.16.0",),
    "tensorflow": ("2.21.0",),
    "keras": ("3.15.1",),
    "tf2onnx": ("1.17.0",),
    "tensorflow-model-optimization": ("0.8.1",),
    "tf-keras": ("2.21.0",),
    "ai-edge-litert": ("2.3.0",),
    "litert-quantizer": ("0.11.0",),
}
"""Library -> its versions with which the tests passed; the last is that of requirements/lock.txt."""


@dataclass(frozen=True, slots=True)
class InstalledLibrary:
    """A library, its installed version or None, and the versions that were tested."""

    name: str
    installed: str | None
    tested: tuple[str, ...]


def libraries() -> tuple[InstalledLibrary, ...]:
    """Return what is known of each library that matters."""
    return tuple(InstalledLibrary(name, _installed(name), tested) for name, tested in TESTED.items())


def versions_table(found: tuple[InstalledLibrary, ...]) -> Table:
    """Return the libraries as a table."""
    table = Table("library", "installed", "tested", box=None)
    for library in found:
        table.add_row(library.name, library.installed or "-", ", ".join(library.tested))
    return table


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
