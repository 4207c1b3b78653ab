"""Where files of the tool lie: its cache, and a scratch folder that lives as long as the process."""

import contextlib
import fcntl
import functools
import shutil
import tempfile
import time
import weakref
from pathlib import Path

import platformdirs

_STALE_S = 3600.0
_LOCK = "lock"


def cache_folder() -> Path:
    """Return the user's cache folder of this tool, made if needed."""
    folder = platformdirs.user_cache_path("splitquant")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".*.tmp"):  # of a run that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                left.unlink()
    return folder


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


_HELD: list[object] = []  # the lock tells other processes that the folder is in use


def _remove_if_left(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / _LOCK).open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
