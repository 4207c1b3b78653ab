"""A folder that is written whole or not at all, whatever kills the writer and whoever else writes."""

import ctypes
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from planner.errors import OutputError
from planner.output.file_hash import sha256_of
from profiling.records.json_files import save_json

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # Linux: fcntl.h, linux/fs.h
_STALE_S = 3600.0  # older leftovers are of writers that were killed: no run writes for so long
_TRIES = 100  # against other writers: each of them has to win in between to use one up
_LIST = "files"  # key of the hashes in the JSON file that marks a folder


@contextmanager
def atomic_directory(folder: Path, option: str) -> Iterator[Path]:
    """Yield a new folder that takes the place of `folder` at once when the block succeeds.

    Where the system can exchange two folders in one step (Linux), there is no moment without a whole
    folder in its place; elsewhere the old one is moved away first. Of several writers the last wins.

    Parameters
    ----------
    option
        What the user wrote, for messages.

    Raises
    ------
    OutputError
        If the place cannot be written.
    """
    target = folder.resolve()  # behind a link, so that the link stays
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _drop_stale(target)
        # Beside the target, since only within one file system a rename is one step.
        fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".new", dir=target.parent))
    except OSError as exc:
        raise OutputError(f"{option}: {exc.strerror}") from exc
    try:
        yield fresh
        # mkdtemp lets nobody else in.
        fresh.chmod(0o755)
        _swap(fresh, target)
    except OSError as exc:
        raise OutputError(f"{option}: {exc.strerror or exc}") from exc
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, target: Path) -> None:
    """Put `fresh` into its place."""
    for _ in range(_TRIES):  # another writer may make or exchange the place in between
        try:
            if not target.exists():
                fresh.rename(target)
            elif not _exchange(fresh, target):
                _move_over(fresh, target)
        except OSError as exc:
            if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
        else:
            return
    raise OSError(errno.EBUSY, "other runs keep writing there")


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if renameat2 is None:
        return False
    if not renameat2(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE):
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number))


def _move_over(fresh: Path, target: Path) -> None:
    old = fresh.with_suffix(".old")
    target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        with suppress(OSError):  # another writer was faster: its folder stays
            old.rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _drop_stale(target: Path) -> None:
    """Remove what killed writers left beside the place long ago."""
    for suffix in ("new", "old"):
        for leftover in target.parent.glob(f".{target.name}.*.{suffix}"):
            with suppress(FileNotFoundError):
                if time.time() - leftover.stat().st_mtime > _STALE_S:
                    shutil.rmtree(leftover, ignore_errors=True)


def check_replaceable(folder: Path, option: str, what: str, allowed: set[str], mark: str) -> None:
    """Refuse a place that cannot be written, or whose files are not what would replace them.

    Parameters
    ----------
    option, what
        What the user wrote, and what is to lie there, for messages.
    allowed, mark
        Names that may lie there, and the one that has to if any do.

    Raises
    ------
    OutputError
        If it is a file, cannot be written, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{option}: is a file; name a folder")
    if folder.is_dir():
        names = _names_in(folder)
        unexpected = sorted(names - allowed)
        if unexpected or (names and mark not in names):
            example = unexpected[0] if unexpected else sorted(names)[0]
            raise OutputError(f"{option}: holds files that are no {what} ({example}); name a new folder")
        if names:
            _check_files_are_ours(folder, option, mark)
    above = next(parent for parent in folder.resolve().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise OutputError(f"{option}: {above} is no folder that can be written")


def list_files(folder: Path, mark: str) -> None:
    """Add the hash of every other file to a folder's JSON file `mark`, for `check_replaceable`."""
    content = json.loads((folder / mark).read_text(encoding="utf-8"))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / mark)
    content[_LIST] = {str(path.relative_to(folder)): sha256_of(path) for path in files}
    (folder / mark).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def listed_files(folder: Path, mark: str) -> list[str]:
    """Return the other files of a folder of ours, as its JSON file `mark` lists them.

    Raises
    ------
    OutputError
        If one of them is no file inside the folder.
    """
    files = sorted(_listed(folder / mark))
    for file in files:
        path = folder / file
        leaves = ".." in PurePath(file).parts or folder.resolve() not in path.resolve().parents
        if leaves or path.is_symlink() or not path.is_file():
            raise OutputError(f"{path}: is missing, or is no file of this folder")
    return files


def add_file(folder: Path, mark: str, name: str, content: object) -> None:
    """Write a JSON file into a folder of ours and list it in `mark`; no other hash is renewed.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    save_json(content, folder / name)
    marked = json.loads((folder / mark).read_text(encoding="utf-8"))
    marked[_LIST] = {**marked.get(_LIST, {}), name: sha256_of(folder / name)}
    save_json(marked, folder / mark)


def _check_files_are_ours(folder: Path, option: str, mark: str) -> None:
    """Refuse a folder with a file that is not as the planner wrote it: replacing would delete it."""
    before = folder.stat().st_ino
    changed_file = _foreign_file(folder, _listed(folder / mark), mark)
    if folder.stat().st_ino != before:  # another run replaced it meanwhile: look again
        _check_files_are_ours(folder, option, mark)
    elif changed_file is not None:
        raise OutputError(
            f"{option}: {changed_file!r} was not written here by this planner, or was changed since; "
            "move it away or name a new folder"
        )


def _listed(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    listed = content.get(_LIST) if isinstance(content, dict) else None
    return listed if isinstance(listed, dict) else {}


def _foreign_file(folder: Path, listed: dict[str, str], mark: str) -> str | None:
    """Return a file that is not listed, has another content, or is no plain file; the mark needs a list."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if name == mark and listed and not path.is_symlink():
            continue
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink() or not path.is_file() or listed.get(name) != sha256_of(path):
            return name
    return None


def _names_in(folder: Path) -> set[str]:
    """Return what a folder holds, read again if another run replaced it meanwhile."""
    while True:
        before = folder.stat().st_ino
        names = {entry.name for entry in folder.iterdir()}
        if folder.stat().st_ino == before:
            return names
