"""Measurements kept on disk under a key of everything that they depend on."""

import atexit
import contextlib
import functools
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np

from profiling.arrays import Feeds
from profiling.directories import cache_folder, scratch_folder, touch, warn_unkept
from profiling.errors import ProfileError
from profiling.records.cache_eviction import EntryKind as EntryKind
from profiling.records.cache_eviction import evict, limit_bytes
from profiling.records.code_hash import code_hash
from profiling.records.json_files import load_json, save_json
from profiling.records.profile import FORMAT

T = TypeVar("T")

log = logging.getLogger(__name__)


def content_hash(**parts: object) -> str:
    """Return a hash of parts by their names."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def cache_key(made_by: Callable[..., object], **parts: object) -> str:
    """Return a name for a cache entry: a hash of its parts, and of the code that makes it.

    Parameters
    ----------
    made_by
        The function that makes the value. Its module counts, and every own module that this imports.
    """
    made = {"format": FORMAT, "version": version("splitquant"), "code": code_hash(made_by)}
    return content_hash(**made, **parts)


def entry_path(kind: EntryKind, made_by: Callable[..., object], **parts: object) -> Path:
    """Return the file of a cache entry; parameters as of `cache_key`."""
    cache = cache_folder()
    _evict_at_exit(cache)
    return cache / f"{kind}-{cache_key(made_by, **parts)}.json"


@functools.cache
def _evict_at_exit(cache: Path) -> None:
    scratch_folder()  # from now on this process counts, until after the eviction
    most_bytes = limit_bytes()

    def leave() -> None:
        with contextlib.suppress(OSError):
            evict(cache, most_bytes)

    atexit.register(leave)


def samples_hash(samples: Iterable[Feeds]) -> str:
    """Return a hash of all values of all samples."""
    digest = hashlib.sha256()
    for feeds in samples:
        for name in sorted(feeds):
            value = np.ascontiguousarray(feeds[name])
            digest.update(f"{name} {value.dtype} {value.shape}".encode())
            digest.update(value.tobytes())
    return digest.hexdigest()


def cached(path: Path, record: type[T], make: Callable[[], T]) -> T:
    """Return the record at `path`, or make it and keep it; an unreadable entry is made anew."""
    if touch(path):
        try:
            value = load_json(path, record)
        except ProfileError as exc:
            log.info("making %s anew: %s", path.name, exc)
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        else:
            log.info("read %s from the cache", path.name)
            return value
    began = time.perf_counter()
    value = make()
    log.info("made %s in %.2f s", path.name, time.perf_counter() - began)
    try:
        save_json(value, path)
    except OSError as exc:  # a full disk costs the entry, not the result
        warn_unkept(path.parent, exc.strerror or str(exc))
    return value
