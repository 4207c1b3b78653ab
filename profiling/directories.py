"""Where files of the tool lie: its cache, and a scratch folder that lives as long as the process."""

import atexit
import contextlib
import fcntl
import functools
import os
import shutil
import sys
import tempfile
import time
import weakref
from pathlib import Path

import platformdirs

from profiling.printable_text import one_line

_STALE_S = 3600.0
_VARIABLE = "XDG_CACHE_HOME"
_LEAST_FREE_BYTES = 16 * 2**20
_LOCK = "lock"
_HELD: list[object] = []  # the lock tells other processes that the folder is in use
ROOT = Path(Path.cwd().anchor)


def cache_folder() -> Path:
    """Return the user's cache folder of this tool, made if needed.

    Where it cannot be written, that is a folder which is gone when the process ends: a cache that fails
    costs time, not the result.
    """
    folder = platformdirs.user_cache_path("splitquant")
    fault = _fault_of(folder)
    if fault is not None:
        return _passing_folder(folder, fault)
    for left in folder.glob(".*.tmp"):  # of a run that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                left.unlink()
    return folder


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
    warn_unkept(instead_of, fault)
    above = tempfile.mkdtemp(prefix="splitquant-")
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    os.environ[_VARIABLE] = above  # where platformdirs looks first
    folder = Path(above) / "splitquant"
    folder.mkdir()
    return folder


@functools.cache
def warn_unkept(folder: Path, fault: str) -> None:
    """Say on stderr, once, that nothing is kept in the cache folder."""
    text = one_line(f"cache {folder}: {fault}; what this run measures is not kept")
    if sys.stderr is not None:
        sys.stderr.write(f"{text}\n")


@functools.cache
def scratch_folder() -> Path:
    """Return a folder for large files of this process; gone when it ends.

    It lies in the cache folder, since temporary folders often lie in memory. What a killed process
    left there is removed.
    """
    above = cache_folder()
    for left in above.glob("scratch-*"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=above))
    lock = (folder / _LOCK).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    weakref.finalize(lock, shutil.rmtree, folder, ignore_errors=True)
    _HELD.append(lock)
    return folder


def _remove_if_left(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / _LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
