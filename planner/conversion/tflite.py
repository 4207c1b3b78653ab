"""A TFLite file that can be asked, and its inputs."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from planner.conversion.order import SourceInput
from planner.conversion.wording import first_line
from profiling.errors import ModelError
from profiling.session import Feeds


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
            self._interpreter = tf.lite.Interpreter(str(path))
            self._interpreter.allocate_tensors()
        except Exception as exc:
            raise ModelError(f"model: {path} is damaged or no TFLite file ({first_line(exc)})") from exc

    @property
    def ends(self) -> tuple[SourceInput, ...]:
        """The inputs as TFLite has them."""
        return tuple(
            SourceInput(
                name=d["name"],
                dtype=np.dtype(d["dtype"]).name,
                shape=tuple(map(int, d["shape"])),
                channels_last=False,
            )
            for d in self._interpreter.get_input_details()
        )

    def ask(self, feeds: Feeds) -> Feeds:
        """Return the answer to one sample."""
        run = self._interpreter
        for detail in run.get_input_details():
            run.set_tensor(detail["index"], feeds[detail["name"]])
        run.invoke()
        return {d["name"]: run.get_tensor(d["index"]) for d in run.get_output_details()}
