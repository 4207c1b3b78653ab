"""A SavedModel of one file as a session that runs requests."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from profiling.arrays import Array
from profiling.tensorflow_runtime.tensorflow_process import tensorflow_process


@dataclass(frozen=True, slots=True)
class TensorFlowEnd:
    """An input or output of a session."""

    name: str


class TensorFlowSession:
    """Runs a stage as a session of ONNX Runtime does, in the process with TensorFlow.

    Parameters
    ----------
    content
        The bytes of `saved_model.pb`.

    Raises
    ------
    ModelError
        If TensorFlow refuses the model.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        self._process = tensorflow_process(threads)
        self._number: int = self._process.ask("open", content)
        weakref.finalize(self, self._process.forget, self._number)
        inputs, outputs = self._process.ask("ends", self._number)
        self._inputs = [TensorFlowEnd(name) for name, *_ in inputs]
        self._outputs = [TensorFlowEnd(name) for name, *_ in outputs]

    def get_inputs(self) -> Sequence[TensorFlowEnd]:
        """Return what it reads."""
        return self._inputs

    def get_outputs(self) -> Sequence[TensorFlowEnd]:
        """Return what it gives."""
        return self._outputs

    def run(
        self, names: Sequence[str] | None, feeds: Mapping[str, Array], _options: object = None, /
    ) -> list[Array]:
        """Return outputs by name, or all of them in order, of one sample.

        Raises
        ------
        ModelError
            If the sample does not fit the model.
        """
        fed = {end.name: np.ascontiguousarray(feeds[end.name]) for end in self._inputs}
        answer = self._process.ask("run", self._number, fed)
        return [answer[name] for name in names or [end.name for end in self._outputs]]
