"""A picture with the objects on it, and where it lies in the model's input."""

from dataclasses import dataclass

import numpy as np

from profiling.arrays import Array


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a picture lies in a model's input: x of the input is x of the picture times scale_x plus left.

    Parameters
    ----------
    width, height
        Of the input.
    """

    scale_x: float
    scale_y: float
    left: float
    top: float
    width: int
    height: int

    def in_picture(self, corners: Array) -> Array:
        """Return boxes (x1, y1, x2, y2) of the input in the picture's pixels."""
        offset = np.array([self.left, self.top, self.left, self.top])
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])
        return np.asarray((corners - offset) / scale)


@dataclass(frozen=True, slots=True)
class PlacedPicture:
    """The size of a picture in its own pixels, and where it lies in the model's input."""

    width: int
    height: int
    placement: Placement

    def cut_off(self, corners: Array) -> Array:
        """Return boxes (x1, y1, x2, y2) of the input in the picture's pixels, cut off at its border."""
        ends = [self.width, self.height, self.width, self.height]
        return np.clip(self.placement.in_picture(corners), 0, ends)


@dataclass(frozen=True, slots=True)
class AnnotatedObject:
    """An object on a picture.

    Parameters
    ----------
    box
        Left, top, width and height, in pixels of the picture.
    is_crowd
        A group: boxes in it are neither right nor wrong.
    """

    category: int
    box: tuple[float, float, float, float]
    area: float
    is_crowd: bool


@dataclass(frozen=True, slots=True)
class AnnotatedPicture:
    """A picture of a set with annotations.

    Parameters
    ----------
    categories
        Ids of all categories of the set, sorted.
    """

    width: int
    height: int
    placement: Placement
    objects: tuple[AnnotatedObject, ...]
    categories: tuple[int, ...]

    @property
    def placed(self) -> PlacedPicture:
        """Its size and its place in the input."""
        return PlacedPicture(self.width, self.height, self.placement)
