"""The source model in a session, with its refusals told in the user's words."""

import re

import onnx
import onnxruntime as ort

from profiling.errors import ModelError
from profiling.on_device.create_session import Optimization
from profiling.runtime.open_session import Runtime, open_session

# As ONNX Runtime 1.31 and 1.32 name an operator that they lack: domain, type, version.
_UNKNOWN_OPERATOR = re.compile(r"(?:Fatal error: )?(\S+?):(\w+)\(-?\d+\) is not a registered function/op")


def open_source(model: onnx.ModelProto) -> ort.InferenceSession:
    """Return a session of a model as its file has it, without changes of layout.

    Raises
    ------
    ModelError
        If the runtime does not load the model; an operator that it lacks is named.
    """
    try:
        return open_session(model, Runtime(), Optimization.BASIC)
    except ModelError as exc:
        unknown = _UNKNOWN_OPERATOR.search(str(exc))
        if unknown is None:
            raise
        raise ModelError(
            f"operator {unknown[1]}:{unknown[2]} is not supported: this ONNX Runtime does not have it"
        ) from exc
