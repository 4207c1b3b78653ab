"""A loaded model -> one that can be grouped, quantized and split: one small rewrite after another."""

import re
from collections.abc import Iterator, Sequence

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, inliner

from profiling.arrays import Feeds
from profiling.errors import ModelError
from profiling.onnx_io.branch_shapes import has_branches, hide_branch_shapes
from profiling.onnx_io.external_weights import inline
from profiling.onnx_io.load import MIN_OPSET, default_opset, dimensions, loads
from profiling.onnx_io.subgraphs import (
    all_inputs,
    all_nodes,
    free_variables,
    outer_scope_inputs,
    rename_outer_inputs,
    subgraphs,
)
from profiling.onnx_io.unique_names import FreshNames, free_appended_names, name_nodes
from profiling.preparation.constant_folding import fold_constants
from profiling.preparation.equivalence import first_difference
from profiling.preparation.fixed_shapes import FEW, fix_shapes
from profiling.preparation.gemm_constants import simplify_gemms
from profiling.preparation.given_quantization import (
    copy_dequantizers,
    name_zero_points,
    rename_given_quantization,
)
from profiling.preparation.memory_need import refuse_too_large
from profiling.preparation.observed_shapes import default_feeds
from profiling.preparation.opset_upgrade import upgrade_opset
from profiling.preparation.resize_axes import spread_resize_axes
from profiling.runtime.session import Optimization, Runtime, open_session, run_session

_RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
_UNKNOWN_OPERATOR = re.compile(r"(?:Fatal error: )?(\S+?):(\w+)\(-?\d+\) is not a registered function/op")
# They read a weight and what is added, which may be one constant.
_WITH_ROLES = frozenset({"Conv", "ConvTranspose", "Gemm", "LayerNormalization"})
_MOST_NODES = 1_000_000  # after functions are unfolded; a few nested ones can stand for billions


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
        preparing the model keeps its numbers.
    """
    source = _expanded(model)
    refuse_too_large(source)
    _refuse_random(source.graph)
    checked = [samples[i] for i in range(min(FEW, len(samples)))] or made_up_samples(model)
    if samples:
        _require_runs(model, checked[0])
    problems: list[ModelError] = []
    for foundation in _foundations(source, problems):
        try:
            prepared = _prepared(foundation, samples or checked)
            difference = first_difference(model, prepared, checked)
        except ModelError as exc:
            problems.append(exc)
            continue
        if not difference:
            return prepared
        problems.append(ModelError(f"preparing the model changes its numbers: tensor {difference}"))
    if not checked:
        raise ModelError(
            f"{problems[0]}; shapes are guessed, since the model does not run on made-up numbers: "
            "plan inspect SCENARIO.yaml takes the scenario's samples"
        )
    raise problems[0]


def made_up_samples(model: onnx.ModelProto) -> list[Feeds]:
    """Return samples of noise, zeros and ones, those on which a model runs.

    Raises
    ------
    ModelError
        If the runtime does not load the model.
    """
    session = _loaded(model)
    for candidates in default_feeds(model):
        found: list[Feeds] = [feeds for feeds in candidates if _answers(session, feeds)]
        if found:
            return found
    return []


def _answers(session: ort.InferenceSession, feeds: Feeds) -> bool:
    try:
        run_session(session, feeds)
    except Exception:  # noqa: BLE001  the runtime's exceptions share no base class
        return False
    return True


def _require_runs(model: onnx.ModelProto, feeds: Feeds) -> None:
    session = _loaded(model)
    try:
        run_session(session, feeds)
    except Exception as exc:  # the runtime's exceptions share no base class
        line = next(iter(str(exc).strip().splitlines()), type(exc).__name__)
        raise ModelError(
            f"ONNX Runtime cannot run the model on the first calibration sample: {line}"
        ) from exc


def _loaded(model: onnx.ModelProto) -> ort.InferenceSession:
    try:
        return open_session(model, Runtime(), Optimization.BASIC)
    except ModelError as exc:
        unknown = _UNKNOWN_OPERATOR.search(str(exc))
        if unknown is None:
            raise
        raise ModelError(
            f"operator {unknown[1]}:{unknown[2]} is not supported: this ONNX Runtime does not have it"
        ) from exc


def _foundations(source: onnx.ModelProto, problems: list[ModelError]) -> Iterator[onnx.ModelProto]:
    """Yield the model as later steps may take it, from most to least rewritten."""
    if default_opset(source) < MIN_OPSET:
        try:
            yield fold_constants(upgrade_opset(source))
        except ModelError as exc:
            problems.append(exc)
    try:
        yield fold_constants(source)
    except ModelError as exc:
        problems.append(exc)
    yield source


def _expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy without functions, whose nodes all have names of their own."""
    count = _nodes_unfolded(model)
    if count > _MOST_NODES:
        raise ModelError(f"functions unfold to {count:.3g} nodes, more than {_MOST_NODES:,}")
    expanded = onnx.ModelProto()
    expanded.CopyFrom(inliner.inline_local_functions(model) if model.functions else model)
    _drop_unused_weights(expanded.graph)
    name_zero_points(expanded)
    name_nodes(expanded.graph)
    return expanded


def _nodes_unfolded(model: onnx.ModelProto) -> int:
    """Return how many nodes there are once every function stands where it is called."""
    sizes: dict[tuple[str, str], int] = {}
    left = {(function.domain, function.name): function for function in model.functions}
    while left:
        known = {key for key, one in left.items() if not any((n.domain, n.op_type) in left for n in one.node)}
        if not known:
            raise ModelError("its functions call each other in a circle")
        for key in known:
            sizes[key] = sum(sizes.get((n.domain, n.op_type), 1) for n in left.pop(key).node)
    return sum(sizes.get((node.domain, node.op_type), 1) for node in all_nodes(model.graph))


def _prepared(foundation: onnx.ModelProto, samples: Sequence[Feeds]) -> onnx.ModelProto:
    prepared = onnx.ModelProto()
    prepared.CopyFrom(foundation)
    _drop_unused_opsets(prepared)
    _drop_unread_nodes(prepared.graph)
    name_nodes(prepared.graph)
    if default_opset(prepared) >= MIN_OPSET:
        simplify_gemms(prepared.graph)
    rename_given_quantization(prepared.graph)
    free_appended_names(prepared.graph)
    copy_dequantizers(prepared.graph)
    _own_captured_weights(prepared.graph)
    _unshare_weights(prepared.graph)
    _drop_unused_weights(prepared.graph)
    _expose_captures(prepared.graph)
    _write_outputs(prepared.graph)
    fix_shapes(prepared, samples)
    shapes = {
        v.name: [d or 0 for d in dimensions(v)] for v in (*prepared.graph.value_info, *prepared.graph.input)
    }
    spread_resize_axes(prepared.graph, shapes)
    if has_branches(prepared.graph) and not loads(prepared):
        fix_shapes(prepared, samples, hide_branch_shapes(prepared.graph))
    return prepared


def _refuse_random(graph: onnx.GraphProto) -> None:
    found = next((node for node in all_nodes(graph) if node.op_type in _RANDOM), None)
    if found is not None:
        raise ModelError(
            f"operator {found.op_type} is random, which is not supported: two runs differ, so no plan "
            "can be verified"
        )


def _drop_unused_opsets(model: onnx.ModelProto) -> None:
    # The runtime writes every operator set that it knows.
    used = {node.domain for node in all_nodes(model.graph)} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _own_captured_weights(graph: onnx.GraphProto) -> None:
    """Copy initializers into the nested graphs that read them."""
    weights = {init.name: init for init in graph.initializer}
    for node in graph.node:
        for body in subgraphs(node):
            for name in dict.fromkeys(free_variables(body)):
                if name in weights:
                    body.initializer.add().CopyFrom(inline(weights[name]))


def _unshare_weights(graph: onnx.GraphProto) -> None:
    # The tool quantizes an initializer for all that read it, even those that are to stay in float, and in
    # one role: as a weight per channel, say, where it is a summand elsewhere.
    weights = {
        init.name: init for init in graph.initializer if init.dims and init.data_type == TensorProto.FLOAT
    }
    fresh = FreshNames(graph)
    taken: set[str] = set()
    for node in graph.node:
        own: dict[str, str] = {}
        for place, name in enumerate(node.input):
            if name not in weights:
                continue
            if name in own and node.op_type not in _WITH_ROLES:
                node.input[place] = own[name]
            elif name in taken:
                node.input[place] = fresh.of(f"{name}/{node.name}")
                copy = graph.initializer.add()
                copy.CopyFrom(weights[name])
                copy.name = node.input[place]
            taken.add(name)
            own[name] = node.input[place]


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


def _drop_unused_weights(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in all_inputs(node)} | {value.name for value in graph.output}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name not in used:
            del graph.initializer[place]


def _expose_captures(graph: onnx.GraphProto) -> None:
    """Let nested graphs take values from outside only through an Identity in front of their node."""
    nodes: list[onnx.NodeProto] = []
    fresh = FreshNames(graph)
    for node in graph.node:
        names = {name: fresh.of(f"{name}/{node.name}") for name in outer_scope_inputs(node)}
        nodes += [
            helper.make_node("Identity", [name], [own], name=fresh.of(f"{own}/capture"))
            for name, own in names.items()
        ]
        for body in subgraphs(node):
            rename_outer_inputs(body, names)
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _write_outputs(graph: onnx.GraphProto) -> None:
    """Let a node write every output that is a constant, and read inputs that are outputs from a copy."""
    due = {value.name for value in graph.output}
    fresh = FreshNames(graph)
    weights = {init.name: init for init in graph.initializer if init.name in due}
    passed = {value.name for value in graph.input if value.name in due}
    inner = {name: fresh.of(f"{name}/constant") for name in weights}
    inner |= {name: fresh.of(f"{name}/inside") for name in passed}
    read = {name for node in graph.node for name in node.input}
    for node in graph.node:
        node.input[:] = [inner.get(name, name) for name in node.input]
    for name, init in weights.items():
        init.name = inner[name]
    added = [
        helper.make_node("Identity", [inner[name]], [name], name=fresh.of(f"{name}/write"))
        for name in weights
    ]
    added += [
        helper.make_node("Identity", [name], [inner[name]], name=fresh.of(f"{name}/read"))
        for name in passed
        if name in read
    ]
    nodes = [*added, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
