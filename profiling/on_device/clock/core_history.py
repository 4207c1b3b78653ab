"""What cores of this machine showed alone in earlier processes, in a file that lasts until it restarts.

A process that other work shares its core with from its first moment to its last takes that for a core of its
own. Earlier ones may have seen better.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from profiling.on_device.processor import cpu_description

_MOST, _FEWEST = 40, 3  # processes that are remembered, and without which nothing is known
_CALM = 4  # one of so many processes had a core of its own at some time


class CoreHistory:
    """The ratios of the core probes that earlier processes saw on a core of their own.

    Parameters
    ----------
    file
        JSON: probes on a processor -> ratios, the latest last. One that cannot be read or written is none.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def alone(self) -> float | None:
        """Return what a core alone shows; None where too few processes are known.

        That is the median of the lowest quarter: the others may never have had a core of their own.
        """
        ratios = sorted(self._read().get(_probes(), ()))
        return statistics.median(ratios[: -(-len(ratios) // _CALM)]) if len(ratios) >= _FEWEST else None

    def add(self, ratio: float) -> None:
        """Remember what a process saw."""
        known = self._read()
        known[_probes()] = [*known.get(_probes(), ()), ratio][-_MOST:]
        written = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            written.write_text(json.dumps(known), encoding="utf-8")
            written.replace(self._file)

    def _read(self) -> dict[str, Sequence[float]]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
            return {str(name): [float(ratio) for ratio in ratios] for name, ratios in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def history_of_user() -> CoreHistory:
    """Return that of this user on this machine."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    return CoreHistory(Path(tempfile.gettempdir()) / f"splitquant-cores{user}.json")


def _probes() -> str:
    """Return what probes' seconds depend on."""
    return f"{cpu_description()}, NumPy {np.__version__}"
