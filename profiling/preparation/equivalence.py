"""Whether a rewritten model gives the numbers of its source, and where it first does not."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto

from profiling.arrays import Array, Feeds
from profiling.onnx_io.subgraphs import all_nodes
from profiling.runtime.session import Optimization, Runtime, open_session, run_session

# Share of a tensor's largest value. Rewriting changes the order of sums: float rounding, which deep networks
# amplify. Where values are rounded to integers or halves, a last bit decides over a whole step.
_ROUNDING, _STEPS = 1e-3, 5e-2
_COARSE = ("QuantizeLinear", "DynamicQuantizeLinear")


def first_difference(source: onnx.ModelProto, rewritten: onnx.ModelProto, samples: Sequence[Feeds]) -> str:
    """Return the first tensor of `rewritten` that differs on a sample, and by how much; empty if none does.

    Outputs decide; a tensor before them is named where both models have it.

    Raises
    ------
    ModelError
        If the runtime does not load one of the models.
    """
    most = _STEPS if _is_coarse(source) else _ROUNDING
    outputs = [value.name for value in source.graph.output]
    exact = _answers(source, outputs, samples)
    for feeds, want, got in zip(samples, exact, _answers(rewritten, outputs, samples), strict=True):
        wrong = [name for name in outputs if not _agree(got[name], want[name], most)]
        if wrong:
            return _first_inside(source, rewritten, feeds, most) or _told(wrong[0], got, want)
    return ""


def _first_inside(source: onnx.ModelProto, rewritten: onnx.ModelProto, feeds: Feeds, most: float) -> str:
    known = {name for node in source.graph.node for name in node.output}
    common = [name for node in rewritten.graph.node for name in node.output if name in known and name]
    (want,), (got,) = (_answers(model, common, [feeds]) for model in (source, rewritten))
    wrong = (name for name in common if not _agree(got[name], want[name], most))
    return next((_told(name, got, want) for name in wrong), "")


def _answers(
    model: onnx.ModelProto, names: Sequence[str], samples: Sequence[Feeds]
) -> list[dict[str, Array]]:
    watched = model
    due = {value.name for value in model.graph.output}
    if not due.issuperset(names):
        watched = onnx.ModelProto()
        watched.CopyFrom(model)
        watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in due)
    session = open_session(watched, Runtime(), Optimization.BASIC)
    return [run_session(session, feeds) for feeds in samples]


def _agree(got: object, want: object, most: float) -> bool:
    if not isinstance(want, np.ndarray) or want.dtype == object:
        return True  # a sequence or text, which no step here computes anew
    if not isinstance(got, np.ndarray) or got.shape != want.shape or got.dtype != want.dtype:
        return False
    if not want.size:
        return True
    if not np.issubdtype(want.dtype, np.floating):
        return bool(np.mean(got != want) <= most)
    return bool(_deviation(got, want) <= most)


def _deviation(got: Array, want: Array) -> float:
    """Return the largest difference as a share of the largest value; what is equally not finite agrees."""
    got, want = got.astype(np.float64), want.astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(got - want))
    if not np.isfinite(difference).all():
        return float("inf")
    scale = np.abs(want[np.isfinite(want)]).max(initial=0.0)
    largest = float(difference.max(initial=0.0))
    return largest / scale if scale else float(largest > 0)


def _told(name: str, got: dict[str, Array], want: dict[str, Array]) -> str:
    if got[name].shape != want[name].shape:
        return f"{name!r} has shape {list(got[name].shape)} instead of {list(want[name].shape)}"
    if not np.issubdtype(want[name].dtype, np.floating):
        return f"{name!r} differs in {np.mean(got[name] != want[name]):.3g} of its elements"
    return f"{name!r} differs by {_deviation(got[name], want[name]):.3g} of its largest value"


def _is_coarse(model: onnx.ModelProto) -> bool:
    halves = any(init.data_type == TensorProto.FLOAT16 for init in model.graph.initializer)
    halves = halves or any(
        value.type.tensor_type.elem_type == TensorProto.FLOAT16
        for value in (*model.graph.input, *model.graph.output)
    )
    return halves or any(node.op_type in _COARSE for node in all_nodes(model.graph))
