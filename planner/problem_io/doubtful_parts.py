"""Parts of PROBLEM.json that are right by themselves, but seldom what was meant."""

from collections.abc import Iterator, Sequence

import networkx as nx

from planner.formatting import names_text
from planner.problem_io.schema import FLOAT_NAME, ProblemSpec

_MOST_NAMES = 5  # in a sentence


def doubtful_parts(spec: ProblemSpec) -> Iterator[str]:
    """Yield a sentence per doubt: units that no tensor joins to others, and formats without effect."""
    if spec.tensors:
        yield from _unjoined_units(spec)
    yield from _idle_formats(spec)


def _unjoined_units(spec: ProblemSpec) -> Iterator[str]:
    """Yield units without a tensor to read or to write, where inputs arise and outputs are due at ends."""
    readers = {name for tensor in spec.tensors for name in tensor.targets}
    writers = {tensor.source for tensor in spec.tensors}
    ends = {end.name for end in spec.ends}
    units = [unit.name for unit in spec.units]
    if writers & ends:
        yield from _units_that("reads", "read", [name for name in units if name not in readers])
    if readers & ends:
        yield from _units_that("writes", "write", [name for name in units if name not in writers])
    for end in spec.ends:
        if end.name not in readers | writers:
            yield f"end {end.name!r} neither reads nor writes a tensor"
    if not spec.ends:
        yield from _parts_apart(spec)


def _units_that(one: str, several: str, names: Sequence[str]) -> Iterator[str]:
    if len(names) == 1:
        yield f"unit {names[0]!r} {one} no tensor"
    elif names:
        yield f"units {_shown(names)} {several} no tensor"


def _parts_apart(spec: ProblemSpec) -> Iterator[str]:
    """Yield units of one model that no path of tensors joins."""
    flow: nx.Graph = nx.Graph()
    flow.add_nodes_from(unit.name for unit in spec.units)
    flow.add_edges_from((tensor.source, name) for tensor in spec.tensors for name in tensor.targets)
    model_of = {unit.name: unit.model for unit in spec.units}
    places = {unit.name: number for number, unit in enumerate(spec.units)}
    begins = [min(part, key=places.__getitem__) for part in nx.connected_components(flow)]
    for model in dict.fromkeys(model_of.values()):
        firsts = [name for name in begins if model_of[name] == model]
        if len(firsts) > 1:
            yield f"no tensor leads from one to another of the parts that begin with units {_shown(firsts)}"


def _idle_formats(spec: ProblemSpec) -> Iterator[str]:
    """Yield tensors of which only one of the two keys is there that make them cross links quantized."""
    of_unit = {unit.name: {spec.precisions[o.precision] for o in unit.options} for unit in spec.units}
    for tensor in spec.tensors:
        formats = set().union(*(of_unit[name] for name in tensor.quantized_by)) - {FLOAT_NAME}
        if formats and not tensor.formats:
            name = min(formats)
            yield (
                f"tensor {tensor.name!r} has quantized_by but no formats, so it crosses links in its bytes "
                f'as float: give formats, such as {{"{name}": {{"bytes": {tensor.bytes / 4:g}}}}}'
            )
        elif tensor.formats and not tensor.quantized_by:
            yield f"tensor {tensor.name!r} has formats but no quantized_by, so none of them is used"


def _shown(names: Sequence[str]) -> str:
    return names_text(list(map(repr, names)), _MOST_NAMES)
