"""Remembers what was tried when the process died, so that the next one leaves it out.

A fault in native code ends the process at once. Whoever tries something dangerous notes it in a file first
and takes the note back afterwards; a note that is still there when another process comes is a death.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

SUFFIX = ".journal"


class CrashJournal:
    """Notes in a file, one a line.

    Parameters
    ----------
    path
        The file; it need not exist. Without a folder that can be written nothing is remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._dead = _read(path)

    def cause_of(self, what: str) -> str:
        """Return how trying something ended a process; empty if it never did."""
        return "it crashed" if what in self._dead else ""

    @contextlib.contextmanager
    def entry(self, what: str) -> Iterator[None]:
        """Note what is tried inside the block, and that it was survived, whether or not it failed."""
        self._write([*self._dead, what])
        try:
            yield
        finally:
            self._write(self._dead)

    def _write(self, lines: list[str]) -> None:
        with contextlib.suppress(OSError):
            if lines:
                self._path.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
            else:
                self._path.unlink(missing_ok=True)


def last_notes(folder: Path, since: float) -> list[str]:
    """Return what was being tried, by a folder's journals written after a time in Unix seconds."""
    recent = [path for path in folder.glob(f"*{SUFFIX}") if path.stat().st_mtime >= since - 1]
    return [lines[-1] for path in recent if (lines := _read(path))]


def _read(path: Path) -> list[str]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []
