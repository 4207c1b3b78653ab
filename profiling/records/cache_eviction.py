"""What lies in the cache: entries by kind, removed when they take too much room or are not wanted."""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from profiling.cache_lock import LOCK, PROCESS_PREFIX
from profiling.directories import KEPT_PREFIX, exclusive_use

LIMIT_VARIABLE = "SPLITQUANT_CACHE_GIB"
_DEFAULT_GIB = 20.0
_GIBI = 2**30

log = logging.getLogger(__name__)


class EntryKind(StrEnum):
    """What an entry of the cache is; its name begins so."""

    RANGES = "ranges"
    LATENCY = "latency"
    NOISE = "noise"
    NOISE_MODEL = "law"
    REFUSED_UNITS = "refused"
    PROBE = "probe"
    COMPRESSED = "compressed"
    CONVERTED = "converted"
    SOLVED = "solved"
    NOISE_LIMIT = "limit"
    HELD_BACK = "held-back"
    PLAN_ERRORS = "trial"
    PLAN_TIMES = "times"
    PLAN_TIMINGS = "timing"


_OTHER = "not of this tool"
# How a name begins -> what the table calls it.
_KINDS = {
    f"{EntryKind.RANGES}-": "activation ranges",
    f"{EntryKind.LATENCY}-": "latency profiles",
    f"{EntryKind.NOISE}-": "noise profiles",
    f"{EntryKind.NOISE_MODEL}-": "noise models",
    f"{EntryKind.REFUSED_UNITS}-": "units tried out",
    f"{EntryKind.PROBE}-": "precisions tried out",
    f"{EntryKind.COMPRESSED}-": "compressed weights",
    f"{EntryKind.CONVERTED}-": "converted models",
    f"{EntryKind.SOLVED}-": "solved problems",
    f"{EntryKind.NOISE_LIMIT}-": "noise limits",
    f"{EntryKind.HELD_BACK}-": "plans on held-back data",
    f"{EntryKind.PLAN_ERRORS}-": "plans on evaluation data",
    f"{EntryKind.PLAN_TIMES}-": "plans timed in turn",
    f"{EntryKind.PLAN_TIMINGS}-": "plans timed in place",
    "inspect-": "units tried out",
    PROCESS_PREFIX: "files of running commands",
    KEPT_PREFIX: "files kept by --debug",
    "errors": "error reports",
    "output.log": "output of libraries",
    ".": "half-written files",
}


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A file or folder in the cache, what it is, its bytes, and when it was used last in Unix seconds."""

    path: Path
    kind: str
    size_bytes: int
    used_s: float

    @property
    def is_ours(self) -> bool:
        """Whether this tool wrote it."""
        return self.kind != _OTHER


@dataclass(frozen=True, slots=True)
class Removal:
    """What was removed, what stays since a running command may use it, and the first failure to remove."""

    removed: tuple[CacheEntry, ...]
    in_use: tuple[CacheEntry, ...]
    failure: str = ""


def limit_bytes() -> int:
    """Return the most bytes that the cache may keep."""
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return int(_DEFAULT_GIB * _GIBI)
    try:
        gibibytes = float(text)
        if not gibibytes >= 0:
            raise ValueError
        return int(gibibytes * _GIBI)
    except (ValueError, OverflowError):
        log.warning("%s=%s is no number of GiB: taking %g", LIMIT_VARIABLE, text, _DEFAULT_GIB)
        return int(_DEFAULT_GIB * _GIBI)


def list_entries(cache: Path) -> list[CacheEntry]:
    """Return what lies in a cache folder, which need not exist; least recently used first."""
    return sorted(_entries(cache), key=lambda entry: (entry.used_s, entry.path))


def _entries(cache: Path) -> Iterator[CacheEntry]:
    for path in cache.iterdir() if cache.is_dir() else ():
        if path.name != LOCK:
            with suppress(FileNotFoundError):  # removed meanwhile
                yield CacheEntry(path, _kind_of(path.name), _size(path), path.lstat().st_mtime)


def _kind_of(name: str) -> str:
    return next((kind for start, kind in _KINDS.items() if name.startswith(start)), _OTHER)


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    total = 0
    for below in path.rglob("*"):
        with suppress(OSError):
            total += 0 if below.is_dir() else below.lstat().st_size
    return total


def clear(cache: Path) -> Removal:
    """Remove every entry that no other running command may use."""
    with exclusive_use(cache) as users:
        own = next(iter(users))
        others = {path: began for path, began in users.items() if path != own}
        return _remove((entry for entry in list_entries(cache) if entry.path != own), others)


def evict(cache: Path, most_bytes: int) -> Removal:
    """Remove entries, the least recently used first, until no more than so many bytes are left.

    What a running command may use stays, this one among them.
    """
    entries = [entry for entry in list_entries(cache) if entry.is_ours]
    if sum(entry.size_bytes for entry in entries) <= most_bytes:
        return Removal((), ())
    with exclusive_use(cache) as users:
        entries = [entry for entry in list_entries(cache) if entry.is_ours]
        excess = sum(entry.size_bytes for entry in entries) - most_bytes
        done = _remove(_first_ones(entries, excess), users)
    log.info("removed %d entries of the cache, which was %d bytes too large", len(done.removed), excess)
    return done


def _first_ones(entries: Iterable[CacheEntry], excess: int) -> Iterator[CacheEntry]:
    """Yield entries until they come to so many bytes."""
    for entry in entries:
        if excess <= 0:
            return
        excess -= entry.size_bytes
        yield entry


def _remove(entries: Iterable[CacheEntry], users: dict[Path, float]) -> Removal:
    """Remove entries but those that the processes of some folders may use; to be called in exclusive use."""
    oldest = min(users.values(), default=float("inf"))
    removed, in_use, failure = [], [], ""
    for entry in entries:
        if not entry.is_ours:
            continue
        if entry.path in users or entry.used_s >= oldest:
            in_use.append(entry)
            continue
        try:
            _delete(entry.path)
            removed.append(entry)
        except OSError as exc:
            failure = failure or f"{entry.path}: {exc.strerror or exc}"
    return Removal(tuple(removed), tuple(in_use), failure)


def _delete(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)
