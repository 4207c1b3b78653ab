"""What cores of this machine showed alone in earlier processes, in a file among the temporary ones.

A process that other work shares its core with from its first moment to its last takes that for a core of its
own. Earlier ones may have seen better.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import stat
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from profiling.on_device.processor import cpu_description

_MOST, _FEWEST = 40, 3  # processes that are remembered, and without which nothing is known
_CALM = 4  # one of so many processes had a core of its own at some time
_MOST_PROBES, _MOST_BYTES = 20, 1 << 17


class CoreHistory:
    """The ratios of the core probes that earlier processes saw on a core of their own.

    Parameters
    ----------
    file
        JSON: probes on a processor -> ratios, the latest last. One that cannot be read or written, or that
        is another user's, is none; None where there is no place for it.
    probes
        What the ratios depend on.
    """

    def __init__(self, file: Path | None, probes: str) -> None:
        self._file, self._own = file, probes

    def alone(self) -> float | None:
        """Return what a core alone shows; None where too few processes are known.

        That is the median of the lowest quarter: the others may never have had a core of their own.
        """
        ratios = sorted(self._read().get(self._own, ()))
        return statistics.median(ratios[: -(-len(ratios) // _CALM)]) if len(ratios) >= _FEWEST else None

    def add(self, ratio: float) -> None:
        """Remember what a process saw."""
        if self._file is None:
            return
        known = self._read()
        known[self._own] = [*known.pop(self._own, ()), ratio][-_MOST:]  # the latest last
        kept = dict(list(known.items())[-_MOST_PROBES:])
        with contextlib.suppress(OSError):
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=self._file.name)
            written = Path(name)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(kept, file)
                written.replace(self._file)
            finally:
                written.unlink(missing_ok=True)

    def _read(self) -> dict[str, Sequence[float]]:
        if self._file is None:
            return {}
        try:
            known = json.loads(_content_of(self._file))
            return {name: list(filter(_is_ratio, ratios)) for name, ratios in known.items()}
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return {}


def _content_of(file: Path) -> bytes:
    """Return what is in a small file of this user: others can write into folders for temporary ones.

    Raises
    ------
    OSError
        If it is another one, or cannot be read.
    """
    # Neither does a link lead elsewhere, nor does a pipe wait for its writer.
    handle = os.open(file, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb") as opened:
        found = os.fstat(handle)
        is_own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
        if not is_own or not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
            raise OSError("not a small file of this user")
        return opened.read(_MOST_BYTES)


def _is_ratio(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value > 0


def history_of_user() -> CoreHistory:
    """Return that of this user on this machine, for the cores on which this process may run."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    cores: list[int] = []
    if hasattr(os, "sched_getaffinity"):
        with contextlib.suppress(OSError):  # some systems refuse
            cores = sorted(os.sched_getaffinity(0))
    # Builds of one version differ: so does how fast they are.
    probes = f"{cpu_description()}, cores {cores}, NumPy {np.__version__} in {Path(np.__file__).parent}"
    try:
        folder = Path(tempfile.gettempdir())
    except OSError:  # none can be written
        return CoreHistory(None, probes)
    return CoreHistory(folder / f"splitquant-cores{user}.json", probes)
