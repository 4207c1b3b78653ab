"""Models as pieces of one file: weights that several of them have lie there once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path


class ModelPieces:
    """Puts models together that lie in pieces.

    Parameters
    ----------
    path
        The file with all pieces.
    places
        Model -> (offset, size) of its pieces there, in order.
    """

    def __init__(self, path: Path, places: Mapping[str, Sequence[Sequence[int]]]) -> None:
        self._path, self._places = path, places

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> bytes:
        """Return a model by its name.

        Raises
        ------
        EOFError
            If the file is shorter than it was written.
        """
        pieces = []
        with self._path.open("rb") as file:
            for offset, size in self._places[name]:
                file.seek(offset)
                pieces.append(file.read(size))
                if len(pieces[-1]) < size:
                    raise EOFError(f"{self._path} is not whole: copy the bundle again")
        return b"".join(pieces)
