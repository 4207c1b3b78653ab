"""A device's own seconds of units, from a CSV table, as its profile."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import permutations, product

from planner.formatting import names_text
from profiling.errors import ProfileError
from profiling.graph.operator_graph import OperatorGraph
from profiling.on_device.measurement_order import DECODE, ENCODE
from profiling.precision import Precision, Wire
from profiling.records.profile import LatencyProfile, SwitchCost, UnitCost, WireCost

_MOST_NAMES = 5  # in a message


def profile_of_table(
    name: str, rows: Sequence[UnitCost], graph: OperatorGraph, precisions: Sequence[Precision]
) -> LatencyProfile:
    """Return a profile with a table's seconds, in which everything else costs nothing.

    Precision switches, the beginnings and ends of stages and the coding of tensors for links are not in a
    table: what they take belongs to the seconds of the units.

    Parameters
    ----------
    name
        What messages call the table: its file.
    precisions
        Those that the device may use.

    Raises
    ------
    ProfileError
        If a row is no unit of the model, or one that is needed is missing.
    """
    _check_units(name, rows, graph, precisions)
    floats = [tensor for tensor in graph.boundary_tensors() if graph.tensors[tensor].is_float]
    known = dict.fromkeys((Precision.FP32, *(row.precision for row in rows)))
    seconds = {(row.unit, row.precision): row.seconds for row in rows}
    whole = {
        precision: sum(
            seconds.get((unit.name, precision), seconds[unit.name, Precision.FP32]) for unit in graph.units
        )
        for precision in known
    }
    return LatencyProfile(
        model_sha256=graph.model_sha256,
        runtime_version="",
        scheme="",
        overflows=False,
        processor="",
        threads=1,
        provider="",
        samples=1,
        runs_s={precision: (total,) for precision, total in whole.items()},
        spread=0.0,
        noisy=False,
        wall_s=whole,
        unattributed_s=dict.fromkeys(whole, 0.0),
        profiled_s=whole,
        units=tuple(rows),
        switches=tuple(
            SwitchCost(tensor, source, to, 0.0, measured=False)
            for tensor, (source, to) in product(floats, permutations(Precision, 2))
        ),
        start_s=0.0,
        seams=(),
        wires=tuple(WireCost(wire, side, 0.0, 0.0) for wire, side in product(Wire, (ENCODE, DECODE))),
    )


def _check_units(
    name: str, rows: Sequence[UnitCost], graph: OperatorGraph, precisions: Sequence[Precision]
) -> None:
    units = {unit.name: unit for unit in graph.units}
    for row in rows:
        if row.unit not in units:
            near = get_close_matches(row.unit, units, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"it has {_shown(list(units))}"
            raise ProfileError(f"{name}: the model has no unit {row.unit!r}; {meant}")
    pairs = {(row.unit, row.precision) for row in rows}
    missing = [unit for unit in units if (unit, Precision.FP32) not in pairs]
    if missing:
        raise ProfileError(f"{name}: lacks the seconds in fp32 of {_shown(missing)}")
    for precision in precisions:
        missing = [u for u, unit in units.items() if unit.can_be(precision) and (u, precision) not in pairs]
        if missing:
            raise ProfileError(
                f"{name}: lacks the seconds in {precision} of {_shown(missing)}; or leave {precision} out of "
                "the device's precisions"
            )


def _shown(names: Sequence[str]) -> str:
    return names_text(list(map(repr, names)), _MOST_NAMES)
