"""Locks of the cache: on all of it for a moment, and on each process's folder in it while the process lives.

Several processes of the tool may use one cache at the same time. Each that does holds a lock on a folder of
its own in it, which says that it lives and since when it uses the cache.
"""

import atexit
import contextlib
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROCESS_PREFIX = "scratch-"
LOCK = "lock"
_STALE_S = 3600.0
_LOCK_WAIT_S = 60.0  # longer than it takes to remove everything; whoever holds the lock may be stopped
_SILENT_WAIT_S, _FOREVER = 2.0, -1.0
_BEGAN = "began"

log = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(cache: Path) -> Iterator[None]:
    """Keep other processes from adding and removing anything in the block; whoever waits too long goes on."""
    try:
        lock = _Lock(cache / LOCK, _LOCK_WAIT_S)
    except _HeldError:
        log.warning("%s is locked by another process for %g s: going on", cache, _LOCK_WAIT_S)
        yield
        return
    with lock:
        yield


@contextlib.contextmanager
def one_at_a_time(path: Path) -> Iterator[None]:
    """Let processes into the block one after another, by a lock on a file; each waits for the one before.

    Where the file system has no locks nobody waits.
    """
    try:
        lock = _lock_when_free(path)
    except OSError:
        yield
        return
    with lock:
        yield


def _lock_when_free(path: Path) -> "_Lock":
    try:
        return _Lock(path, _SILENT_WAIT_S)
    except _HeldError:
        log.warning("waiting for another process that makes %s", path.with_suffix(".json"))
        return _Lock(path, _FOREVER)


def register_process(cache: Path) -> Path:
    """Return a new folder of this process in a cache, locked and kept until it ends.

    What killed processes left there is removed.
    """
    with locked(cache):  # so that nobody takes a folder for left before it has its lock
        _remove_left(cache)
        folder = Path(tempfile.mkdtemp(prefix=PROCESS_PREFIX, dir=cache))
        lock = _Lock(folder / LOCK)
        (folder / _BEGAN).touch()

    def leave() -> None:
        lock.release()  # some systems remove no file that is in use
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(leave)
    return folder


def _remove_left(cache: Path) -> None:
    """Remove what processes left that were killed."""
    for path in cache.glob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_S:
                path.unlink()
    for folder in cache.glob(f"{PROCESS_PREFIX}*"):
        if not _is_live(folder):
            log.info("removing %s, which a killed process left", folder)
            shutil.rmtree(folder, ignore_errors=True)


def _is_live(process_folder: Path) -> bool:
    """Return whether the process lives that made a folder; to be asked with the cache's lock only."""
    try:
        _Lock(process_folder / LOCK).release()
    except _HeldError:
        return True
    except OSError:  # gone meanwhile, or of another user
        return process_folder.exists()
    return False


def live_processes(cache: Path, own: Path) -> dict[Path, float]:
    """Return the folder of each process that uses a cache, this one's first, and since when in Unix seconds.

    To be asked with the cache's lock only.
    """
    others = [path for path in cache.glob(f"{PROCESS_PREFIX}*") if path != own and _is_live(path)]
    return {path: _began_s(path) for path in (own, *others)}


def _began_s(process_folder: Path) -> float:
    """Return when a process began to use the cache, by the clock that dates the cache's files."""
    try:
        return (process_folder / _BEGAN).stat().st_mtime
    except OSError:  # a version that wrote no such file made it
        return 0.0


class _HeldError(Exception):
    """Another process holds a lock."""


class _Lock:
    """A held lock on a file, which is made if needed.

    Raises
    ------
    _HeldError
        If another process still holds it after so many seconds.
    """

    def __init__(self, path: Path, wait_s: float = 0.0) -> None:
        from filelock import FileLock, Timeout  # it takes longer to import than a short command runs

        self._lock = FileLock(str(path), timeout=wait_s, thread_local=False)
        try:
            self._lock.acquire()
        except Timeout as exc:
            raise _HeldError from exc
        except NotImplementedError as exc:
            raise OSError(f"{path}: the file system has no locks") from exc

    def __enter__(self) -> None:
        """Hold it until the block ends."""

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let another process have it."""
        self._lock.release()
