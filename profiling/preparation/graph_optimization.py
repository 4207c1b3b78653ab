"""Optimizes the graph before it is planned: shapes inferred, constants and batch norm folded."""

import logging
from contextlib import chdir

import onnx
from onnx import TensorProto

from profiling.directories import temporary_folder
from profiling.errors import ModelError
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.external_weights import externalize, reattach_weights, without_large_weights
from profiling.onnx_io.unique_names import FreshNames, names_of, rename_tensors
from profiling.printable_text import reason
from profiling.runtime.log_filter import quiet
from profiling.runtime.open_session import Runtime, Trace, open_session

log = logging.getLogger(__name__)

_OF_FUNCTION = "_inlfunc_"  # begins the names of tensors of operators that the runtime writes out
_UNBOUNDED = 2**31 - 1  # the tool takes a Slice that ends here or beyond for one to the end


def fold_constants(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with shapes inferred and the runtime's basic optimization applied.

    Slices stay slices. The steps are those of ONNX Runtime's `quant_pre_process`, which cannot handle
    models above 2 GiB.

    Raises
    ------
    ModelError
        If the runtime refuses the model.
    """
    folded = _folded(model)
    if any(name.startswith(_OF_FUNCTION) for node in folded.graph.node for name in node.output):
        # Of an operator that the runtime writes out, it folds nothing before it has done so.
        folded = _folded(folded)
    if any(init.data_type == TensorProto.FLOAT16 for init in folded.graph.initializer):
        # The runtime computes halves in float, and puts its casts of weights in when folding is over.
        folded = _optimized(folded)
    _rename_new_constants(folded, model)
    _restore_node_names(folded.graph, model.graph)
    externalize(folded)
    del folded.graph.value_info[:]  # a constant that came out of folding is listed there, too
    return folded


def _folded(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return _optimized(_with_shapes(model))
    except ModelError as exc:  # wrong inferred shapes keep a model from loading that loads without them
        log.info("folding without inferred shapes: %s", exc)
        return _optimized(model)


def _optimized(model: onnx.ModelProto) -> onnx.ModelProto:
    with temporary_folder("folding-") as folder:
        target = folder / "folded.onnx"
        open_session(model, Runtime(), Optimization.FOLDING, Trace(optimized_model=target))
        return onnx.load(target, load_external_data=False)


def _rename_new_constants(folded: onnx.ModelProto, source: onnx.ModelProto) -> None:
    """Give constants that the runtime added names that it does not give, in place.

    Where it optimizes the model again and fuses what it left before, it takes such a name to be free, and
    ends with "Attempt to replace the existing tensor" (ONNX Runtime 1.31, 1.32: `gemm_input_shape`).
    """
    known, fresh = set(names_of(source.graph)), FreshNames(folded.graph)
    added = [init.name for init in folded.graph.initializer if init.name not in known]
    rename_tensors(folded.graph, {name: fresh.of(f"{name}/folded") for name in added})


def _restore_node_names(folded: onnx.GraphProto, source: onnx.GraphProto) -> None:
    """Give what a node was fused into that node's name again, in place: users know it from their file.

    ONNX Runtime names it after the node: `dense/MatMulAddFusion`.
    """
    known = {node.name for node in source.node if node.name}
    taken = {node.name for node in folded.node}
    for node in folded.node:
        own = node.name.rpartition("/")[0]
        if node.name not in known and own in known and own not in taken:
            node.name = own
            taken.add(own)


def _with_shapes(model: onnx.ModelProto) -> onnx.ModelProto:
    # Here, as it loads SymPy, which most commands do without.
    from onnxruntime.tools.symbolic_shape_infer import SymbolicShapeInference

    # The tool leaves a file in the working directory where it fails.
    with temporary_folder("shapes-") as folder, chdir(folder), quiet():
        try:
            return reattach_weights(
                SymbolicShapeInference.infer_shapes(
                    without_large_weights(model), int_max=_UNBOUNDED, auto_merge=True
                ),
                model,
            )
        except Exception as exc:  # noqa: BLE001  it raises anything; plain inference may do
            failure = exc
    log.info("no shapes from symbolic inference: %s", reason(failure))
    return model
