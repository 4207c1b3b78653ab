"""Whether a rewritten model gives the numbers of its source, and where it first does not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from profiling.arrays import Array, Feeds
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.subgraphs import all_nodes
from profiling.runtime.open_session import Runtime, open_session, run_session

# Largest difference that is no fault, as a share of a tensor's largest value. Rewriting changes the order of
# sums: float rounding (6e-8), which deep networks amplify. Less would refuse sound rewrites of those, more
# would let a wrong result of that size pass for rounding.
_FLOAT_TOLERANCE = 1e-3
# Where values are rounded to integers or halves, a last bit decides over a whole step, which later layers
# amplify in turn: what is told apart there is another computation from the same one.
_COARSE_TOLERANCE = 5e-2
_ROUNDING_OPERATORS = ("QuantizeLinear", "DynamicQuantizeLinear")


@dataclass(frozen=True, slots=True)
class Reference:
    """A model and what it gives.

    Parameters
    ----------
    outputs
        Of each sample, by name.
    """

    model: onnx.ModelProto
    samples: tuple[Feeds, ...]
    outputs: tuple[dict[str, Array], ...]

    @property
    def tolerance(self) -> float:
        """Largest difference, as a share of a tensor's largest value, that another order of sums explains."""
        return _COARSE_TOLERANCE if _rounds_coarsely(self.model) else _FLOAT_TOLERANCE


def first_difference(reference: Reference, rewritten: onnx.ModelProto) -> str:
    """Return the first tensor of `rewritten` that differs on a sample, and by how much; empty if none does.

    Outputs decide; a tensor before them is named where both models have it.

    Raises
    ------
    ModelError
        If the runtime does not load `rewritten`.
    """
    tolerance = reference.tolerance
    names = [value.name for value in reference.model.graph.output]
    computed = _tensors(rewritten, names, reference.samples)
    for feeds, expected, actual in zip(reference.samples, reference.outputs, computed, strict=True):
        wrong = [name for name in names if not _agree(actual[name], expected[name], tolerance)]
        if wrong:
            inner = _first_inner_difference(reference.model, rewritten, feeds, tolerance)
            return inner or _description(wrong[0], actual[wrong[0]], expected[wrong[0]])
    return ""


def _first_inner_difference(
    source: onnx.ModelProto, rewritten: onnx.ModelProto, feeds: Feeds, tolerance: float
) -> str:
    written = {name for node in source.graph.node for name in node.output}
    common = [name for node in rewritten.graph.node for name in node.output if name in written and name]
    (expected,), (actual,) = (_tensors(model, common, [feeds]) for model in (source, rewritten))
    wrong = (name for name in common if not _agree(actual[name], expected[name], tolerance))
    return next((_description(name, actual[name], expected[name]) for name in wrong), "")


def _tensors(
    model: onnx.ModelProto, names: Iterable[str], samples: Sequence[Feeds]
) -> list[Mapping[str, Array]]:
    """Return the outputs and some inner tensors of a model, for each sample."""
    watched = model
    outputs = {value.name for value in model.graph.output}
    inner = [name for name in names if name not in outputs]
    if inner:
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    session = open_session(watched, Runtime(), Optimization.BASIC)
    return [run_session(session, feeds) for feeds in samples]


def _agree(actual: object, expected: object, tolerance: float) -> bool:
    if not isinstance(expected, np.ndarray) or expected.dtype == object:
        return True  # a sequence or text, which no step here computes anew
    if not isinstance(actual, np.ndarray) or actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if not expected.size:
        return True
    if not np.issubdtype(expected.dtype, np.floating):
        return bool(np.mean(actual != expected) <= tolerance)
    return bool(relative_deviation(actual, expected) <= tolerance)


def relative_deviation(actual: Array, expected: Array) -> float:
    """Return the largest difference as a share of the largest value; what is equally not finite agrees.

    Parameters
    ----------
    actual, expected
        Floats of one shape.

    >>> relative_deviation(np.array([1.0, 4.0, np.inf]), np.array([1.0, 5.0, np.inf]))
    0.2
    >>> relative_deviation(np.array([np.nan]), np.array([0.0]))
    inf
    """
    actual, expected = actual.astype(np.float64), expected.astype(np.float64)
    same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(actual - expected))
    if not np.isfinite(difference).all():
        return float("inf")
    scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    largest = float(difference.max(initial=0.0))
    # Next to a tensor of zeros there is no share: anything else is a difference of all of it.
    return largest / scale if scale else float(largest > 0)


def _description(name: str, actual: Array, expected: Array) -> str:
    if actual.shape != expected.shape:
        return f"{name!r} has shape {list(actual.shape)} instead of {list(expected.shape)}"
    if not np.issubdtype(expected.dtype, np.floating):
        return f"{name!r} differs in {np.mean(actual != expected):.3g} of its elements"
    return f"{name!r} differs by {relative_deviation(actual, expected):.3g} of its largest value"


def _rounds_coarsely(model: onnx.ModelProto) -> bool:
    """Return whether a model computes in halves, or rounds to integers."""
    values = (*model.graph.input, *model.graph.output)
    return (
        any(init.data_type == TensorProto.FLOAT16 for init in model.graph.initializer)
        or any(value.type.tensor_type.elem_type == TensorProto.FLOAT16 for value in values)
        or any(node.op_type in _ROUNDING_OPERATORS for node in all_nodes(model.graph))
    )
