"""The files of a folder, and what tables call them."""

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Self


@dataclass(frozen=True, slots=True)
class FileKind:
    """A kind of files that are samples.

    Parameters
    ----------
    key
        Of the scenario, that names their folder.
    plural
        What messages call them.
    suffixes
        In small letters.
    """

    key: str
    plural: str
    suffixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of a kind in a folder and the folders within it.

    Parameters
    ----------
    names
        Relative to the folder, with /, sorted.
    aliases
        What else a table may call a file -> its name.
    """

    folder: Path
    kind: FileKind
    names: tuple[str, ...]
    aliases: dict[str, str]

    @classmethod
    def of(cls, folder: Path, kind: FileKind) -> Self:
        """Return the files of a kind in a folder, whatever the case of their suffixes."""
        names = sorted(
            (Path(place) / name).relative_to(folder).as_posix()
            for place, _, files in os.walk(folder)
            for name in files
            if Path(name).suffix.lower() in kind.suffixes
        )
        stems = Counter(_without_suffix(name) for name in names)
        aliases = {stem: name for name in names if stems[stem := _without_suffix(name)] == 1}
        return cls(folder, kind, tuple(names), aliases | {name: name for name in names})

    def find(self, text: str) -> str | None:
        """Return the file that a text means; None if there is no such file.

        It may have backslashes, begin with ./ or the name of the folder, or lack the suffix.
        """
        name = text.replace("\\", "/").removeprefix("./")
        return self.aliases.get(name) or self.aliases.get(name.removeprefix(f"{self.folder.name}/"))

    def has_suffix(self, text: str) -> bool:
        """Return whether a text ends as the name of such a file, there or not."""
        return PurePosixPath(text).suffix.lower() in self.kind.suffixes

    def names_file(self, text: str) -> bool:
        """Return whether a text is the name of a file, there or not, or of one that is without its suffix."""
        return self.has_suffix(text) or self.find(text) is not None

    def others(self, names: Collection[str]) -> list[str]:
        """Return the files that are not among some names."""
        known = set(names)
        return [name for name in self.names if name not in known]


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
