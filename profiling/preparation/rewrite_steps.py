"""A loaded model -> one that can be grouped, quantized and split: one small rewrite after another."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import onnx

from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.onnx_io.branch_shapes import has_branches, hide_branch_shapes
from profiling.onnx_io.input_shapes import dimensions
from profiling.onnx_io.load_model import MIN_OPSET, default_opset, loads
from profiling.onnx_io.subgraphs import all_inputs, all_nodes
from profiling.onnx_io.unique_names import free_appended_names, name_nodes
from profiling.preparation.boundary_identities import expose_captures, write_outputs
from profiling.preparation.equivalence import Reference, first_difference
from profiling.preparation.gemm_constants import simplify_gemms
from profiling.preparation.given_quantization import (
    copy_dequantizers,
    name_zero_points,
    rename_given_quantization,
)
from profiling.preparation.graph_optimization import fold_constants
from profiling.preparation.inline_functions import inline_functions
from profiling.preparation.made_up_samples import made_up_samples
from profiling.preparation.opset_upgrade import upgrade_opset
from profiling.preparation.recorded_shapes import ENOUGH_SAMPLES, fix_shapes
from profiling.preparation.resize_axes import spread_resize_axes
from profiling.preparation.source_session import open_source
from profiling.preparation.tensor_size_check import refuse_too_large
from profiling.preparation.weight_ownership import (
    copy_captured_weights,
    copy_shared_weights,
    drop_unread_weights,
)
from profiling.printable_text import first_line
from profiling.runtime.open_session import run_session

log = logging.getLogger(__name__)

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)


def prepare_model(model: onnx.ModelProto, samples: Sequence[Feeds] = ()) -> onnx.ModelProto:
    """Return a copy that is ready to be grouped, quantized and split, and gives the same numbers.

    After: functions are inlined, constants and batch norm are folded, every node has a unique
    non-empty name and its own weights, nested graphs take values from outside only through an
    Identity of their own and carry their own weights, every output is written by a node or is an
    input, every tensor that has one shape in all samples has it in `value_info` as runs show it, and only
    used operator sets are imported. Graph inputs and outputs keep their names and types.

    Where a step changes the numbers (the conversion of an old opset, folding), it is left out.

    Parameters
    ----------
    model
        From `load_model`.
    samples
        Calibration samples. Without them the model runs on made-up numbers, if it can.

    Raises
    ------
    ModelError
        If shapes stay unknown, an operator is random, or the runtime does not know one; if no way of
        preparing the model keeps its numbers; if it answers the samples with nothing but NaN and infinity.
    """
    source = _with_named_nodes(model)
    refuse_too_large(source)
    _refuse_random(source.graph)
    checked = [samples[i] for i in range(min(ENOUGH_SAMPLES, len(samples)))] or made_up_samples(model)
    reference = _reference(model, checked)
    if samples:
        _require_numbers(reference)
    problems: list[ModelError] = []
    for foundation in _foundations(source, problems):
        try:
            prepared = _rewritten(foundation, samples or checked)
            difference = first_difference(reference, prepared)
        except ModelError as exc:
            log.info("a way to prepare the model is left out: %s", exc)
            problems.append(exc)
            continue
        if not difference:
            log.info("prepared the model: %d nodes of %d", len(prepared.graph.node), len(source.graph.node))
            return prepared
        log.info("a way to prepare the model is left out: it changes tensor %s", difference)
        problems.append(ModelError(f"preparing the model changes its numbers: tensor {difference}"))
    if not checked:
        raise ModelError(
            f"{problems[0]}; shapes are guessed, since the model does not run on made-up numbers: "
            "plan inspect SCENARIO.yaml takes the scenario's samples"
        )
    raise problems[0]  # of the first foundation, which is what preparing should have come to


def _reference(model: onnx.ModelProto, samples: Sequence[Feeds]) -> Reference:
    session = open_source(model)
    outputs = []
    for number, feeds in enumerate(samples, 1):
        try:
            outputs.append(run_session(session, feeds))
        except Exception as exc:  # the runtime's exceptions share no base class
            which = "the first calibration sample" if number == 1 else f"calibration sample {number}"
            raise ModelError(f"ONNX Runtime cannot run the model on {which}: {first_line(exc)}") from exc
    return Reference(model, tuple(samples), tuple(outputs))


def _require_numbers(reference: Reference) -> None:
    """Refuse answers without any number, beside which every plan would be exact; say where some hold NaN."""
    answers = [
        (name, array)
        for outputs in reference.outputs
        for name, array in outputs.items()
        if isinstance(array, np.ndarray) and np.issubdtype(array.dtype, np.floating)
    ]
    with_nan = list(dict.fromkeys(name for name, array in answers if np.isnan(array).any()))
    if any(array.size for _, array in answers) and not any(np.isfinite(array).any() for _, array in answers):
        names = ", ".join(repr(name) for name in dict.fromkeys(name for name, _ in answers))
        raise ModelError(
            f"the model answers NaN or infinity and nothing else (output {names}) on the first "
            f"{len(reference.outputs)} calibration samples: there is no number to be near to; check its "
            "weights, and that the samples are what it takes"
        )
    for name in with_nan:
        log.warning("output %r of the fp32 model holds NaN: errors are those of its other numbers", name)


def _foundations(source: onnx.ModelProto, problems: list[ModelError]) -> Iterator[onnx.ModelProto]:
    """Yield the model as later steps may take it, from most to least rewritten; note what fails."""
    if default_opset(source) < MIN_OPSET:
        try:
            yield fold_constants(upgrade_opset(source))
        except ModelError as exc:
            log.info("the opset stays: %s", exc)
            problems.append(exc)
    try:
        yield fold_constants(source)
    except ModelError as exc:
        log.info("constants are not folded: %s", exc)
        problems.append(exc)
    yield source


def _with_named_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without functions, whose nodes all have names of their own."""
    copy = inline_functions(model)
    drop_unread_weights(copy.graph)
    name_zero_points(copy)
    name_nodes(copy.graph)
    return copy


def _rewritten(foundation: onnx.ModelProto, samples: Sequence[Feeds]) -> onnx.ModelProto:
    """Return a copy after every rewrite that keeps numbers exactly. Later ones build on earlier ones."""
    copy = onnx.ModelProto()
    copy.CopyFrom(foundation)
    graph = copy.graph
    _drop_unused_opsets(copy)
    _drop_unread_nodes(graph)
    name_nodes(graph)
    if default_opset(copy) >= MIN_OPSET:  # in older sets nothing is quantized, and Gemm is another
        simplify_gemms(graph)
    rename_given_quantization(graph)
    free_appended_names(graph)
    copy_dequantizers(graph)
    copy_captured_weights(graph)
    copy_shared_weights(graph)
    drop_unread_weights(graph)
    expose_captures(graph)
    write_outputs(graph)
    fix_shapes(copy, samples)
    shapes = {value.name: [d or 0 for d in dimensions(value)] for value in (*graph.value_info, *graph.input)}
    spread_resize_axes(graph, shapes)
    if has_branches(graph) and not loads(copy):  # a branch never taken may contradict recorded shapes
        fix_shapes(copy, samples, hide_branch_shapes(graph))
    return copy


def _refuse_random(graph: onnx.GraphProto) -> None:
    random = next((node for node in all_nodes(graph) if node.op_type in _RANDOM), None)
    if random is not None:
        raise ModelError(
            f"operator {random.op_type} is random, which is not supported: two runs differ, so no plan "
            "can be verified"
        )


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    """Drop imports that no node needs, in place; the runtime writes every operator set that it knows."""
    used = {node.domain for node in all_nodes(model.graph)} | {""}
    imports = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(imports)


def _drop_unread_nodes(graph: onnx.GraphProto) -> None:
    """Drop nodes that no output needs, in place: as a stage of their own they would give nothing."""
    needed = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(all_inputs(node))
    del graph.node[:]
    graph.node.extend(reversed(kept))
