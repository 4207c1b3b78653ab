"""A TFLite file that can be asked, and its ends."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from planner.conversion.request import SourceInput
from planner.conversion.tf_worker.exception_text import framework_error_line
from profiling.arrays import Feeds
from profiling.errors import ModelError

_UNKNOWN_OPERATOR = re.compile(r"unresolved custom op: ([\w:/-]+)")


class TfliteModel:
    """A TFLite file in TensorFlow's own interpreter.

    Raises
    ------
    ModelError
        If the file is damaged.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._interpreter = _ready(path)
            self._inputs, self._outputs = _named(self._interpreter)
        except Exception as exc:
            unknown = _UNKNOWN_OPERATOR.search(str(exc))
            if unknown is not None:
                raise ModelError(
                    f"model: {path} uses the custom operator {unknown[1]}, which TensorFlow cannot run and "
                    "ONNX has no form of; build that part from TFLite's own operators"
                ) from exc
            raise ModelError(
                f"model: {path} is damaged or no TFLite file ({framework_error_line(exc)})"
            ) from exc

    @property
    def ends(self) -> tuple[SourceInput, ...]:
        """The inputs as TFLite has them."""
        return tuple(
            SourceInput(
                name=name,
                dtype=np.dtype(d["dtype"]).name,
                shape=tuple(map(int, d["shape"])),
                channels_last=False,
            )
            for name, d in self._inputs.items()
        )

    @property
    def tensors(self) -> dict[str, str]:
        """Name of each end -> its tensor in the file."""
        return {name: detail["name"] for name, detail in (*self._inputs.items(), *self._outputs.items())}

    def ask(self, feeds: Feeds) -> Feeds:
        """Return the answer to one sample."""
        run = self._interpreter
        for name, detail in self._inputs.items():
            run.set_tensor(detail["index"], feeds[name])
        run.invoke()
        return {name: run.get_tensor(detail["index"]) for name, detail in self._outputs.items()}


def _ready(path: Path) -> Any:
    """Return an interpreter for a file; TensorFlow's plainest kernels where its faster ones refuse it."""
    try:
        run = tf.lite.Interpreter(str(path))
        run.allocate_tensors()
    except RuntimeError:
        plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        run = tf.lite.Interpreter(str(path), experimental_op_resolver_type=plain)
        run.allocate_tensors()
    return run


_Details = dict[str, dict[str, Any]]


def _named(interpreter: Any) -> tuple[_Details, _Details]:
    """Return inputs and outputs by the names of the signature, if there is one, else of their tensors."""
    sides = interpreter.get_input_details(), interpreter.get_output_details()
    if len(interpreter.get_signature_list()) == 1:
        runner = interpreter.get_signature_runner()
        named = runner.get_input_details(), runner.get_output_details()
        if all(
            _indices(by_name.values()) == _indices(signature_name)
            for by_name, signature_name in zip(named, sides, strict=True)
        ):
            return named
    inputs, outputs = ({detail["name"]: detail for detail in side} for side in sides)
    return inputs, outputs


def _indices(details: Iterable[dict[str, Any]]) -> list[int]:
    return sorted(detail["index"] for detail in details)
