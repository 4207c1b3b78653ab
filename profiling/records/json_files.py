"""JSON files: written whole or not at all, read within bounds."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from profiling.errors import ProfileError
from profiling.input_files import read_input

_MOST_BYTES = 64 * 2**20  # of a record; a profile has about 1 KiB per unit
T = TypeVar("T")


def save_json(value: object, path: Path) -> None:
    """Write a record as indented JSON, whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
    with writing_aside(path) as aside:
        aside.write_bytes(text)


@contextmanager
def writing_aside(path: Path) -> Iterator[Path]:
    """Yield a new file beside `path` that takes its place when the block succeeds.

    So a crash or a second run never shows half a file. A link keeps pointing where it does; a device
    or pipe is written as it is.
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        yield path
        return
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield aside
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def load_json(path: Path, record: type[T]) -> T:
    """Read a record back.

    Raises
    ------
    ProfileError
        If the file is missing, no JSON, or lacks what `record` needs.
    """
    return parse_json(read_json(path), str(path), record)


def read_json(path: Path) -> bytes:
    """Return the text of a JSON file.

    Raises
    ------
    ProfileError
        If it cannot be read.
    """
    try:
        return read_input(path, _MOST_BYTES)
    except OSError as exc:
        raise ProfileError(f"{path}: {exc.strerror}") from exc


def parse_json(data: bytes, place: str, record: type[T], name: str | None = None) -> T:
    """Return the record that JSON holds.

    Parameters
    ----------
    place
        Where the JSON is from, for messages.
    name
        What messages call the record; default: as `record`.

    Raises
    ------
    ProfileError
        If it is no JSON, or lacks what `record` needs.
    """
    try:
        return msgspec.json.decode(data, type=record)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as exc:
        raise ProfileError(f"{place} is not a {name or record.__name__} file: {exc}") from exc
