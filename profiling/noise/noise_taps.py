"""Where noise adds up: at the outputs, or before the last function if that one squashes numbers.

Noise of several sources adds at a classifier's logits. Behind its Softmax it does not: a picture that is
sure of its class hides all of it, one in doubt shows it many times over, so that a few pictures decide.
"""

from dataclasses import dataclass

import onnx

from profiling.arrays import Array
from profiling.graph.unit_graph import ModelGraph
from profiling.quantization.qdq_model import PASSING

# A shift of all that a Softmax reads changes nothing; a Sigmoid reads each number by itself.
_SQUASHING = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})


@dataclass(frozen=True, slots=True)
class Tap:
    """A tensor at which noise is summed.

    Parameters
    ----------
    axis
        Along which a common shift of all numbers changes nothing behind it; None if there is none.
    """

    tensor: str
    axis: int | None = None

    def effective(self, values: Array) -> Array:
        """Return what of the tensor matters behind it: without its mean along the axis.

        >>> import numpy as np
        >>> Tap("logits", axis=-1).effective(np.array([[1.0, 2.0, 6.0]]))
        array([[-2., -1.,  3.]])
        """
        return values if self.axis is None else values - values.mean(self.axis, keepdims=True)


def taps_of(graph: ModelGraph) -> tuple[Tap, ...]:
    """Return for each output where noise is summed: there, or at what its last Softmax or Sigmoid reads."""
    writer = {name: node for node in graph.model.graph.node for name in node.output}
    between = {name for unit in graph.units for name in unit.outputs}
    taps = []
    for output in graph.outputs:
        tap, name = Tap(output), output
        while name in writer and writer[name].op_type in _SQUASHING | PASSING:
            node = writer[name]
            name = node.input[0]
            if node.op_type in _SQUASHING and name in between:
                tap = Tap(name, _axis(node))
        taps.append(tap)
    return tuple(taps)


def _axis(node: onnx.NodeProto) -> int | None:
    if node.op_type == "Sigmoid":
        return None
    return next((int(a.i) for a in node.attribute if a.name == "axis"), -1)  # ONNX's default since opset 13
