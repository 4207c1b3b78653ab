"""Why a file is not run, read from its tables: LiteRT would fail in many words, or abort the process."""

from collections.abc import Iterable

from profiling.litert.load import LitertModel
from profiling.litert.table_access import listed, needs_flex, op_type, reached_operators, tensors_of

_VARIABLES = frozenset({"ASSIGN_VARIABLE", "READ_VARIABLE", "VAR_HANDLE"})
_UNPACKING = "DENSIFY"
_MOST_NAMED = 5  # operators


def why_not_run(model: LitertModel) -> str:
    """Return why a model cannot be run or planned, in words that follow its name; empty if it can."""
    codes = model.tables.operatorCodes
    reached = list(reached_operators(model.tables, model.operators))
    kinds = [op_type(codes[operator.opcodeIndex]) for operator in reached]
    if flex := {kind for kind in kinds if needs_flex(kind)}:
        return flex_wanted(flex)
    if variables := _VARIABLES.intersection(kinds):
        return (
            f"has variables ({_named(variables)}), and no plan keeps a state from one request to the next: "
            "convert it with its weights as constants and its state as inputs and outputs"
        )
    if sparse := _reading_sparse(model):
        return (
            f"has sparse weights that {_named(sparse)} reads as they are, which gives wrong numbers as a "
            "rule: convert it so that DENSIFY unpacks them, or without sparsity"
        )
    stateful = {
        kind
        for operator, kind in zip(model.operators, model.op_types, strict=True)
        if any(map(model.is_variable, tensors_of(operator.inputs)))
    }
    if stateful:
        return (
            f"keeps a state inside operators ({_named(stateful)}), and no plan keeps one from one request to "
            "the next: convert it with its loops unrolled, or its state as inputs and outputs"
        )
    return ""


def _reading_sparse(model: LitertModel) -> set[str]:
    """Return types of operators that read sparse tensors, other than the one that unpacks them."""
    kinds = [op_type(code) for code in model.tables.operatorCodes]
    return {
        kind
        for graph in model.tables.subgraphs
        for operator in listed(graph.operators)
        if (kind := kinds[operator.opcodeIndex]) != _UNPACKING
        and any(graph.tensors[tensor].sparsity is not None for tensor in tensors_of(operator.inputs))
    }


def flex_wanted(operators: Iterable[str]) -> str:
    """Return what a model needs that has operators of TensorFlow, in words that follow its name."""
    return (
        f"needs operators that are TensorFlow's own ({_named(operators)}), "
        "which LiteRT runs through its Flex delegate only"
    )


def _named(kinds: Iterable[str]) -> str:
    return ", ".join(sorted(set(kinds))[:_MOST_NAMED])
