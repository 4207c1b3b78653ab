"""The samples of one part of a scenario's `data`, wherever they come from."""

from collections.abc import Sequence
from pathlib import Path

from planner.errors import DataError
from planner.inputs.clip_samples import CLIPS, clip_samples
from planner.inputs.dataset import Dataset, Input
from planner.inputs.image_preprocessing import PICTURES
from planner.inputs.image_samples import image_samples
from planner.inputs.labels.coco_annotations import read_annotations
from planner.inputs.labels.labelled_files import read_labels
from planner.inputs.npz_samples import array_names, npz_samples
from planner.inputs.reader_samples import reader_samples
from planner.scenario.data_schema import SampleSpec
from planner.user_objects import import_object


def load_data(spec: SampleSpec, inputs: Sequence[Input], where: str) -> Dataset:
    """Return the samples of one part of a scenario's `data`.

    Parameters
    ----------
    inputs
        The model's inputs, with static shapes.
    where
        The scenario key, for messages.

    Raises
    ------
    DataError
        If a file is missing or unreadable, or a sample does not fit an input.
    """
    if spec.npz is not None:
        data = npz_samples(spec, inputs, where)
    elif spec.images is not None:
        data = image_samples(spec, inputs, where)
    elif spec.clips is not None:
        data = clip_samples(spec, inputs, where)
    else:
        data = reader_samples(spec, inputs, where)
    if not len(data.samples):
        raise DataError(f"{where}: no samples are left")
    return data if spec.samples is None else data.spread(spec.samples)


def check_names(spec: SampleSpec, where: str) -> None:
    """Refuse names of arrays, columns and objects that are not there, before the model is known.

    Raises
    ------
    DataError
        As `load_data` would when the model has been converted, which may take minutes.
    """
    if spec.npz is not None:
        _check_arrays(spec, spec.npz, where)
    elif spec.annotations is not None:
        read_annotations(Path(spec.annotations), Path(str(spec.images)), where)
    elif spec.label_file is not None:
        kind = PICTURES if spec.clips is None else CLIPS
        read_labels(spec, Path(str(spec.folder)), kind, where)
    if spec.audio is not None and spec.audio.features is not None:
        import_object(spec.audio.features, f"{where}.audio.features")
    if spec.reader is not None:
        import_object(spec.reader, f"{where}.reader")


def _check_arrays(spec: SampleSpec, path: str, where: str) -> None:
    names = array_names(Path(path), where)
    for tensor, key in spec.inputs.items():
        if key not in names:
            raise DataError(
                f"{where}.inputs: {path} has no array {key!r} for input {tensor!r}; it has {', '.join(names)}"
            )
    if isinstance(spec.labels, str) and spec.labels not in names:
        raise DataError(f"{where}.labels: must name an array of {path}: {', '.join(names)}")
