"""Samples that are images in a folder, with their labels."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Input, Samples, fit
from planner.inputs.image_preprocessing import PICTURES, prepare_image, read_pixels
from planner.inputs.labels.coco_annotations import read_annotations
from planner.inputs.labels.labelled_files import labelled_files
from planner.scenario.data_schema import ImageSpec, SampleSpec, SubsetSpec
from profiling.arrays import Array, Feeds


def image_samples(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return images of a folder, prepared as the scenario says, with their labels."""
    folder = _image_folder(spec, inputs, where)
    if spec.annotations is not None:
        return _annotated_samples(spec, folder, inputs[0], where)
    files = labelled_files(spec, folder, PICTURES, where)

    def read(index: int) -> Feeds:
        return {inputs[0].name: read_fitted_image(folder / files.names[index], inputs[0], spec.image, where)}

    picked = subset(spec.subset, len(files.names), files.rows, where)
    require_files([folder / files.names[index] for index in picked], f"{where}.images")
    if picked:
        read(picked[0])
    labels = None if files.labels is None else files.labels[picked]
    return Dataset(Samples(picked, read), labels, files.class_names)


def _annotated_samples(spec: SampleSpec, folder: Path, tensor: Input, where: str) -> Dataset:
    """Return the pictures that a file of annotations lists, each with the objects on it."""
    if spec.label_offset or spec.classes is not None:
        raise DataError(
            f"{where}: label_offset and classes do not apply to annotations; metric.category_ids says which "
            "category a class is"
        )
    annotations = read_annotations(Path(str(spec.annotations)), folder, where)

    def read(index: int) -> Feeds:
        return {tensor.name: read_fitted_image(folder / annotations.names[index], tensor, spec.image, where)}

    picked = subset(spec.subset, len(annotations.names), None, where)
    if picked:
        read(picked[0])
    return Dataset(Samples(picked, read), annotations.pick(picked, spec.image or ImageSpec()))


def require_files(paths: Iterable[Path], where: str) -> None:
    """Refuse files that are not there."""
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
    return folder


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
