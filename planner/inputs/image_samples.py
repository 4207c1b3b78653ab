"""Samples that are images in a folder, with a table of labels."""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Input, Samples, class_indices, fit
from planner.inputs.image_preprocessing import IMAGE_SUFFIXES, prepare_image, read_pixels
from planner.scenario.data_schema import FOLDERS, ImageSpec, LabelTable, SampleSpec, SubsetSpec
from profiling.arrays import Array, Feeds
from profiling.input_files import read_input
from profiling.printable_text import reason

_MOST_TABLE_BYTES = 16 * 2**20  # of a table of labels


def image_samples(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return images of a folder, prepared as the scenario says, with their labels."""
    folder = _image_folder(spec, inputs, where)
    table = spec.labels if isinstance(spec.labels, LabelTable) else None
    rows = read_table(table, where) if table else None
    if table and rows is not None:
        names = [row[table.image_column] for row in rows]
    elif spec.labels == FOLDERS:
        names = _names_in_class_folders(folder, where)
    else:
        names = sorted(_pictures(folder))

    def read(index: int) -> Feeds:
        return {inputs[0].name: read_fitted_image(folder / names[index], inputs[0], spec.image, where)}

    picked = subset(spec.subset, len(names), rows, where)
    labels = None
    if table and rows is not None:
        numbers = [_whole_number(row[table.label_column], f"{where}.labels: {table.file}") for row in rows]
        labels = class_indices(numbers, spec.label_offset, where)[picked]
    elif spec.labels == FOLDERS:
        classes = {name: number for number, name in enumerate(_class_folders(folder))}
        numbers = [classes[os.path.dirname(name)] for name in names]  # noqa: PTH120 (a text, not a file)
        labels = class_indices(numbers, spec.label_offset, where)[picked]
    _require_files([folder / names[index] for index in picked], f"{where}.images")
    if picked:
        read(picked[0])
    return Dataset(Samples(picked, read), labels)


def _class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in one, in the order of their classes."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")


def _names_in_class_folders(folder: Path, where: str) -> list[str]:
    """Return the pictures of all classes, each as FOLDER/FILE.

    Raises
    ------
    DataError
        If there are none.
    """
    names = [f"{name}/{file}" for name in _class_folders(folder) for file in sorted(_pictures(folder / name))]
    if not names:
        raise DataError(f"{where}.labels: {folder} has no folders with pictures, one for each class")
    return names


def _pictures(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]


def _require_files(paths: Iterable[Path], where: str) -> None:
    # os.path, since Path raises where a name is too long for a file.
    missing = next((path for path in paths if not os.path.exists(path)), None)  # noqa: PTH110
    if missing is not None:
        raise DataError(f"{where}: {missing} does not exist")


def _image_folder(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Path:
    folder = Path(str(spec.images))
    if not folder.is_dir():
        raise DataError(f"{where}.images: {folder} is not a folder")
    if len(inputs) != 1:
        raise DataError(f"{where}.images: the model has {len(inputs)} inputs; pictures feed one")
    if spec.image is None:
        raise DataError(f"{where}.image: is required with images (layout, crop, scaling)")
    if isinstance(spec.labels, str) and spec.labels != FOLDERS:
        raise DataError(f"{where}.labels: with images give {{file: ..., label_column: ...}}, or {FOLDERS}")
    return folder


def read_table(table: LabelTable, where: str) -> list[dict[str, str]]:
    """Return the rows of a CSV table: column -> text."""
    path = Path(table.file)
    try:
        # Spreadsheets write a mark of the encoding first.
        lines = io.StringIO(read_input(path, _MOST_TABLE_BYTES).decode("utf-8-sig"), newline="")
        reader = csv.DictReader(lines, delimiter="," if path.suffix.lower() == ".csv" else "\t")
        rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
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
    return rows


def _whole_number(text: str | None, what: str) -> int:
    try:
        return int(text or "")  # which refuses more than 4,300 digits
    except ValueError as exc:
        raise DataError(f"{what}: {text!r} is no whole number") from exc


def fit_image(pixels: Array, spec: ImageSpec | None, tensor: Input, sample_name: str) -> Array:
    """Return pixels prepared as the scenario says, in the shape that an input wants."""
    try:
        value = prepare_image(pixels, spec)
    except DataError as exc:
        raise DataError(f"{sample_name}: {exc}") from exc
    return fit(value, tensor, sample_name)


def read_fitted_image(path: Path, tensor: Input, spec: ImageSpec | None, where: str) -> Array:
    """Return an image file as an input of the model wants it.

    Raises
    ------
    DataError
        If it cannot be read, or does not fit the input.
    """
    pixels = read_pixels(path, tensor.channels(spec), f"{where}.images")
    return fit_image(pixels, spec, tensor, f"{where}: {path.name}")


def subset(spec: SubsetSpec | None, count: int, rows: list[dict[str, str]] | None, where: str) -> list[int]:
    """Return the indices of the samples that are taken: all, or those that the scenario names."""
    if spec is None:
        return list(range(count))
    keys: Sequence[int] = range(count)
    if spec.column is not None:
        if not rows or spec.column not in rows[0]:
            raise DataError(f"{where}.subset.column: no column {spec.column!r} in the label table")
        keys = [_whole_number(row[spec.column], f"{where}.subset.column {spec.column!r}") for row in rows]
    return [i for i in range(count) if keys[i] % spec.modulo in spec.equals]
