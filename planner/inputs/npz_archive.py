"""NumPy archives: what each array is said to be is known, and bounded, before any of its data is read."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from profiling.arrays import Array
from profiling.available_memory import available_bytes
from profiling.printable_text import reason

_FORMAT: Any = np.lib.format  # without types
_GIBI = 2**30
_SUFFIX = ".npy"
_MOST_ARRAYS = 10_000  # whose headers are read one by one
# Deflate makes zeros 1,000 times smaller; what holds samples seldom shrinks to a hundredth.
_MOST_EXPANSION = 100
_FREELY_EXPANDED = _GIBI // 4


class ArchiveError(Exception):
    """An archive cannot be read; the text goes on after its path."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the header of an array says of it."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"

    @property
    def size_bytes(self) -> int:
        """The bytes of its values."""
        return prod(self.shape) * self.dtype.itemsize


class Archive:
    """An open .npz file, of which only the arrays that are asked for are read.

    Raises
    ------
    ArchiveError
        In every method, if the archive is damaged or holds what is not read.
    """

    def __init__(self, file: BinaryIO) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except Exception as exc:  # zipfile, struct and the OS each raise their own
            raise _unreadable(exc) from exc
        members = self._zip.infolist()
        if len(members) > _MOST_ARRAYS:
            raise ArchiveError(f"holds {len(members)} arrays, more than the {_MOST_ARRAYS} that are read")
        self._members = {
            member.filename.removesuffix(_SUFFIX): member
            for member in members
            if member.filename.endswith(_SUFFIX)
        }
        self._declared: dict[str, Declared] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: object, trace: TracebackType | None
    ) -> None:
        self._zip.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The arrays that it holds."""
        return tuple(self._members)

    def declared(self, name: str) -> Declared:
        """Return what the header of an array says."""
        if name not in self._declared:
            try:
                with self._zip.open(self._members[name]) as file:
                    self._declared[name] = _header(file)
            except ArchiveError:
                raise
            except Exception as exc:  # what a damaged header makes of itself
                raise _unreadable(exc) from exc
            if self._declared[name].dtype.hasobject:
                raise ArchiveError(
                    f"is not read: array {name!r} holds Python objects, which may run code; "
                    "store numbers, in rows of one length"
                )
        return self._declared[name]

    def check_size(self, names: Iterable[str]) -> None:
        """Refuse arrays that together need more than half of the free memory, or that are zip bombs."""
        whole, most = 0, available_bytes() // 2
        for name in names:
            size, packed = self.declared(name).size_bytes, self._members[name].compress_size
            whole += size
            if size > _FREELY_EXPANDED and size > _MOST_EXPANSION * packed:
                raise ArchiveError(
                    f"is not read: array {name!r} expands {size // max(packed, 1)}-fold to "
                    f"{size / _GIBI:.3g} GiB, as a zip bomb does; if it is right, save it uncompressed"
                )
        if whole > most:
            raise ArchiveError(
                f"is not read: its arrays are said to hold {whole / _GIBI:.3g} GiB, more than half of the "
                f"free memory ({most / _GIBI:.3g} GiB)"
            )

    def read(self, name: str) -> Array:
        """Return an array."""
        try:
            with self._zip.open(self._members[name]) as file:
                return np.asarray(_FORMAT.read_array(file, allow_pickle=False))
        except MemoryError:
            raise
        except Exception as exc:  # as above
            raise _unreadable(exc) from exc


def _header(file: Any) -> Declared:
    version = _FORMAT.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = _FORMAT.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = _FORMAT.read_array_header_2_0(file)
    else:  # 3.0 is for names of fields, which no tensor has
        raise ArchiveError(f"is not a readable .npz archive: version {version} of its arrays is unknown")
    if any(size < 0 for size in shape):
        raise ArchiveError(f"is not a readable .npz archive: an array has shape {list(shape)}")
    return Declared(tuple(shape), dtype)


def _unreadable(exc: Exception) -> ArchiveError:
    return ArchiveError(f"is not a readable .npz archive ({reason(exc)})")
