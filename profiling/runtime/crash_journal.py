"""Remembers what was tried when the process died, so that the next one leaves it out.

A fault in native code ends the process at once. Whoever tries something dangerous notes it in a file first
and takes the note back afterwards. A note that is still there when another process comes may be a crash, or a
process that somebody killed. So it counts once another process has confirmed it: the one that waited for the
process, or the next one that died over the same.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

SUFFIX = ".journal"
_CERTAIN = 2  # notes of the same


class _Note(msgspec.Struct, frozen=True, array_like=True):
    """What a process tried."""

    process: int
    what: str


class CrashJournal:
    """Notes in a file, one a line.

    Parameters
    ----------
    path
        The file; it need not exist. Without a folder that can be written nothing is remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = _read(path)

    def cause_of(self, what: str) -> str:
        """Return how trying something ended a process; empty if it is not known to have done so."""
        return "it crashed" if sum(note.what == what for note in self._left) >= _CERTAIN else ""

    @contextlib.contextmanager
    def entry(self, what: str) -> Iterator[None]:
        """Note what is tried inside the block, and that it was survived, whether or not it failed."""
        _write(self._path, [*self._left, _Note(os.getpid(), what)])
        try:
            yield
        finally:
            self._left = [note for note in self._left if note.what != what]
            _write(self._path, self._left)


def confirm_crash(folder: Path, process: int, since: float) -> str:
    """Return what a process was trying when it crashed, and let it count in its journal; "" if nothing.

    Parameters
    ----------
    folder
        Of the journals.
    since
        When the process began, in Unix seconds: others before it may have had its number.
    """
    for path in folder.glob(f"*{SUFFIX}"):
        notes = _read(path)
        if notes and notes[-1].process == process and path.stat().st_mtime >= since - 1:
            _write(path, [*notes, *[notes[-1]] * (_CERTAIN - 1)])
            return notes[-1].what
    return ""


def _read(path: Path) -> list[_Note]:
    try:
        return [msgspec.json.decode(line, type=_Note) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError):  # also of older versions
        return []


def _write(path: Path, notes: list[_Note]) -> None:
    with contextlib.suppress(OSError):
        if notes:
            path.write_bytes(b"\n".join(map(msgspec.json.encode, notes)) + b"\n")
        else:
            path.unlink(missing_ok=True)
