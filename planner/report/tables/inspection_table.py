"""What a model is made of -> terminal tables."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.table import Table

from planner.formatting import MILLI, RUNTIME_TITLES, counted, short_name, size_text
from planner.report.tables.table_style import line, new_table
from profiling.inspection import Inspection, UnitFacts
from profiling.runtime_names import LITERT

_HEAVIEST = 10  # units that are shown
_NOT_TRIED = (
    "not tried out in int8, since the model does not run on made-up numbers: plan inspect SCENARIO.yaml "
    "takes the scenario's samples"
)
_NOT_RUN = "no mode was tried out, since the model does not run here on made-up numbers"


def inspection_table(inspection: Inspection) -> RenderableType:
    """Return what a model is made of as a person reads it."""
    runtimes = " and ".join(RUNTIME_TITLES[name] for name in inspection.runtime.split(" and "))
    made_for = f"opset {inspection.opset}" if inspection.opset else f"for {runtimes}"
    ends = new_table(f"{inspection.model}, {made_for}", ("", "name", "type", "shape"), ("size",))
    for heading, rows in (("input", inspection.inputs), ("output", inspection.outputs)):
        for end in rows:
            shape = " x ".join(map(str, end.shape)) or "scalar"
            ends.add_row(heading, end.name, end.dtype, shape, size_text(end.size_bytes))
    operators = ", ".join(f"{count} {op}" for op, count in inspection.operators.items())
    return Group(
        ends,
        line(f"operators: {operators}"),
        "",
        _units_table(inspection),
        *([] if inspection.tried_out else [line(_NOT_TRIED if inspection.opset else _NOT_RUN)]),
        *_modes_table(inspection),
        line(
            f"weights: {size_text(inspection.weight_bytes)}, with all that can be in int8 "
            f"{size_text(inspection.weight_bytes_int8)}"
        ),
        "",
        _heaviest_table(inspection),
    )


def _units_table(inspection: Inspection) -> Table:
    groups: dict[str, list[str]] = {}
    for unit in inspection.units:
        reason = "counts as int8, stays as it came" if unit.quantized else unit.obstacle
        groups.setdefault(reason or "can be quantized", []).append(unit.name)
    table = new_table(counted(len(inspection.units), "unit"), ("", "such as"), ("units",))
    for reason, names in sorted(groups.items(), key=lambda item: -len(item[1])):
        table.add_row(reason, short_name(names[0]), str(len(names)))
    return table


def _modes_table(inspection: Inspection) -> list[RenderableType]:
    """Return how many units can have each precision, and which cannot; nothing where none is known.

    Units that came quantized have the one that they came in.
    """
    units = [unit for unit in inspection.units if not unit.quantized]
    names = dict.fromkeys(name for unit in units for name in unit.modes)
    if not names:
        return []
    table = new_table("precisions besides fp32", ("precision", "not for"), ("units that can",))
    for name in names:
        refused = [unit for unit in units if unit.modes[name]]
        kinds = Counter(" ".join(unit.op_types) for unit in refused)
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        table.add_row(name, listed, str(len(units) - len(refused)))
    return ["", table]


def _heaviest_table(inspection: Inspection) -> Table:
    def weight(unit: UnitFacts) -> tuple[float, int]:
        return (unit.fp32_s or 0.0, unit.weight_bytes)

    several = f" in {RUNTIME_TITLES[LITERT]}" if " and " in inspection.runtime else ""
    how = "profiler included" if inspection.opset else f"in place{several}"
    table = new_table(
        f"heaviest units (time here, one thread, {how})",
        ("unit", "operators", "int8"),
        ("ms", "weights", "output"),
    )
    for unit in sorted(inspection.units, key=weight, reverse=True)[:_HEAVIEST]:
        table.add_row(
            short_name(unit.name),
            " ".join(unit.op_types),
            "already" if unit.quantized else "no" if unit.obstacle else "yes",
            "-" if unit.fp32_s is None else f"{unit.fp32_s * MILLI:.3f}",
            size_text(unit.weight_bytes),
            size_text(unit.output_bytes),
        )
    return table
