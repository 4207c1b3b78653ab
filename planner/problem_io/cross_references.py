"""Whether the names that PROBLEM.json mentions exist, and whether its keys go together."""

from collections.abc import Collection, Iterator
from itertools import chain

import networkx as nx

from planner.problem.quantities import CostMetric
from planner.problem_io.schema import FLOAT_NAME, LimitSpec, ProblemSpec, TensorSpec, TermSpec
from planner.scenario.validation_messages import Fault

Place = tuple[str | int, ...]
Mention = tuple[Place, str, str]  # where, which name, of what
OF_DEVICES = (CostMetric.ENERGY, CostMetric.MEMORY)


def crosscheck(spec: ProblemSpec) -> Iterator[Fault]:
    """Yield what is wrong between keys that are each right."""
    known = _names(spec)
    for key in ("devices", "links", "units", "ends", "tensors", "formats"):
        yield from _repeated(key, known[key])
    twice = [i for i, name in enumerate(known["ends"]) if name in known["units"]]
    yield from (Fault(("ends", i, "name"), "is the name of a unit, too") for i in twice)
    for place, name, kind in chain(_parts(spec), _units(spec), _tensors(spec), _quantities(spec)):
        if name not in known[kind]:
            yield Fault(place, f"names no {_SINGULAR[kind]}: {name!r}")
    for i, tensor in enumerate(spec.tensors):
        yield from _tensor_faults(i, tensor)
    for place, row in _rows(spec):
        yield from _quantity_faults(place, row, spec)
    yield from _cycles(spec)


def _cycles(spec: ProblemSpec) -> Iterator[Fault]:
    """Yield the fault of tensors that lead back to the unit that they come from."""
    units = {unit.name for unit in spec.units}
    flow: nx.DiGraph = nx.DiGraph()
    for tensor in spec.tensors:
        flow.add_edges_from((tensor.source, name) for name in tensor.targets if tensor.source != name)
    inside = flow.subgraph(units)
    if not nx.is_directed_acyclic_graph(inside):
        way = [source for source, _ in nx.find_cycle(inside)]
        yield Fault(("tensors",), f"run in a circle: {' > '.join([*way, way[0]])}")


_SINGULAR = {
    "devices": "device",
    "links": "link",
    "units": "unit",
    "places": "unit or end",
    "formats": "quantized format",
    "all formats": "format",
    "precisions": "precision",
}


def _names(spec: ProblemSpec) -> dict[str, Collection[str]]:
    units, ends = [unit.name for unit in spec.units], [end.name for end in spec.ends]
    formats = [known.name for known in spec.formats]
    return {
        "devices": [device.name for device in spec.devices],
        "links": [link.label for link in spec.links],
        "units": units,
        "ends": ends,
        "places": {*units, *ends},
        "tensors": [tensor.name for tensor in spec.tensors],
        "formats": formats,
        "all formats": [FLOAT_NAME, *formats],
        "precisions": list(spec.precisions),
    }


def _parts(spec: ProblemSpec) -> Iterator[Mention]:
    for i, link in enumerate(spec.links):
        yield ("links", i, "from"), link.source, "devices"
        yield ("links", i, "to"), link.target, "devices"
    for i, end in enumerate(spec.ends):
        yield ("ends", i, "device"), end.device, "devices"
    for precision, name in spec.precisions.items():
        yield ("precisions", precision), name, "all formats"
    for i, known in enumerate(spec.formats):
        yield from ((("formats", i, "suits"), name, "formats") for name in known.suits)


def _units(spec: ProblemSpec) -> Iterator[Mention]:
    for i, unit in enumerate(spec.units):
        for o, option in enumerate(unit.options):
            yield ("units", i, "options", o, "device"), option.device, "devices"
            yield ("units", i, "options", o, "precision"), option.precision, "precisions"
    for key in ("together", "apart"):
        for i, group in enumerate(getattr(spec, key)):
            yield from (((key, i), name, "units") for name in group)


def _tensors(spec: ProblemSpec) -> Iterator[Mention]:
    for i, tensor in enumerate(spec.tensors):
        at = ("tensors", i)
        yield (*at, "from"), tensor.source, "places"
        yield from (((*at, "to"), name, "places") for name in tensor.targets)
        yield from (((*at, "quantized_by"), name, "units") for name in tensor.quantized_by)
        yield from (((*at, "formats"), name, "formats") for name in tensor.formats)
        for place, devices in _per_device(tensor):
            yield from (((*at, *place), device, "devices") for device in devices)


def _per_device(tensor: TensorSpec) -> Iterator[tuple[Place, Collection[str]]]:
    """Yield (place, devices) of every table of seconds."""
    yield ("leave_s",), tensor.leave_s
    yield ("enter_s",), tensor.enter_s
    for name, known in tensor.formats.items():
        yield ("formats", name, "quantize_s"), known.quantize_s
        yield ("formats", name, "dequantize_s"), known.dequantize_s
    for w, wire in enumerate(tensor.wires):
        yield ("wires", w, "encode_s"), wire.encode_s
        yield ("wires", w, "decode_s"), wire.decode_s


def _rows(spec: ProblemSpec) -> Iterator[tuple[Place, LimitSpec | TermSpec]]:
    yield from ((("limits", i), row) for i, row in enumerate(spec.limits))
    yield from ((("objective", i), row) for i, row in enumerate(spec.objective))


def _quantities(spec: ProblemSpec) -> Iterator[Mention]:
    for place, row in _rows(spec):
        if row.of is not None and row.measure in OF_DEVICES:
            yield (*place, "of"), row.of, "devices"
        elif row.of is not None and row.measure is CostMetric.TRAFFIC:
            yield (*place, "of"), row.of, "links"


def _tensor_faults(i: int, tensor: TensorSpec) -> Iterator[Fault]:
    for name in tensor.quantized_by:
        if name not in (tensor.source, *tensor.targets):
            yield Fault(("tensors", i, "quantized_by"), f"{name!r} neither writes nor reads it")
    if tensor.inherits and tensor.source not in tensor.quantized_by:
        yield Fault(("tensors", i, "inherits"), "needs the unit that writes it in quantized_by")
    if tensor.source in tensor.targets:
        yield Fault(("tensors", i, "to"), f"{tensor.source!r} would read what it writes itself")


def _quantity_faults(place: Place, row: LimitSpec | TermSpec, spec: ProblemSpec) -> Iterator[Fault]:
    if row.of is not None and row.measure not in (*OF_DEVICES, CostMetric.TRAFFIC):
        yield Fault((*place, "of"), f"{row.measure.value} is of the whole plan, not of a part")
    if row.measure is CostMetric.MEMORY and row.of is None and isinstance(row, LimitSpec):
        yield Fault((*place, "of"), "is required: memory is a device's")
    if row.measure is CostMetric.MAKESPAN and any(device.visits is None for device in spec.devices):
        yield Fault((*place, "measure"), "needs a number of visits for every device")


def _repeated(key: str, names: Collection[str]) -> Iterator[Fault]:
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            yield Fault((key, i, "name"), f"the name {name!r} is already taken")
        seen.add(name)
