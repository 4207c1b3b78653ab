"""Where files of the tool lie: its cache, and scratch folders that live as long as a process.

Other processes of the tool may use the same cache at the same time, see `cache_lock`. What a process uses it
touches, so that an entry touched since the oldest of them began may be in use, and is not removed.
"""

import atexit
import contextlib
import functools
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from profiling.cache_lock import live_processes, locked, register_process
from profiling.printable_text import one_line

KEPT_PREFIX = "debug-"
# For processes that this one starts: what stands in for which cache, and where temporary files are kept.
_PASSING, _KEPT = "SPLITQUANT_PASSING_CACHE", "SPLITQUANT_KEPT_FILES"
_VARIABLE = "XDG_CACHE_HOME"
_LEAST_FREE_BYTES = 16 * 2**20
ROOT = Path(Path.cwd().anchor)

log = logging.getLogger(__name__)


def cache_location() -> Path:
    """Return where the user's cache of this tool is, or would be."""
    location, passing = platformdirs.user_cache_path("splitquant"), _passing_now()
    return passing.instead_of if passing is not None and location == passing.folder else location


def cache_folder() -> Path:
    """Return the user's cache folder of this tool, made if needed.

    Where it cannot be written, that is a folder which is gone when the process ends: a cache that fails
    costs time, not the result.
    """
    folder = cache_location()
    passing = _passing_now()
    if passing is not None and passing.instead_of == folder:
        return passing.folder
    fault = _fault_of(folder)
    return folder if fault is None else _passing_folder(folder, fault)


@dataclass(frozen=True, slots=True)
class _Passing:
    """A folder that stands in for a cache, and why, if that is not said yet."""

    instead_of: Path
    fault: str
    folder: Path

    def hand_on(self) -> None:
        """Let processes that this one starts use it as well."""
        os.environ[_PASSING] = f"{self.instead_of}\n{self.fault}\n{self.folder}"
        os.environ[_VARIABLE] = str(self.folder.parent)  # some libraries have a cache, too


def _passing_now() -> _Passing | None:
    instead_of, *rest = os.environ.get(_PASSING, "").rsplit("\n", 2)
    return _Passing(Path(instead_of), rest[0], Path(rest[1])) if rest else None


def _fault_of(folder: Path) -> str | None:
    """Return why nothing can be kept in a folder, which is made if needed."""
    if not folder.is_absolute():  # neither HOME nor the system knows a home
        return "there is no home folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
    except OSError as exc:
        return exc.strerror or str(exc)
    if not os.access(folder, os.W_OK | os.X_OK):
        return "it cannot be written"
    return None if free >= _LEAST_FREE_BYTES else "the disk is full"


def _passing_folder(instead_of: Path, fault: str) -> Path:
    """Return a cache folder that is gone when the process ends, for processes that it starts as well."""
    above = Path(tempfile.mkdtemp(prefix="splitquant-"))
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    folder = above / "splitquant"
    folder.mkdir()
    _Passing(instead_of, fault, folder).hand_on()
    return folder


@functools.cache
def warn_unkept(folder: Path, fault: str) -> None:
    """Say once that nothing is kept in the cache folder."""
    log.warning("%s", one_line(f"cache {folder}: {fault}; what this run measures is not kept"))


def scratch_folder() -> Path:
    """Return a folder for large files of this process; gone when it ends, unless temporary files are kept.

    It lies in the cache folder, since temporary folders often lie in memory. From its first use on nobody
    removes what this process uses of the cache. What a killed process left there is removed.
    """
    own = _process_folder(cache_folder())
    kept = os.environ.get(_KEPT)
    return Path(kept) if kept else own


@functools.cache
def _process_folder(cache: Path) -> Path:
    passing = _passing_now()
    if passing is not None and passing.folder == cache and passing.fault:
        warn_unkept(passing.instead_of, passing.fault)
        replace(passing, fault="").hand_on()  # it is said once
    return register_process(cache)


@contextlib.contextmanager
def exclusive_use(cache: Path) -> Iterator[dict[Path, float]]:
    """Let no other process claim or remove entries of a cache in the block.

    Yield the folder of each process that uses the cache, this one first, and since when in Unix seconds.
    """
    own = _process_folder(cache)
    with locked(cache):
        yield live_processes(cache, own)


def claim(entry: Path) -> bool:
    """Return whether an entry of the cache is there; if so, nobody removes it while this process lives."""
    cache = cache_folder()
    _process_folder(cache)
    with locked(cache):  # nobody is about to remove it
        return touch(entry)


def touch(entry: Path) -> bool:
    """Date an entry of the cache as used now, and return whether it is there."""
    try:
        os.utime(entry)
    except FileNotFoundError:
        return False
    except OSError:  # it is another user's: it ages
        return entry.exists()
    return True


@contextlib.contextmanager
def temporary_folder(prefix: str = "temporary-", above: Path | None = None) -> Iterator[Path]:
    """Yield a new folder that is gone after the block, unless temporary files are kept.

    Parameters
    ----------
    above
        Where it is made; default: where the system has temporary files, often in memory.
    """
    kept = os.environ.get(_KEPT)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=kept or above))
    try:
        yield folder
    finally:
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def keeping_temporary_files() -> Iterator[Path]:
    """Yield a folder in which the temporary files of the block, and of processes it starts, stay."""
    cache = cache_location()
    above = cache if _fault_of(cache) is None else None
    folder = Path(tempfile.mkdtemp(prefix=time.strftime(f"{KEPT_PREFIX}%Y%m%d-%H%M%S-"), dir=above))
    os.environ[_KEPT] = str(folder)
    try:
        yield folder
    finally:
        del os.environ[_KEPT]
        with contextlib.suppress(OSError):  # it holds something
            folder.rmdir()
