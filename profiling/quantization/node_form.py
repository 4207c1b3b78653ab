"""A form: a way in which nodes compute that read and write floats, whatever is done inside them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper

from profiling.onnx_io.external_weights import iter_chunks
from profiling.onnx_io.subgraphs import all_inputs
from profiling.onnx_io.unique_names import FreshNames

MATRIX = 2  # dimensions
WEIGHT, BIAS = 1, 2  # inputs
PRODUCTS = frozenset({"MatMul", "Gemm"})
MS_DOMAIN = "com.microsoft"
_CHANGES_FORMAT = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})


@dataclass(frozen=True, slots=True)
class Replacement:
    """Nodes in place of one, in topological order, and the constants that they need besides its own.

    The last node has the name and the output of the replaced one.
    """

    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[TensorProto, ...]


class NewNames(Protocol):
    """Gives out names that a model does not have."""

    def __call__(self, wanted: str) -> str:
        """Return a new name, the one that is wanted if it is free."""


class NodeForm(ABC):
    """What is done to the weights of a node and to what it reads; its ends stay float32 tensors.

    Where `has_float_weights`, the runtime sees a float weight, of which it makes integers where everything
    around is integers unless that is prevented.
    """

    has_float_weights: ClassVar[bool] = False

    @abstractmethod
    def obstacle(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> str:
        """Return why a node cannot take it; empty if it can."""

    @abstractmethod
    def replaced(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return what computes a node in this form."""

    @abstractmethod
    def in_float(
        self, node: onnx.NodeProto, constants: Mapping[str, TensorProto], fresh: NewNames
    ) -> Replacement:
        """Return the same in operators of float32: what the form rounds is rounded, sums are of floats."""

    @abstractmethod
    def weight_bytes(self, node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> dict[str, int]:
        """Return constant of a node that can take it -> the bytes of what stands for it when it computes."""


def unit_obstacle(
    form: NodeForm, nodes: Sequence[onnx.NodeProto], constants: Mapping[str, TensorProto]
) -> str:
    """Return why none of a unit's nodes can take a form, or why they must not; empty if one can.

    The others compute in float beside it.
    """
    if any(node.op_type in _CHANGES_FORMAT for node in nodes):
        return "is quantized already"
    reasons = [form.obstacle(node, constants) for node in nodes]
    if "" not in reasons:
        # The first node of a unit is what computes.
        return reasons[0]
    weights = (constants.get(name) for node in nodes for name in node.input)
    infinite = next((weight for weight in weights if weight is not None and not is_finite(weight)), None)
    return "" if infinite is None else f"the weight {infinite.name!r} holds infinity or NaN"


def is_finite(weight: TensorProto) -> bool:
    """Return whether a constant has none but finite values; one of integers has."""
    if weight.data_type != TensorProto.FLOAT:
        return True
    return all(bool(np.isfinite(block).all()) for block in iter_chunks(weight))


def unit_bytes(
    form: NodeForm, nodes: Sequence[onnx.NodeProto], constants: Mapping[str, TensorProto]
) -> dict[str, int]:
    """Return constant -> the bytes of what stands for it once a unit's nodes take a form that can."""
    able = (node for node in nodes if not form.obstacle(node, constants))
    return {name: size for node in able for name, size in form.weight_bytes(node, constants).items()}


def with_forms(model: onnx.ModelProto, forms: Mapping[str, NodeForm]) -> onnx.ModelProto:
    """Return a copy in which some nodes, by name, are in forms; one that cannot take its form stays.

    Constants that nothing reads any more are gone.
    """
    return _replaced(model, forms, lambda form: form.replaced)


def without_float_weights(model: onnx.ModelProto, forms: Mapping[str, NodeForm]) -> set[str]:
    """Return the names of the nodes that take a form and then have no float weights."""
    return {name for name in _able(model, forms) if not forms[name].has_float_weights}


def _able(model: onnx.ModelProto, forms: Mapping[str, NodeForm]) -> set[str]:
    """Return the names of those nodes that can take the form that they are to be in."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    return {
        node.name
        for node in model.graph.node
        if node.name in forms and not forms[node.name].obstacle(node, constants)
    }


def with_forms_in_float(model: onnx.ModelProto, forms: Mapping[str, NodeForm]) -> onnx.ModelProto:
    """Return the same in operators of float32, for comparison."""
    return _replaced(model, forms, lambda form: form.in_float)


_Replace = Callable[[onnx.NodeProto, Mapping[str, TensorProto], NewNames], Replacement]


def _replaced(
    model: onnx.ModelProto, forms: Mapping[str, NodeForm], how: Callable[[NodeForm], _Replace]
) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    fresh, able = FreshNames(copy.graph), _able(model, forms)
    nodes: list[onnx.NodeProto] = []
    given_up = set[str]()
    for node in copy.graph.node:
        if node.name not in able:
            nodes.append(node)
            continue
        replacement = how(forms[node.name])(node, constants, fresh.of)
        given_up.update(node.input)
        nodes += replacement.nodes
        copy.graph.initializer.extend(replacement.constants)
    domains = {entry.domain for entry in copy.opset_import}
    if MS_DOMAIN not in domains and any(node.domain == MS_DOMAIN for node in nodes):
        copy.opset_import.append(helper.make_opsetid(MS_DOMAIN, 1))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    read = {name for node in nodes for name in all_inputs(node)} | {end.name for end in copy.graph.output}
    for position in reversed(range(len(copy.graph.initializer))):
        if copy.graph.initializer[position].name in given_up - read:
            del copy.graph.initializer[position]
    return copy


def constant_weight(
    node: onnx.NodeProto, constants: Mapping[str, TensorProto], operators: frozenset[str]
) -> TensorProto | str:
    """Return the constant float weight of a node of one of some operators, or why it has none."""
    kinds = " or ".join(sorted(operators))
    if node.op_type not in operators or node.domain not in ("", "ai.onnx"):
        return f"{node.op_type} is no {kinds}"
    weight = constants.get(node.input[WEIGHT])
    if weight is None or weight.data_type != TensorProto.FLOAT:
        return f"{node.op_type} has no constant float weight as second input"
    return weight


def attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    """Return a number among a node's attributes."""
    found = next((a for a in node.attribute if a.name == name), None)
    if found is None:
        return default
    return float(found.f if found.type == onnx.AttributeProto.FLOAT else found.i)


def product_obstacle(node: onnx.NodeProto, constants: Mapping[str, TensorProto]) -> str:
    """Return why a node is no plain product with a constant matrix, and a bias per column; empty if it is."""
    weight = constant_weight(node, constants, PRODUCTS)
    if isinstance(weight, str):
        return weight
    if len(weight.dims) != MATRIX:
        return f"{node.op_type} has a weight of {len(weight.dims)} dimensions, not a matrix"
    if node.op_type != "Gemm":
        return ""
    if attribute(node, "transA", 0) or attribute(node, "alpha", 1) != 1 or attribute(node, "beta", 1) != 1:
        return "Gemm has factors or transposes what it reads"
    if len(node.input) > BIAS and node.input[BIAS]:
        bias, columns = constants.get(node.input[BIAS]), weight.dims[0 if is_transposed(node) else 1]
        if bias is None or list(bias.dims) != [columns]:
            return "Gemm has a bias that is no constant per column"
    return ""


def is_transposed(node: onnx.NodeProto) -> bool:
    """Return whether the weight of a MatMul or Gemm has its outputs along the first axis."""
    return bool(attribute(node, "transB", 0))
