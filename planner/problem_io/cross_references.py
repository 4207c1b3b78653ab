"""Checks between the keys of PROBLEM.json: whether mentioned names exist, and which keys exclude others."""

from collections.abc import Collection, Iterator
from itertools import chain

import networkx as nx

from planner.problem.quantities import CostMetric, Quantity
from planner.problem_io.schema import FLOAT_NAME, LimitSpec, ProblemSpec, TensorSpec, TermSpec
from planner.scenario.validation_messages import Fault

KeyPath = tuple[str | int, ...]
Mention = tuple[KeyPath, str, str]  # where, which name, of what
OF_DEVICES = (CostMetric.ENERGY, CostMetric.MEMORY)


def crosscheck(spec: ProblemSpec) -> Iterator[Fault]:
    """Yield what is wrong between keys that are each right."""
    names_by_kind = _names_by_kind(spec)
    for key in ("devices", "links", "units", "ends", "tensors", "formats", "models"):
        yield from _repeated(key, names_by_kind[key])
    doubly_named = [i for i, name in enumerate(names_by_kind["ends"]) if name in names_by_kind["units"]]
    yield from (Fault(("ends", i, "name"), "is the name of a unit, too") for i in doubly_named)
    for key_path, name, kind in chain(
        _names_in_parts(spec),
        _names_in_units(spec),
        _names_in_tensors(spec),
        _names_in_quantities(spec),
        _names_of_models(spec),
    ):
        if name not in names_by_kind[kind]:
            yield Fault(key_path, f"names no {_SINGULAR[kind]}: {name!r}")
    yield from _fixed_names(spec)
    for i, tensor in enumerate(spec.tensors):
        yield from _tensor_faults(i, tensor)
        yield from _wire_faults(i, tensor, names_by_kind["all formats"])
    for key_path, row in _limits_and_terms(spec):
        yield from _quantity_faults(key_path, row, spec)
    yield from _cycles(spec)
    yield from _model_faults(spec)


def _model_faults(spec: ProblemSpec) -> Iterator[Fault]:
    """Yield what belongs to no model, models that own nothing, and rates that go together ill."""
    rated = [model.requests_per_s is not None for model in spec.models]
    if any(rated) and not all(rated):
        yield Fault(
            ("models", rated.index(False), "requests_per_s"), "is required, since other models have one"
        )
    for key in ("units", "ends"):
        for i, part in enumerate(getattr(spec, key)):
            if spec.models and part.model is None:
                yield Fault((key, i, "model"), "is required, since there are several: which of `models`")
    with_units = {unit.model for unit in spec.units}
    for i, model in enumerate(spec.models):
        # Its requests would count in every mean, and cost nothing.
        if model.name not in with_units:
            yield Fault(("models", i), f"no unit is of model {model.name!r}")
    yield from _tensors_of_two_models(spec)


def _tensors_of_two_models(spec: ProblemSpec) -> Iterator[Fault]:
    """Yield tensors between parts of different models; of parts without a model other faults tell."""
    of = {unit.name: unit.model for unit in spec.units} | {end.name: end.model for end in spec.ends}
    models = {model.name for model in spec.models}
    for i, tensor in enumerate(spec.tensors):
        if len({of.get(name) for name in (tensor.source, *tensor.targets)} & models) > 1:
            yield Fault(
                ("tensors", i, "to"), f"leads from a part of model {of.get(tensor.source)!r} to another's"
            )


def _cycles(spec: ProblemSpec) -> Iterator[Fault]:
    """Yield the fault of tensors that lead back to the unit that they come from."""
    units = {unit.name for unit in spec.units}
    flow: nx.DiGraph = nx.DiGraph()
    for tensor in spec.tensors:
        flow.add_edges_from((tensor.source, name) for name in tensor.targets if tensor.source != name)
    between_units = flow.subgraph(units)
    if not nx.is_directed_acyclic_graph(between_units):
        cycle = [source for source, _ in nx.find_cycle(between_units)]
        yield Fault(("tensors",), f"run in a circle: {' > '.join([*cycle, cycle[0]])}")


_SINGULAR = {
    "models": "model",
    "devices": "device",
    "links": "link",
    "units": "unit",
    "places": "unit or end",
    "formats": "quantized format",
    "all formats": "format",
    "precisions": "precision",
}


def _names_by_kind(spec: ProblemSpec) -> dict[str, Collection[str]]:
    units, ends = [unit.name for unit in spec.units], [end.name for end in spec.ends]
    formats = [quantized_format.name for quantized_format in spec.formats]
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
        "models": [model.name for model in spec.models],
    }


def _names_in_parts(spec: ProblemSpec) -> Iterator[Mention]:
    for i, link in enumerate(spec.links):
        yield ("links", i, "from"), link.source, "devices"
        yield ("links", i, "to"), link.target, "devices"
    for i, end in enumerate(spec.ends):
        yield ("ends", i, "device"), end.device, "devices"
    for precision, name in spec.precisions.items():
        yield ("precisions", precision), name, "all formats"
    for i, quantized_format in enumerate(spec.formats):
        yield from ((("formats", i, "suits"), name, "formats") for name in quantized_format.suits)


def _names_in_units(spec: ProblemSpec) -> Iterator[Mention]:
    for i, unit in enumerate(spec.units):
        for o, option in enumerate(unit.options):
            yield ("units", i, "options", o, "device"), option.device, "devices"
            yield ("units", i, "options", o, "precision"), option.precision, "precisions"
    for key in ("together", "apart"):
        for i, group in enumerate(getattr(spec, key)):
            yield from (((key, i), name, "units") for name in group)


def _names_in_tensors(spec: ProblemSpec) -> Iterator[Mention]:
    for i, tensor in enumerate(spec.tensors):
        tensor_path = ("tensors", i)
        yield (*tensor_path, "from"), tensor.source, "places"
        yield from (((*tensor_path, "to"), name, "places") for name in tensor.targets)
        yield from (((*tensor_path, "quantized_by"), name, "units") for name in tensor.quantized_by)
        yield from (((*tensor_path, "formats"), name, "formats") for name in tensor.formats)
        for key_path, devices in _per_device(tensor):
            yield from (((*tensor_path, *key_path), device, "devices") for device in devices)


def _per_device(tensor: TensorSpec) -> Iterator[tuple[KeyPath, Collection[str]]]:
    """Yield (place, devices) of every table of seconds."""
    yield ("leave_s",), tensor.leave_s
    yield ("enter_s",), tensor.enter_s
    for name, quantized in tensor.formats.items():
        yield ("formats", name, "quantize_s"), quantized.quantize_s
        yield ("formats", name, "dequantize_s"), quantized.dequantize_s
    for w, wire in enumerate(tensor.wires):
        yield ("wires", w, "encode_s"), wire.encode_s
        yield ("wires", w, "decode_s"), wire.decode_s


def _limits_and_terms(spec: ProblemSpec) -> Iterator[tuple[KeyPath, LimitSpec | TermSpec]]:
    yield from ((("limits", i), row) for i, row in enumerate(spec.limits))
    yield from ((("objective", i), row) for i, row in enumerate(spec.objective))


def _names_in_quantities(spec: ProblemSpec) -> Iterator[Mention]:
    for key_path, row in _limits_and_terms(spec):
        if row.of is not None and row.measure in OF_DEVICES:
            yield (*key_path, "of"), row.of, "devices"
        elif row.of is not None and row.measure is CostMetric.TRAFFIC:
            yield (*key_path, "of"), row.of, "links"


def _names_of_models(spec: ProblemSpec) -> Iterator[Mention]:
    for key in ("units", "ends", "limits", "objective"):
        for i, part in enumerate(getattr(spec, key)):
            if part.model is not None:
                yield (key, i, "model"), part.model, "models"


def _tensor_faults(i: int, tensor: TensorSpec) -> Iterator[Fault]:
    for name in tensor.quantized_by:
        if name not in (tensor.source, *tensor.targets):
            yield Fault(("tensors", i, "quantized_by"), f"{name!r} neither writes nor reads it")
    if tensor.inherits and tensor.source not in tensor.quantized_by:
        yield Fault(("tensors", i, "inherits"), "needs the unit that writes it in quantized_by")
    if tensor.source in tensor.targets:
        yield Fault(("tensors", i, "to"), f"{tensor.source!r} would read what it writes itself")


def _wire_faults(i: int, tensor: TensorSpec, formats: Collection[str]) -> Iterator[Fault]:
    """Yield the wires of a tensor that answers could not tell from other forms of it."""
    names = [wire.name for wire in tensor.wires]
    for w, name in enumerate(names):
        if name in formats or name in names[:w]:
            yield Fault(("tensors", i, "wires", w, "name"), f"the name {name!r} is already taken")


def _fixed_names(spec: ProblemSpec) -> Iterator[Fault]:
    """Yield a format with the name of the one that is always there, and units apart from themselves."""
    for i, quantized_format in enumerate(spec.formats):
        if quantized_format.name == FLOAT_NAME:
            yield Fault(("formats", i, "name"), f"{FLOAT_NAME!r} is the format that is always there")
    for i, (one, other) in enumerate(spec.apart):
        if one == other:
            yield Fault(("apart", i), f"{one!r} cannot be apart from itself")
    for i, link in enumerate(spec.links):
        if link.source == link.target:
            yield Fault(("links", i), f"joins device {link.source!r} to itself")
    if not any(term.weight for term in spec.objective):
        yield Fault(("objective",), "needs a weight above 0")


def _quantity_faults(key_path: KeyPath, row: LimitSpec | TermSpec, spec: ProblemSpec) -> Iterator[Fault]:
    if row.of is not None and row.measure not in (*OF_DEVICES, CostMetric.TRAFFIC):
        yield Fault((*key_path, "of"), f"{row.measure.value} is of the whole plan, not of a part")
    if row.model is not None and not Quantity(row.measure).is_of_models:
        yield Fault((*key_path, "model"), f"{row.measure.value} is of all models, not of one")
    if row.measure is CostMetric.MEMORY and row.of is None and isinstance(row, LimitSpec):
        yield Fault((*key_path, "of"), "is required: memory is a device's")
    if row.measure is CostMetric.MAKESPAN and any(d.visits is None and d.start_s > 0 for d in spec.devices):
        yield Fault((*key_path, "measure"), "needs a start_s of 0 where visits is null")


def _repeated(key: str, names: Collection[str]) -> Iterator[Fault]:
    earlier: set[str] = set()
    for i, name in enumerate(names):
        if name in earlier:
            yield Fault((key, i, "name"), f"the name {name!r} is already taken")
        earlier.add(name)
