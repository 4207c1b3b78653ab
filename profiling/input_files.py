"""Files that come from outside: opened only if they are regular and of a bounded size."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MEBI = 2**20
# Without O_NONBLOCK, to open a pipe is to wait for somebody who writes into it; Windows has neither, but
# changes line ends without O_BINARY.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOINHERIT")
)
_DESCRIPTIONS = {
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


def open_input(path: Path, most_bytes: int) -> BinaryIO:
    """Return a regular file of at most so many bytes, opened for reading; never wait for one.

    The path comes from outside: a pipe or a device in place of a file would block a reader, or never end.

    Raises
    ------
    OSError
        If it is missing, a folder, pipe, socket or device, or larger; `strerror` says so in words.
    """
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "no file has a NUL character in its name", str(path))
    number = os.open(path, _FLAGS)
    try:
        _check(os.fstat(number), path, most_bytes)
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _check(status: os.stat_result, path: Path, most_bytes: int) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        description = _DESCRIPTIONS.get(stat.S_IFMT(status.st_mode), "is no file")
        raise OSError(errno.EINVAL, f"{description}; a regular file is needed", str(path))
    if status.st_size > most_bytes:
        raise too_large(path, most_bytes)


def read_input(path: Path, most_bytes: int) -> bytes:
    """Return what a regular file of at most so many bytes holds.

    Raises
    ------
    OSError
        As `open_input`; also where it turns out larger than its size says (as in /proc).
    """
    with open_input(path, most_bytes) as file:
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise too_large(path, most_bytes)
    return content


def too_large(path: Path, most_bytes: int) -> OSError:
    """Return the error of a file that holds more than is read; `strerror` is the text for a person."""
    size = f"{most_bytes // MEBI} MiB" if most_bytes >= MEBI else f"{most_bytes // 1024} KiB"
    return OSError(errno.EFBIG, f"is larger than {size}, the most that is read here", str(path))
