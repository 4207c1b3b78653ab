"""Samples that are images in a folder, with their labels."""

from collections.abc import Sequence
from pathlib import Path

from planner.errors import DataError
from planner.inputs.dataset import Dataset, Input, Samples, fit
from planner.inputs.file_samples import dataset_of_files
from planner.inputs.image_preprocessing import PICTURES, prepare_image, read_pixels
from planner.inputs.labels.coco_annotations import read_annotations
from planner.inputs.labels.labelled_files import labelled_files
from planner.inputs.subset import subset
from planner.scenario.data_schema import ImageSpec, SampleSpec
from profiling.arrays import Array, Feeds

_AXES = 3  # of a picture


def image_samples(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return images of a folder, prepared as the scenario says, with their labels."""
    folder = _image_folder(spec, inputs, where)
    if spec.annotations is not None:
        return _annotated_samples(spec, folder, inputs[0], where)
    files = labelled_files(spec, folder, PICTURES, where)

    def read(path: Path) -> Array:
        return read_fitted_image(path, inputs[0], spec.image, where)

    return dataset_of_files(spec, folder, files, inputs[0].name, read, where)


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
    files = tuple(annotations.names[index] for index in picked)
    labels = annotations.pick(picked, spec.image or ImageSpec())
    return Dataset(Samples(picked, read), labels, files=files)


def _image_folder(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Path:
    folder = Path(str(spec.images))
    if not folder.is_dir():
        raise DataError(f"{where}.images: {folder} is not a folder")
    if len(inputs) != 1:
        raise DataError(f"{where}.images: the model has {len(inputs)} inputs; pictures feed one")
    return folder


def fit_image(pixels: Array, spec: ImageSpec | None, tensor: Input, sample_name: str) -> Array:
    """Return pixels prepared as the scenario says, in the shape that an input wants."""
    try:
        value = prepare_image(pixels, spec)
    except DataError as exc:
        raise DataError(f"{sample_name}: {exc}") from exc
    try:
        return fit(value, tensor, sample_name)
    except DataError as exc:
        remedy = None if spec is None else _remedy(value, spec, tensor)
        if remedy is None:
            raise
        raise DataError(f"{exc}; {remedy}") from exc


def _remedy(value: Array, spec: ImageSpec, tensor: Input) -> str | None:
    """Return what to set where pictures have another size or axis order than an input; None if they fit."""
    want = tensor.shape[-_AXES:]
    if tensor.with_batch(value).shape == tensor.shape or len(want) != _AXES:
        return None
    if (
        tuple(value.transpose(1, 2, 0).shape if spec.layout == "nchw" else value.transpose(2, 0, 1).shape)
        == want
    ):
        return f"set image.layout to {'nhwc' if spec.layout == 'nchw' else 'nchw'}"
    first = tensor.channels_last or spec.layout == "nchw"
    height, width = want[1:] if first else want[:-1]
    if height != width:
        return f"scale the pictures to {width} x {height} pixels beforehand"
    return f"set image.resize_shorter and image.crop, or image.letterbox, to {height}"


def read_fitted_image(path: Path, tensor: Input, spec: ImageSpec | None, where: str) -> Array:
    """Return an image file as an input of the model wants it.

    Raises
    ------
    DataError
        If it cannot be read, or does not fit the input.
    """
    key = where if where.startswith("--") else f"{where}.images"  # an option has no keys
    pixels = read_pixels(path, tensor.channels(spec), key)
    return fit_image(pixels, spec, tensor, f"{where}: {path.name}")
