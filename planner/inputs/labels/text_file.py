"""Text of files as spreadsheets and editors write them."""

import codecs
from pathlib import Path

from planner.errors import DataError
from profiling.input_files import read_input
from profiling.printable_text import reason

_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path, most_bytes: int, where: str) -> str:
    """Return a file's text: UTF-8, or UTF-16 where it begins with that encoding's mark.

    Raises
    ------
    DataError
        If it cannot be read, or is in another encoding.
    """
    try:
        content = read_input(path, most_bytes)
        # Spreadsheets write a mark of the encoding first.
        return content.decode("utf-16" if content.startswith(_UTF16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as exc:
        raise DataError(f"{where}: {path} cannot be read: it is not UTF-8 text") from exc
    except OSError as exc:
        raise DataError(f"{where}: {path} cannot be read: {exc.strerror or reason(exc)}") from exc
