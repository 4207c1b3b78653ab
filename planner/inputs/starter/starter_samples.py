"""Ways to make up a model's inputs, tried until it runs and answers with numbers."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import helper

from planner.inputs.starter.starter_pictures import PictureInput, picture_inputs
from profiling.arrays import Array, Feeds
from profiling.onnx_io.input_shapes import dimensions
from profiling.onnx_io.load_model import load_model
from profiling.preparation.source_session import open_source
from profiling.runtime.open_session import run_session

_SEED, _DRAWN = 0, 4


@dataclass(frozen=True, slots=True)
class Draw:
    """One way to make up an array.

    Parameters
    ----------
    code
        In Python, with the shape to be put in.
    draw
        The same, from a generator and a shape.
    extremes
        Values of which whole arrays may consist, by chance.
    """

    code: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    extremes: tuple[int, ...] = ()


_ZEROS = Draw("np.zeros({})", lambda _rng, shape: np.zeros(shape))
_ONES = Draw("np.ones({})", lambda _rng, shape: np.ones(shape))
_FLOATS = (
    Draw("rng.normal(size={})", lambda rng, shape: np.asarray(rng.normal(size=shape))),
    Draw("rng.uniform(0.5, 1.5, size={})", lambda rng, shape: np.asarray(rng.uniform(0.5, 1.5, size=shape))),
    _ONES,  # factors by which something is resized, say
)
# Whole numbers may be indices, sizes or divisors: 0 and 1 are within most bounds, each alone within more.
_WHOLE = (
    Draw(
        "rng.integers(0, 2, size={})", lambda rng, shape: np.asarray(rng.integers(0, 2, size=shape)), (0, 1)
    ),
    _ONES,
    _ZEROS,
)


# As the values of pixels are, by the largest one that the input takes.
_PIXELS = {
    most: Draw(
        f"rng.uniform(0, {most}, size={{}})",
        lambda rng, shape, most=most: np.asarray(rng.uniform(0, most, size=shape)),  # type: ignore[misc]
    )
    for most in (1, 255)
}


@dataclass(frozen=True, slots=True)
class MadeUp:
    """How a model's inputs are made up.

    Parameters
    ----------
    runs
        Whether the model runs on them.
    pictures
        Inputs that are made up as pixels -> what they are as pictures.
    """

    floats: Draw
    whole: Draw
    runs: bool = True
    pictures: Mapping[str, PictureInput] = field(default_factory=dict)

    def code(self, name: str, dtype: str, shape: tuple[int, ...]) -> str:
        """Return Python that makes up an input, from a generator `rng`."""
        return f"{self._draw(name, dtype).code.format(shape)}.astype({dtype!r})"

    def samples(self, inputs: Mapping[str, tuple[str, tuple[int, ...]]]) -> list[dict[str, Array]]:
        """Return some samples, with those that chance makes the hardest.

        Parameters
        ----------
        inputs
            Name -> type and shape.
        """
        rng = np.random.default_rng(_SEED)
        whole = {
            name: end for name, end in inputs.items() if not _is_float(end[0]) and name not in self.pictures
        }
        drawn = [
            {
                name: self._draw(name, dtype).draw(rng, shape).astype(dtype)
                for name, (dtype, shape) in inputs.items()
            }
            for _ in range(_DRAWN)
        ]
        for sample, value in zip(drawn, self.whole.extremes, strict=False):
            sample.update(
                {name: np.full(shape, value).astype(dtype) for name, (dtype, shape) in whole.items()}
            )
        return drawn

    def _draw(self, name: str, dtype: str) -> Draw:
        if name in self.pictures:
            return _PIXELS[self.pictures[name].most]
        return self.floats if _is_float(dtype) else self.whole


def _is_float(dtype: str) -> bool:
    return bool(np.issubdtype(np.dtype(dtype), np.floating))


def made_up_inputs(file: Path, input_shapes: Mapping[str, tuple[int, ...]]) -> MadeUp:
    """Return the first way to make up a model's inputs on which it runs, best with finite answers.

    Its answers have the same shapes for all samples. Where it runs on none, the first way is returned, and
    says so.

    Raises
    ------
    ModelError
        If the model cannot be read.
    """
    model = load_model(file, input_shapes)
    session = open_source(model)
    inputs = {
        value.name: (
            str(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)),
            tuple(size or 0 for size in dimensions(value)),
        )
        for value in model.graph.input
    }
    running: list[MadeUp] = []
    pictures = picture_inputs(model)
    choices = (pictures, {}) if pictures else ({},)
    for own, floats, whole in itertools.product(choices, _FLOATS, _WHOLE):
        made_up = MadeUp(floats, whole, pictures=own)
        answers = _answers(session, made_up.samples(inputs))
        if answers and all(map(_is_finite, answers)):
            return made_up
        if answers:
            running.append(made_up)
    return running[0] if running else MadeUp(_FLOATS[0], _WHOLE[0], runs=False)


def _answers(session: ort.InferenceSession, samples: Sequence[Feeds]) -> list[dict[str, Array]]:
    """Return what a model answers; nothing if it fails on a sample, or shapes differ."""
    answers = []
    for feeds in samples:
        try:
            answers.append(run_session(session, feeds))
        except Exception:  # noqa: BLE001  the runtime's exceptions share no base class
            return []
    shapes = {tuple(_shapes(answer)) for answer in answers}
    return answers if len(shapes) == 1 else []


def _shapes(answer: Mapping[str, Array]) -> Iterator[tuple[int, ...]]:
    return (np.shape(array) for array in answer.values())


def _is_finite(answer: Mapping[str, Array]) -> bool:
    return all(
        bool(np.isfinite(array).all()) for array in answer.values() if np.issubdtype(array.dtype, np.floating)
    )
