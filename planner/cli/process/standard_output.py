"""Keeps the process's standard output for what the command itself answers.

Libraries print what they like, some of them from C, past Python's `sys.stdout`. Their texts must not stand
before a JSON document, nor among progress bars: what reaches descriptor 1 goes to a log, and what Python
code prints goes to stderr.
"""

import contextlib
import io
import os
import select
import sys
from typing import TextIO

from planner.errors import OutputError
from profiling.directories import cache_folder

_LOG = "output.log"
_INPUT, _OUTPUT, _ERRORS = 0, 1, 2
_BROKEN_PIPE = 141  # what a shell shows of a program that SIGPIPE ended
_kept: list[TextIO] = []


def keep_standard_output() -> None:
    """Move the process's standard output to where only `standard_output` writes.

    Raises
    ------
    OutputError
        If it is closed.
    """
    _open_closed()
    try:
        own = os.dup(_OUTPUT)  # child processes do not inherit it
    except OSError as exc:
        raise OutputError("standard output is closed") from exc
    sys.stdout.flush()
    log = _open_log()
    os.dup2(log, _OUTPUT)
    os.close(log)
    before, raw = sys.stdout, _Descriptor(own, "w")
    lines = raw.isatty()
    text = io.TextIOWrapper(
        io.BufferedWriter(raw), before.encoding, errors="backslashreplace", line_buffering=lines
    )
    _kept[:] = [text]
    sys.stdout = sys.stderr


def standard_output() -> TextIO:
    """Return the stream for answers: the process's standard output, unless it was never moved."""
    return _kept[0] if _kept else sys.stdout


def end_without_reader() -> None:
    """End the command where its standard output is a pipe that nobody reads any more.

    Where a system has no `poll`, it ends with the first answer that it cannot write.
    """
    if not _kept or not hasattr(select, "poll"):
        return
    ends = select.poll()
    ends.register(_kept[0].fileno(), 0)  # errors are told whatever is asked for
    if any(event & select.POLLERR for _, event in ends.poll(0)):
        raise SystemExit(_BROKEN_PIPE)


class _Descriptor(io.FileIO):
    """A standard output that ends the command where nobody reads it any more, and says if it fails."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as exc:
            self._write_nowhere()  # so that no stream fails again when it closes
            if isinstance(exc, BrokenPipeError):
                raise SystemExit(_BROKEN_PIPE) from exc
            raise OutputError(f"standard output: {exc.strerror}") from exc

    def _write_nowhere(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno(), inheritable=False)
        os.close(nowhere)


def _open_closed() -> None:
    """Open a closed stdin or stderr to nothing: a file that is opened later must not take its place."""
    for number in (_INPUT, _ERRORS):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)  # noqa: FBT003
    if sys.stderr is None:
        sys.stderr = open(_ERRORS, "w", closefd=False)  # noqa: SIM115


def _open_log() -> int:
    """Return a descriptor of the log, which holds one run; of nothing where it cannot be written."""
    with contextlib.suppress(OSError):
        return os.open(cache_folder() / _LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    return os.open(os.devnull, os.O_WRONLY)
