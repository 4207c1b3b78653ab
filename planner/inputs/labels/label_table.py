"""Tables of labels: a row for each file, with its class, as spreadsheets and scripts write them."""

import csv
import io
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from planner.errors import DataError
from planner.formatting import names_text
from planner.inputs.labels.folder_files import FolderFiles
from planner.inputs.labels.text_file import read_text
from planner.scenario.data_schema import LabelTable
from profiling.printable_text import reason

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 16 * 2**20
_SEPARATORS = ("\t", ";", ",", "|", " ")
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=.\r?\n")  # of a spreadsheet
_FILE_HEADERS = frozenset({"file", "filename", "file_name", "image", "image_name", "path", "id", "image_id"})
_LABEL_HEADERS = frozenset(
    {
        "label",
        "labels",
        "class",
        "class_name",
        "classname",
        "class_id",
        "class_index",
        "category",
        "target",
        "y",
    }
)
_LEAST_COLUMNS = 2


@dataclass(frozen=True, slots=True)
class LabelledFiles:
    """What a table says: files, the text of each one's label, and its whole row as column -> text."""

    files: tuple[str, ...]
    labels: tuple[str, ...]
    rows: list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class _Row:
    """Cells of a row, and the line on which it begins."""

    line: int
    cells: tuple[str, ...]


def read_columns(table: LabelTable, where: str) -> LabelledFiles:
    """Return what a table says in two columns that the scenario names.

    Raises
    ------
    DataError
        If it cannot be read, or lacks a column.
    """
    path = Path(table.file)
    text = _without_separator_line(read_text(path, _MOST_BYTES, f"{where}.labels"))
    usual = "," if path.suffix.lower() == ".csv" else "\t"
    wanted = {table.image_column, table.label_column}
    separators = (usual, *(one for one in _SEPARATORS if one not in (usual, " ")))
    header = next(iter(text.splitlines()), "")
    separator = next((one for one in separators if wanted <= set(_cells(header, one))), usual)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        rows, columns = list(reader), reader.fieldnames or ()
    except csv.Error as exc:
        raise DataError(f"{where}.labels: {path} cannot be read: {reason(exc)}") from exc
    for column in (table.image_column, table.label_column):
        if not rows or column not in columns:
            available = ", ".join(columns) if rows else "no rows"
            raise DataError(f"{where}.labels: {path} has no column {column!r}; it has {available}")
        if (count := columns.count(column)) > 1:
            raise DataError(f"{where}.labels: {path} has column {column!r} {count} times")
        short = next((number for number, row in enumerate(rows, start=1) if row[column] is None), None)
        if short is not None:
            raise DataError(f"{where}.labels: {path}: row {short} has no {column!r}")
    return LabelledFiles(
        tuple(row[table.image_column] for row in rows),
        tuple(row[table.label_column].strip() for row in rows),
        rows,
    )


def read_label_table(path: Path, files: FolderFiles, where: str) -> LabelledFiles:
    """Return what a table says of the files of a folder; its columns are found by what they hold.

    Rows may be separated by commas, semicolons, tabs, bars or spaces, with or without a header. Files that
    it does not list are left out, with a warning.

    Raises
    ------
    DataError
        If it cannot be read, its columns are not clear, or a file is missing, there twice or has no label.
    """
    text = _without_separator_line(read_text(path, _MOST_BYTES, f"{where}.labels"))
    return _TableReader(path, files, f"{where}.labels: {path}").read(text)


class _TableReader:
    """Finds the columns of a table of labels."""

    def __init__(self, path: Path, files: FolderFiles, what: str) -> None:
        self._path, self._files, self._what = path, files, what

    def read(self, text: str) -> LabelledFiles:
        """Return what a table says."""
        rows = self._rows(text)
        file_column = self._file_column(rows)
        header = rows[0].cells if self._has_header(rows, file_column) else None
        label_column = self._label_column(header, len(rows[0].cells), file_column)
        body = rows[1:] if header else rows
        found = self._found(body, file_column, label_column)
        self._warn_of_others(list(found))
        columns = header or tuple(str(number + 1) for number in range(len(rows[0].cells)))
        return LabelledFiles(
            tuple(found),
            tuple(row.cells[label_column] for row in found.values()),
            [dict(zip(columns, row.cells, strict=True)) for row in found.values()],
        )

    def _rows(self, text: str) -> list[_Row]:
        """Return the rows, by the separator that makes columns of them of which one names files."""
        if not text.strip():
            raise DataError(f"{self._what} holds no rows")
        candidates = [rows for separator in _SEPARATORS if (rows := list(_rows_of(text, separator)))]
        for rows in candidates:
            if _is_even(rows) and any(self._counts(rows)):
                return rows
        wide = [rows for rows in candidates if len(rows[0].cells) >= _LEAST_COLUMNS]
        if not wide and len(candidates) < len(_SEPARATORS):
            raise DataError(f"{self._what} is no table: a quote is not closed, or a cell is too long")
        if not wide:
            raise DataError(f"{self._what} has one column; it needs file names and labels")
        uneven = next((rows for rows in wide if any(self._counts(rows))), None)
        if uneven is not None:
            odd = next(row for row in uneven if len(row.cells) != len(uneven[0].cells))
            raise DataError(
                f"{self._what}: line {odd.line} has {_columns(len(odd.cells))}, "
                f"line {uneven[0].line} has {_columns(len(uneven[0].cells))}"
            )
        raise DataError(
            f"{self._what}: no column names {self._files.kind.plural} of {self._files.folder}, "
            f"{self._example()}"
        )

    def _example(self) -> str:
        if self._files.names:
            return f"such as {self._files.names[0]}"
        return f"which holds none ({', '.join(sorted(self._files.kind.suffixes))})"

    def _counts(self, rows: Sequence[_Row]) -> list[int]:
        """Return how many names of files each column holds; with their suffix, if any has it."""
        width = min(len(row.cells) for row in rows)
        columns = [{row.cells[column] for row in rows} for column in range(width)]
        whole = [sum(map(self._files.has_suffix, column)) for column in columns]
        return whole if any(whole) else [sum(map(self._files.names_file, column)) for column in columns]

    def _file_column(self, rows: Sequence[_Row]) -> int:
        counts = self._counts(rows)
        best = [column for column, count in enumerate(counts) if count == max(counts)]
        if len(best) > 1:
            best = [column for column in best if rows[0].cells[column].lower() in _FILE_HEADERS]
        if len(best) != 1:
            raise DataError(
                f"{self._what}: more than one column names {self._files.kind.plural}; {self._say_which()}"
            )
        return best[0]

    def _has_header(self, rows: Sequence[_Row], file_column: int) -> bool:
        """Return whether the first row names columns: its file is none, and its label is no other row's."""
        first, others = rows[0].cells, [row.cells for row in rows[1:]]
        if self._files.names_file(first[file_column]):
            return False
        return not any(
            first[column] == other[column]
            for column in range(len(first))
            if column != file_column
            for other in others
        )

    def _label_column(self, header: Sequence[str] | None, width: int, file_column: int) -> int:
        if width == _LEAST_COLUMNS:
            return 1 - file_column
        if header is None:
            raise DataError(f"{self._what} has {width} columns and no header line; {self._say_which()}")
        columns = [c for c, name in enumerate(header) if c != file_column and name.lower() in _LABEL_HEADERS]
        if len(columns) != 1:
            raise DataError(f"{self._what} has columns {', '.join(header)}; {self._say_which()}")
        return columns[0]

    def _say_which(self) -> str:
        file = self._path.name
        return f"say which with labels: {{file: {file}, image_column: NAME, label_column: NAME}}"

    def _found(self, rows: Sequence[_Row], file_column: int, label_column: int) -> dict[str, _Row]:
        """Return file -> its row."""
        found: dict[str, _Row] = {}
        for row in rows:
            text = row.cells[file_column]
            name = self._files.find(text)
            if name is None:
                raise DataError(f"{self._what}: line {row.line}: {text!r} is not in {self._files.folder}")
            if name in found:
                first = found[name].line
                raise DataError(
                    f"{self._what}: line {row.line}: {name} is listed twice, first in line {first}"
                )
            if not row.cells[label_column]:
                raise DataError(f"{self._what}: line {row.line}: {name} has no label")
            found[name] = row
        if not found:
            raise DataError(f"{self._what} holds no rows")
        return found

    def _warn_of_others(self, listed: Sequence[str]) -> None:
        others = self._files.others(listed)
        if others:
            _LOG.warning(
                "%s: leaves out %d of %d %s in %s: %s",
                self._what,
                len(others),
                len(self._files.names),
                self._files.kind.plural,
                self._files.folder,
                names_text(others),
            )


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _is_even(rows: Sequence[_Row]) -> bool:
    """Return whether all rows have as many columns, and more than one."""
    widths = {len(row.cells) for row in rows}
    return len(widths) == 1 and min(widths) >= _LEAST_COLUMNS


def _without_separator_line(text: str) -> str:
    return _SEPARATOR_LINE.sub("", text, count=1) if _SEPARATOR_LINE.match(text) else text


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _rows_of(text: str, separator: str) -> Iterator[_Row]:
    """Yield the rows that are not blank; none if the text cannot be separated so."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )
    rows, line = [], 1
    try:
        for record in reader:
            cells = tuple(cell.strip() for cell in record)
            if separator == " " and cells and not cells[-1]:  # a space at the end of a line
                cells = cells[:-1]
            if any(cells):
                rows.append(_Row(line, cells))
            line = reader.line_num + 1
    except csv.Error:
        return
    yield from rows
