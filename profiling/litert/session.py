"""A `.tflite` model as a session that runs requests, from several threads if need be."""

import threading
from collections.abc import Mapping, Sequence

from profiling.arrays import Array
from profiling.litert.interpreter import OpenedStage
from profiling.on_device.litert.interpreter import OpenedEnd


class LitertSession:
    """Runs a stage as a session of ONNX Runtime does.

    An interpreter runs one request at a time: each thread that asks has its own.

    Parameters
    ----------
    content
        The bytes of a file with the signature `serving_default`.
    threads
        Of every operator.

    Raises
    ------
    ModelError
        If the runtime refuses the model.
    """

    def __init__(self, content: bytes, threads: int) -> None:
        self._content, self._threads = content, threads
        self._of_thread = threading.local()
        self._of_thread.opened = opened = OpenedStage(content, threads)
        self._inputs, self._outputs = opened.get_inputs(), opened.get_outputs()

    def get_inputs(self) -> Sequence[OpenedEnd]:
        """Return what it reads."""
        return self._inputs

    def get_outputs(self) -> Sequence[OpenedEnd]:
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
        if not hasattr(self._of_thread, "opened"):
            self._of_thread.opened = OpenedStage(self._content, self._threads)
        opened: OpenedStage = self._of_thread.opened
        return opened.run(names, feeds)
