"""From the pixels of an image to a model's input."""

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from planner.errors import DataError
from planner.inputs.labels.folder_files import FileKind
from planner.metrics.annotated_picture import Placement
from planner.scenario.data_schema import ImageSpec
from profiling.arrays import Array
from profiling.input_files import open_input
from profiling.printable_text import reason

_MOST_BYTES = 256 * 2**20  # of a file
_MOST_PIXELS = 80_000_000  # 240 MB in memory: a small file can claim any number
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
PICTURES = FileKind("images", "pictures", IMAGE_SUFFIXES)


def read_pixels(path: Path, channels: int, where: str) -> Array:
    """Return a file's pixels: uint8, shape [height, width, channels], grey or red, green and blue.

    Raises
    ------
    DataError
        If it cannot be read as an image, or is too large.
    """
    with _decoding(path, where), open_input(path, _MOST_BYTES) as file, Image.open(file) as opened:
        width, height = opened.size
        if width * height <= _MOST_PIXELS:
            pixels = np.asarray(opened.convert("L" if channels == 1 else "RGB"))
            return pixels[..., None] if channels == 1 else pixels
    raise DataError(f"{where}: {path} has {width} x {height} pixels, more than {_MOST_PIXELS} altogether")


@contextlib.contextmanager
def _decoding(path: Path, where: str) -> Iterator[None]:
    """Let a decoder read a file in the block; what it raises is a DataError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is odd in a file, but can be read
            yield
    except MemoryError:
        raise
    except OSError as exc:
        cause = exc.strerror or "it is none, or damaged"
        raise DataError(f"{where}: {path} cannot be read as a picture: {cause}") from exc
    except Exception as exc:  # a decoder raises what it likes, and Pillow its own on bombs and text chunks
        raise DataError(f"{where}: {path} cannot be read as a picture: {reason(exc)}") from exc


def _scaled_size(size: Sequence[int], side: int, of: Callable[[Iterable[int]], int]) -> tuple[int, int]:
    """Return height and width where the shorter or longer side, as `of` says, has so many pixels."""
    factor = side / of(size)
    height, width = (max(1, round(length * factor)) for length in size)
    return height, width


def _scaled(pixels: Array, key: str, side: int, of: Callable[[Iterable[int]], int]) -> Array:
    """Return a picture whose shorter or longer side, as `of` says, has so many pixels."""
    if pixels.dtype != np.uint8:
        raise DataError(f"{key}: pixels must be uint8, got {pixels.dtype}")
    if not pixels.size:
        raise DataError(f"{key}: a picture has shape {list(pixels.shape)}, so no pixels")
    height, width = _scaled_size(pixels.shape[:2], side, of)
    if height * width > _MOST_PIXELS:
        raise DataError(
            f"{key}: {list(pixels.shape[:2])} pixels would become {height} x {width}, "
            f"more than {_MOST_PIXELS} altogether"
        )
    # Channel by channel: Pillow has no images with any number of channels.
    layers = [
        np.asarray(Image.fromarray(layer).resize((width, height), Image.Resampling.BILINEAR))
        for layer in np.moveaxis(pixels, -1, 0)
    ]
    return np.stack(layers, axis=-1)


def _letterboxed(pixels: Array, side: int, spec: ImageSpec) -> Array:
    """Return a square with the whole picture, scaled to fit, and `spec.pad` around it."""
    scaled = _scaled(pixels, "image.letterbox", side, max)
    square = np.full((side, side, scaled.shape[-1]), spec.pad, np.uint8)
    height, width = scaled.shape[:2]
    top, left = _letterbox_offset(height, width, side, spec)
    square[top : top + height, left : left + width] = scaled
    return square


def _letterbox_offset(height: int, width: int, side: int, spec: ImageSpec) -> tuple[int, int]:
    """Return above and left of which pixel of its square a letterboxed picture lies."""
    return (0, 0) if spec.letterbox_at == "top_left" else ((side - height) // 2, (side - width) // 2)


def placement_in_input(height: int, width: int, spec: ImageSpec) -> Placement:
    """Return where a picture of some size lies once it is prepared as `prepare_image` does."""
    size, offset = (height, width), (0, 0)
    if spec.resize_shorter is not None:
        size = _scaled_size(size, spec.resize_shorter, min)
    inner = size
    if spec.letterbox is not None:
        inner = _scaled_size(size, spec.letterbox, max)
        offset, size = _letterbox_offset(*inner, spec.letterbox, spec), (spec.letterbox, spec.letterbox)
    if spec.crop is not None:
        offset = (-((size[0] - spec.crop) // 2), -((size[1] - spec.crop) // 2))
        size = (spec.crop, spec.crop)
    return Placement(
        scale_x=inner[1] / width,
        scale_y=inner[0] / height,
        left=offset[1],
        top=offset[0],
        width=size[1],
        height=size[0],
    )


def read_size(path: Path, where: str) -> tuple[int, int]:
    """Return height and width of an image file, from its header.

    Raises
    ------
    DataError
        If it cannot be read as an image.
    """
    with _decoding(path, where), open_input(path, _MOST_BYTES) as file, Image.open(file) as opened:
        return opened.height, opened.width


def prepare_image(pixels: Array, spec: ImageSpec | None) -> Array:
    """Return pixels of shape [height, width, channels] as the model wants them; unchanged without a spec.

    The result is float32, of shape [channels, height, width] if `spec.layout` is `nchw`.

    Raises
    ------
    DataError
        If the pixels do not fit what the spec does with them.
    """
    if spec is None:
        return pixels
    if pixels.ndim != 3:  # noqa: PLR2004
        raise DataError(f"a picture must be height x width x channels, got shape {list(pixels.shape)}")
    pixels = _of_size(pixels, spec)
    values = pixels[..., ::-1] if spec.channels == "bgr" else pixels
    for name in ("divide_by", "subtract", "scale_by"):
        if np.size(getattr(spec, name)) not in (1, values.shape[-1]):
            raise DataError(f"image.{name}: give one number or one per channel ({values.shape[-1]})")
    values = values.astype(np.float32) / np.asarray(spec.divide_by, dtype=np.float32)
    values = (values - np.asarray(spec.subtract, np.float32)) / np.asarray(spec.scale_by, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1) if spec.layout == "nchw" else values)


def _of_size(pixels: Array, spec: ImageSpec) -> Array:
    """Return a picture resized, padded and cut as the spec says."""
    if spec.resize_shorter is not None:
        pixels = _scaled(pixels, "image.resize_shorter", spec.resize_shorter, min)
    if spec.letterbox is not None:
        pixels = _letterboxed(pixels, spec.letterbox, spec)
    if spec.crop is not None:
        top, left = ((side - spec.crop) // 2 for side in pixels.shape[:2])
        if top < 0 or left < 0:
            raise DataError(f"cannot crop {spec.crop} x {spec.crop} out of {list(pixels.shape[:2])} pixels")
        pixels = pixels[top : top + spec.crop, left : left + spec.crop]
    return pixels
