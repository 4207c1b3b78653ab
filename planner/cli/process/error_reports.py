"""Files that tell of errors inside the program, for whoever mends it: one each, the newest ones kept."""

import os
import platform
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from profiling.directories import cache_folder, cache_location
from profiling.printable_text import shown

FOLDER = "errors"
MOST_REPORTS = 20


def report_exception(exc: BaseException) -> str:
    """Write an exception with its traceback to a file, and return where it is, for a message."""
    return _report("".join(traceback.format_exception(exc)))


def report_crash(what: str, stack: str) -> str:
    """Write how native code ended a process to a file, and return where it is, for a message.

    Parameters
    ----------
    stack
        What `faulthandler` told.
    """
    return _report(f"{what}\n{stack}")


def _report(text: str) -> str:
    try:
        folder = _folder()
        folder.mkdir(exist_ok=True)
        path = folder / time.strftime(f"%Y%m%d-%H%M%S-{os.getpid()}.log")
        lines = [*_circumstances(), "", *text.splitlines()]
        path.write_text("\n".join(map(shown, lines)) + "\n", encoding="utf-8")
        _drop_oldest(folder)
    except OSError:
        return "its traceback could not be written: run again with --debug"
    return f"its traceback is in {path}"


def _folder() -> Path:
    """Return where reports stay: in the cache, or among temporary files where nothing stays in that."""
    cache = cache_folder()
    return cache / FOLDER if cache == cache_location() else Path(tempfile.gettempdir()) / "splitquant-errors"


def _circumstances() -> list[str]:
    return [
        f"time: {time.strftime('%Y-%m-%d %H:%M:%S%z')}",
        f"command: {sys.argv!r}",
        f"splitquant: {version('splitquant')}",
        f"python: {sys.version}",
        f"system: {platform.platform()}",
    ]


def _drop_oldest(folder: Path) -> None:
    for path in sorted(folder.glob("*.log"))[:-MOST_REPORTS]:
        with suppress(OSError):
            path.unlink()
