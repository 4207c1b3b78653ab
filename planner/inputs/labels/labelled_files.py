"""Which files of a folder are samples, and the label of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from planner.errors import DataError
from planner.inputs.dataset import class_indices
from planner.inputs.labels.class_names import ClassNumbers, class_numbers, given_classes
from planner.inputs.labels.folder_files import FileKind, FolderFiles
from planner.inputs.labels.label_table import LabelledFiles, read_columns, read_label_table
from planner.scenario.data_schema import FOLDERS, TABLE_SUFFIXES, LabelTable, SampleSpec
from profiling.arrays import Array


@dataclass(frozen=True, slots=True)
class FileSamples:
    """Files that are samples, relative to their folder.

    Parameters
    ----------
    labels
        Class indices; None if there are none.
    class_names
        Of all classes, where labels are names.
    rows
        Of the table that lists the files, where there is one.
    """

    names: Sequence[str]
    labels: Array | None = None
    class_names: tuple[str, ...] = ()
    rows: list[dict[str, str]] | None = None


def labelled_files(spec: SampleSpec, folder: Path, kind: FileKind, where: str) -> FileSamples:
    """Return the files of a folder that are samples, with the labels that the scenario speaks of.

    Raises
    ------
    DataError
        If the labels cannot be read, or do not fit the files.
    """
    if spec.labels is None:
        names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in kind.suffixes)
        return FileSamples(names)
    if spec.labels == FOLDERS:
        return _in_class_folders(spec, folder, kind, where)
    table = read_labels(spec, folder, kind, where)
    found = class_numbers(table.labels, given_classes(spec, where), f"{where}.labels: {spec.label_file}")
    return FileSamples(table.files, _indices(found, spec, where), found.names, table.rows)


def read_labels(spec: SampleSpec, folder: Path, kind: FileKind, where: str) -> LabelledFiles:
    """Return what a table says of the files of a folder."""
    if isinstance(spec.labels, LabelTable):
        return read_columns(spec.labels, where)
    path = Path(str(spec.labels))
    if path.suffix.lower() not in TABLE_SUFFIXES:
        close = f"; did you mean {FOLDERS}?" if get_close_matches(path.name, [FOLDERS]) else ""
        raise DataError(
            f"{where}.labels: with {kind.key} give {{file: ..., label_column: ...}}, a table "
            f"({', '.join(TABLE_SUFFIXES)}), COCO annotations (.json) or {FOLDERS}; got {path.name}{close}"
        )
    return read_label_table(path, FolderFiles.of(folder, kind), where)


def _in_class_folders(spec: SampleSpec, folder: Path, kind: FileKind, where: str) -> FileSamples:
    """Return the files of all classes, each as FOLDER/FILE.

    Raises
    ------
    DataError
        If there are none, or a folder is none of the classes that the scenario names.
    """
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != ".")
    places = [
        (name, file)
        for name in classes
        for file in sorted(
            path.name for path in (folder / name).iterdir() if path.suffix.lower() in kind.suffixes
        )
    ]
    if not places:
        raise DataError(f"{where}.labels: {folder} has no folders with {kind.plural}, one for each class")
    given = given_classes(spec, where)
    unknown = next((name for name, _ in places if given and name not in given), None)
    if unknown is not None:
        raise DataError(f"{where}.labels: {folder / unknown} is the folder of none of `classes`")
    order = given or tuple(classes)
    found = ClassNumbers(tuple(order.index(name) for name, _ in places), order)
    return FileSamples([f"{name}/{file}" for name, file in places], _indices(found, spec, where), found.names)


def _indices(found: ClassNumbers, spec: SampleSpec, where: str) -> Array:
    return class_indices(found.numbers, spec.label_offset, where)
