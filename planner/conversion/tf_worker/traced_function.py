"""A model as a TensorFlow function with named ends, whatever it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from planner.conversion.request import SourceInput
from profiling.arrays import Feeds
from profiling.errors import ModelError


@dataclass(frozen=True, slots=True)
class Traced:
    """A concrete function of static shapes, and the names of what goes in and comes out.

    Parameters
    ----------
    owner
        What holds the function's variables and tables.
    layers
        Scopes of Keras layers, where they are known.
    """

    function: Any
    owner: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def placeholders(self) -> list[Any]:
        """The function's symbolic inputs, without the variables that it captures."""
        return [x for x in self.function.inputs if x.dtype != tf.resource][: len(self.inputs)]

    @property
    def ends(self) -> tuple[SourceInput, ...]:
        """The inputs as TensorFlow has them."""
        return tuple(
            SourceInput(name=name, dtype=x.dtype.name, shape=tuple(x.shape), channels_last=False)
            for x, name in zip(self.placeholders, self.inputs, strict=True)
        )

    def ask(self, feeds: Feeds) -> Feeds:
        """Return the answer to one sample."""
        answers = self.function(*(tf.constant(feeds[name]) for name in self.inputs))
        return {name: x.numpy() for name, x in zip(self.outputs, tf.nest.flatten(answers), strict=True)}


def static_spec(spec: Any, name: str, shapes: Mapping[str, Sequence[int]]) -> Any:
    """Return the spec of an input with every dimension known: a batch of one, the others as declared.

    Raises
    ------
    ModelError
        If a dimension other than the first stays open, or what is declared does not fit.
    """
    if spec.shape.rank is None:
        shape: list[int | None] | None = None
    else:
        shape = [1 if axis == 0 and d is None else d for axis, d in enumerate(spec.shape)]
    declared = shapes.get(name)
    if declared is not None:
        if shape is not None and not tf.TensorShape(spec.shape).is_compatible_with(tuple(declared)):
            raise ModelError(f"input_shapes.{name}: {list(declared)} does not fit {list(spec.shape)}")
        shape = list(declared)
    if shape is None or None in shape:
        shown = "of unknown rank" if shape is None else f"[{', '.join(str(d or '?') for d in spec.shape)}]"
        want = "..." if shape is None else ",".join(str(d or "?") for d in shape)
        raise ModelError(
            f"input {name!r} has dynamic shape {shown}; declare it as input_shapes: "
            f"{{{name}: [{want.replace(',', ', ')}]}} in the scenario, or with --shape {name}={want} for "
            "plan init and plan inspect, with a number for each ?"
        )
    return tf.TensorSpec(shape, spec.dtype, name=scope(name))


def check_shapes(names: Sequence[str], shapes: Mapping[str, Sequence[int]]) -> None:
    """Refuse shapes of inputs that are not there."""
    for name in shapes:
        if name not in names:
            raise ModelError(f"input_shapes.{name}: the model has no such input; it has {', '.join(names)}")


def apart_from(inputs: Sequence[str], outputs: Sequence[str]) -> tuple[str, ...]:
    """Return names for outputs that no input has, since ONNX knows a tensor by its name alone."""
    renamed: list[str] = []
    for name in outputs:
        while name in inputs or name in renamed or (name in outputs and name != outputs[len(renamed)]):
            name += "_output"
        renamed.append(name)
    return tuple(renamed)


def scope(name: str) -> str:
    """Return a name as TensorFlow takes it: ASCII letters, digits and a few signs, no sign in front."""
    plain = "".join(c if (c.isascii() and c.isalnum()) or c in "_.-" else "_" for c in name) or "input"
    return plain if plain[0].isalnum() else f"x{plain}"
