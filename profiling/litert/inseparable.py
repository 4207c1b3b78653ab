"""Operators that stages must not part: they share what is no array, or keep something between requests."""

from collections import defaultdict
from collections.abc import Collection

from profiling.litert.load import LitertModel
from profiling.litert.table_access import op_type, reached_operators, tensors_of

_STATEFUL = ("ASSIGN_VARIABLE", "CALL_ONCE", "HASHTABLE", "READ_VARIABLE", "VAR_HANDLE")


def inseparable(model: LitertModel, shared: Collection[int] = ()) -> list[list[int]]:
    """Return groups of operators, each to be in one stage.

    Parameters
    ----------
    shared
        Operators of which every stage has its own.
    """
    numbers = [number for number in range(len(model.operators)) if number not in shared]
    touching: dict[int, list[int]] = defaultdict(list)
    for number in numbers:
        operator = model.operators[number]
        for tensor in dict.fromkeys((*tensors_of(operator.inputs), *tensors_of(operator.outputs))):
            is_array = model.element_type(tensor).can_be_handed_over
            if not model.is_constant(tensor) and (model.is_variable(tensor) or not is_array):
                touching[tensor].append(number)
    # Variables are found by name, also in nested graphs: all that knows of them stays together.
    groups = [*touching.values(), [number for number in numbers if is_stateful(model, number)]]
    return [group for group in groups if len(group) > 1]


def is_stateful(model: LitertModel, number: int) -> bool:
    """Whether an operator, or a graph that it runs, keeps something from one request to the next."""
    codes = model.tables.operatorCodes
    reached = reached_operators(model.tables, [model.operators[number]])
    return any(op_type(codes[operator.opcodeIndex]).startswith(_STATEFUL) for operator in reached)
