"""Measurements kept on disk under a key of everything that they depend on."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np

from profiling.arrays import Feeds
from profiling.directories import warn_unkept
from profiling.errors import ProfileError
from profiling.records.profile import FORMAT, load_json, save_json

T = TypeVar("T")


def cache_key(**parts: object) -> str:
    """Return a name for a cache entry: a hash of its parts and of the record format."""
    made_by = {"format": FORMAT, "version": version("splitquant")}
    text = json.dumps({**made_by, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


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
    if path.exists():
        try:
            return load_json(path, record)
        except ProfileError:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    value = make()
    try:
        save_json(value, path)
    except OSError as exc:  # a full disk costs the entry, not the result
        warn_unkept(path.parent, exc.strerror or str(exc))
    return value
