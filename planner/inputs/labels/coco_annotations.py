"""Annotations as COCO has them: pictures, the objects on each, and their categories."""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from planner.errors import DataError
from planner.formatting import names_text
from planner.inputs.image_preprocessing import PICTURES, placement_in_input, read_size
from planner.inputs.labels.folder_files import FolderFiles
from planner.metrics.annotated_picture import AnnotatedObject, AnnotatedPicture
from planner.scenario.data_schema import ImageSpec
from profiling.arrays import Array
from profiling.input_files import read_input
from profiling.printable_text import one_line

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 256 * 2**20


class _Picture(msgspec.Struct, frozen=True):
    id: int
    file_name: str
    width: float | None = None
    height: float | None = None


class _Object(msgspec.Struct, frozen=True):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: bool | int | None = None


class _Category(msgspec.Struct, frozen=True):
    id: int


class _File(msgspec.Struct, frozen=True):
    images: tuple[_Picture, ...]
    annotations: tuple[_Object, ...]
    categories: tuple[_Category, ...]


@dataclass(frozen=True, slots=True)
class Annotations:
    """The pictures of a folder that a file of annotations lists, in its order.

    Parameters
    ----------
    names
        Files, relative to the folder.
    """

    folder: Path
    names: tuple[str, ...]
    pictures: tuple[_Picture, ...]
    objects: dict[int, list[AnnotatedObject]]
    categories: tuple[int, ...]
    where: str

    def pick(self, places: Sequence[int], spec: ImageSpec) -> Array:
        """Return some pictures with their objects, and where each lies in the model's input.

        Raises
        ------
        DataError
            If a picture cannot be read, or has another size than the annotations say.
        """
        labels = np.empty(len(places), dtype=object)
        for number, place in enumerate(places):
            picture = self.pictures[place]
            height, width = read_size(self.folder / self.names[place], self.where)
            if picture.width and picture.height and (picture.width, picture.height) != (width, height):
                raise DataError(
                    f"{self.where}: {picture.file_name} is {picture.width:g} x {picture.height:g}, but the "
                    f"file in {self.folder} is {width} x {height}"
                )
            labels[number] = AnnotatedPicture(
                width=width,
                height=height,
                placement=placement_in_input(height, width, spec),
                objects=tuple(self.objects.get(picture.id, ())),
                categories=self.categories,
            )
        return labels


def read_annotations(path: Path, folder: Path, where: str) -> Annotations:
    """Return what a file of annotations says of the pictures in a folder.

    Pictures that are listed but not there are left out, and so are those that are not listed; a warning
    says how many.

    Raises
    ------
    DataError
        If it cannot be read, an id is there twice or not at all, a box is none, or no picture is there.
    """
    what = f"{where}.labels: {path}"
    content = _read(path, what)
    _check_ids(content, what)
    files = FolderFiles.of(folder, PICTURES)
    found = [(name, picture) for picture in content.images if (name := files.find(picture.file_name))]
    if not found:
        first = content.images[0].file_name
        raise DataError(f"{what}: none of its {len(content.images)} pictures is in {folder}, such as {first}")
    names = tuple(name for name, _ in found)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{what}: lists {twice[0]} twice")
    _warn(what, folder, content, files, names)
    return Annotations(
        folder=folder,
        names=names,
        pictures=tuple(picture for _, picture in found),
        objects=_objects(content, what),
        categories=tuple(sorted(category.id for category in content.categories)),
        where=what,
    )


def _read(path: Path, what: str) -> _File:
    try:
        content = msgspec.json.decode(read_input(path, _MOST_BYTES), type=_File)
    except OSError as exc:
        raise DataError(f"{what} cannot be read: {exc.strerror}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise DataError(f"{what} holds no COCO annotations of objects: {one_line(str(exc))}") from exc
    for key in ("images", "annotations", "categories"):
        if not getattr(content, key):
            raise DataError(f"{what} holds no {key}")
    return content


def _check_ids(content: _File, what: str) -> None:
    pictures = Counter(picture.id for picture in content.images)
    categories = Counter(category.id for category in content.categories)
    for key, ids in (("images", pictures), ("categories", categories)):
        twice = [one for one, count in ids.items() if count > 1]
        if twice:
            raise DataError(f"{what}: two of its {key} have id {twice[0]}")
    for number, one in enumerate(content.annotations):
        if one.image_id not in pictures:
            raise DataError(
                f"{what}: annotations[{number}] is of image_id {one.image_id}, which no image has"
            )
        if one.category_id not in categories:
            raise DataError(
                f"{what}: annotations[{number}] is of category_id {one.category_id}, which no category has"
            )


def _objects(content: _File, what: str) -> dict[int, list[AnnotatedObject]]:
    """Return image id -> its objects."""
    objects: dict[int, list[AnnotatedObject]] = {}
    for number, one in enumerate(content.annotations):
        _, _, width, height = one.bbox
        if not all(map(math.isfinite, one.bbox)) or width < 0 or height < 0:
            raise DataError(
                f"{what}: annotations[{number}].bbox is {list(one.bbox)}; it must be left, top, width, height"
            )
        area = width * height if one.area is None else one.area
        box = AnnotatedObject(one.category_id, one.bbox, area, bool(one.iscrowd))
        objects.setdefault(one.image_id, []).append(box)
    return objects


def _warn(what: str, folder: Path, content: _File, files: FolderFiles, names: Sequence[str]) -> None:
    absent = [one.file_name for one in content.images if files.find(one.file_name) is None]
    if absent:
        _LOG.warning(
            "%s: leaves out %d of %d pictures, which are not in %s: %s",
            *(what, len(absent), len(content.images), folder, names_text(absent)),
        )
    others = files.others(names)
    if others:
        _LOG.warning("%s: does not list pictures of %s: %s", what, folder, names_text(others))
