"""PROBLEM.json -> placement problem: names become indices, bytes become seconds on links."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import BinaryIO

from planner.errors import ProblemError
from planner.problem.device_visits import with_visits
from planner.problem.devices import Device, Link
from planner.problem.link_routes import Hop, Routes
from planner.problem.placement_problem import PlacementProblem
from planner.problem.quantities import CostMetric, Limit, ObjectiveTerm, Quantity
from planner.problem.several_models import JointProblem, ModelPart, join_models
from planner.problem.tensors import FLOAT, Flow, Format, WireForm
from planner.problem.units import Option, Vertex
from planner.problem_io.cross_references import OF_DEVICES, crosscheck
from planner.problem_io.schema import (
    FLOAT_NAME,
    LimitSpec,
    PerDevice,
    ProblemSpec,
    TensorSpec,
    TermSpec,
    check_problem,
)
from planner.scenario.file_kind import SCENARIO_SUFFIXES
from planner.scenario.validation_messages import Fault
from planner.solver.solver_options import SolverOptions
from profiling.input_files import read_input, too_large

_UNITS = re.compile(rb"^units\s*:", re.MULTILINE)
STANDARD_INPUT = Path("-")
"""What stands for the standard input where a command takes PROBLEM.json."""

_MOST_BYTES = 16 * 2**20  # holds 10,000 units with some options each


def load_problem(path: Path) -> tuple[PlacementProblem, SolverOptions]:
    """Read PROBLEM.json as one problem, whatever the number of its models.

    Raises
    ------
    ProblemError
        As `load_spec`.
    """
    spec = load_spec(path)
    return (joint_problem_of(spec).problem if spec.models else problem_of(spec)), solver_options(spec)


def solver_options(spec: ProblemSpec) -> SolverOptions:
    """Return how a specification wants to be solved."""
    return SolverOptions(spec.solver.name, spec.solver.time_limit_s, spec.solver.gap)


def load_spec(path: Path) -> ProblemSpec:
    """Read PROBLEM.json and check it.

    Raises
    ------
    ProblemError
        With one line per fault: file, key and what would be right.
    """
    try:
        text = read_input(path, _MOST_BYTES)
    except OSError as exc:
        raise ProblemError(f"{path}: {exc.strerror}") from exc
    suffix = path.suffix.lower()
    if suffix in SCENARIO_SUFFIXES and _UNITS.search(text):
        raise ProblemError(f"{path} is YAML: a table of costs is JSON, with the same keys; convert it")
    if suffix in SCENARIO_SUFFIXES:
        raise ProblemError(f"{path} is a scenario, not a table of costs: give PROBLEM.json, or `plan {path}`")
    if suffix == ".csv":
        raise ProblemError(
            f"{path} is a CSV table: give PROBLEM.json (`plan schema --problem`); a table of a device's "
            "seconds is a `profile` in a scenario"
        )
    return parse_spec(text, str(path))


def read_spec(stream: BinaryIO) -> ProblemSpec:
    """Read PROBLEM.json from the standard input, to its end, and check it.

    Raises
    ------
    ProblemError
        As `load_spec`; also if the stream is a terminal, which has no end of its own.
    """
    name = "standard input"
    if stream.isatty():
        raise ProblemError(f"{name} is a terminal: give PROBLEM.json, or pipe its text into `plan solve -`")
    text = stream.read(_MOST_BYTES + 1)
    if len(text) > _MOST_BYTES:
        raise ProblemError(f"{name} {too_large(STANDARD_INPUT, _MOST_BYTES).strerror}")
    if not text.strip():
        raise ProblemError(f"{name} is empty: pipe the text of PROBLEM.json into `plan solve -`")
    return parse_spec(text, name)


def parse_spec(text: bytes, name: str) -> ProblemSpec:
    """Return the problem that JSON text as of PROBLEM.json describes.

    Parameters
    ----------
    name
        Of the file, or of what is none, for messages.

    Raises
    ------
    ProblemError
        With one line per fault: name, key and what would be right.
    """
    spec, faults = check_problem(text.removeprefix(BOM_UTF8))  # some editors write it
    if spec is not None:
        faults = tuple(crosscheck(spec))
    if spec is None or faults:
        values = _values(text)
        raise ProblemError(*(_line(name, fault, values) for fault in faults))
    return spec


def _values(text: bytes) -> object:
    """Return what a text that is no right problem holds, to tell faults by name."""
    try:
        return json.loads(text.removeprefix(BOM_UTF8))
    except (ValueError, RecursionError):
        return None


def joint_problem_of(spec: ProblemSpec) -> JointProblem:
    """Return the problem of several models that a specification without faults describes.

    Vertices are the units and ends of the first model, then of the next.
    """
    shares = dict(zip((model.name for model in spec.models), spec.shares, strict=True))
    parts = [ModelPart(name, share, problem_of(_alone(spec, name))) for name, share in shares.items()]
    limits = [Limit(_quantity(x, spec), x.at_most * shares.get(x.model or "", 1.0)) for x in spec.limits]
    if spec.requests_per_s is not None:
        limits.append(Limit(Quantity(CostMetric.PERIOD), 1 / spec.requests_per_s))
    terms = [
        ObjectiveTerm(_quantity(x, spec), x.weight / shares.get(x.model or "", 1.0)) for x in spec.objective
    ]
    joint = join_models(parts, limits, terms)
    vertices = {
        part.name: v
        for v, part in enumerate(
            [x for name in shares for row in (spec.units, spec.ends) for x in row if x.model == name]
        )
    }
    grouped = replace(
        joint.problem,
        together=tuple(tuple(vertices[name] for name in group) for group in spec.together),
        apart=tuple((vertices[a], vertices[b]) for a, b in spec.apart),
    )
    return replace(joint, problem=grouped)


def _alone(spec: ProblemSpec, model: str) -> ProblemSpec:
    """Return one model's part of a specification, without limits and groups."""
    units = tuple(unit for unit in spec.units if unit.model == model)
    ends = tuple(end for end in spec.ends if end.model == model)
    names = {unit.name for unit in units} | {end.name for end in ends}
    alone: dict[str, object] = {
        "units": units,
        "ends": ends,
        "tensors": tuple(tensor for tensor in spec.tensors if tensor.source in names),
        "limits": (),
        "objective": (TermSpec(measure=CostMetric.LATENCY),),
        "together": (),
        "apart": (),
        "models": (),
    }
    return spec.model_copy(update=alone)


def problem_of(spec: ProblemSpec) -> PlacementProblem:
    """Return the problem that a specification without faults describes.

    Vertices are its units, then its ends; further visits become devices.
    """
    devices = [device.name for device in spec.devices]
    formats = [FLOAT_NAME, *(quantized_format.name for quantized_format in spec.formats)]
    vertices = {unit.name: v for v, unit in enumerate(spec.units)}
    # Ends come after the units, as vertices do.
    vertices |= {end.name: len(spec.units) + e for e, end in enumerate(spec.ends)}
    # A link without a bandwidth takes no time per byte.
    routes = Routes(Hop(x.source, x.target, x.message_s, x.bytes_per_s or inf) for x in spec.links)
    units = (
        Vertex(
            unit.name,
            tuple(
                Option(
                    devices.index(o.device),
                    formats.index(spec.precisions[o.precision]),
                    o.seconds,
                    o.noise_power,
                    o.weight_bytes,
                    o.activation_bytes,
                    o.precision,
                    o.joules,
                )
                for o in unit.options
            ),
        )
        for unit in spec.units
    )
    ends = (Vertex(end.name, (Option(devices.index(end.device)),), is_terminal=True) for end in spec.ends)
    problem = PlacementProblem(
        devices=tuple(
            Device(
                d.name,
                d.start_s,
                d.active_w,
                d.idle_w,
                d.price_per_s,
                d.transfers_block,
                d.visits is not None,
            )
            for d in spec.devices
        ),
        vertices=(*units, *ends),
        flows=tuple(_flow(tensor, spec, devices, formats, vertices, routes) for tensor in spec.tensors),
        links=tuple(
            Link(x.label, devices.index(x.source), devices.index(x.target), x.price_per_byte)
            for x in spec.links
        ),
        formats=(
            Format(FLOAT_NAME),
            *(
                Format(x.name, tuple(map(formats.index, {x.name: 0, **dict.fromkeys(x.suits)})))
                for x in spec.formats
            ),
        ),
        limits=tuple(Limit(_quantity(x, spec), x.at_most) for x in spec.limits),
        objective=tuple(ObjectiveTerm(_quantity(x, spec), x.weight) for x in spec.objective),
        together=tuple(tuple(vertices[name] for name in group) for group in spec.together),
        apart=tuple((vertices[a], vertices[b]) for a, b in spec.apart),
    )
    return with_visits(problem, [d.visits or 1 for d in spec.devices])


def _flow(
    tensor: TensorSpec,
    spec: ProblemSpec,
    devices: list[str],
    formats: list[str],
    vertices: dict[str, int],
    routes: Routes,
) -> Flow:
    def row(seconds: PerDevice) -> tuple[float, ...]:
        return tuple(seconds.get(device, 0.0) for device in devices)

    def form(name: str, tensor_format: int, size: float) -> WireForm:
        form_of_tensor = _form(name, tensor_format, size, spec, devices, routes)
        return form_of_tensor.without_links() if tensor.private else form_of_tensor

    quantizers = tuple(vertices[name] for name in tensor.quantized_by)
    in_format = [tensor.formats.get(name) for name in formats[1:]] if quantizers else []
    count = 1 + len(in_format)
    zero = (0.0,) * len(devices)
    forms = [form(FLOAT_NAME, FLOAT, tensor.bytes)]
    noise, quantize, dequantize = [0.0] * count, [zero] * count, [zero] * count
    for f, quantized in enumerate(in_format, start=1):
        # A format that the table does not price costs nothing, and has the size of float.
        forms.append(form(formats[f], f, tensor.bytes if quantized is None else quantized.bytes))
        if quantized is not None:
            noise[f] = quantized.noise_power
            quantize[f], dequantize[f] = row(quantized.quantize_s), row(quantized.dequantize_s)
    for wire in tensor.wires:
        plain = form(wire.name, FLOAT, wire.bytes)
        encode, decode = row(wire.encode_s), row(wire.decode_s)
        forms.append(replace(plain, encode_s=encode, decode_s=decode, noise_power=wire.noise_power))
    return Flow(
        tensor.name,
        vertices[tensor.source],
        tuple(dict.fromkeys(vertices[name] for name in tensor.targets)),
        tuple(forms),
        quantizers,
        tuple(noise),
        tuple(quantize),
        tuple(dequantize),
        converts_at_consumer=tensor.as_it_arose,
        inherits=tensor.inherits,
        leave_s=(row(tensor.leave_s),) * count if tensor.leave_s else (),
        enter_s=(row(tensor.enter_s),) * count if tensor.enter_s else (),
    )


def _form(
    name: str, tensor_format: int, size: float, spec: ProblemSpec, devices: list[str], routes: Routes
) -> WireForm:
    def links_between(a: str, b: str) -> tuple[int, ...] | None:
        route = routes.route(a, b, size)
        return None if route.seconds == inf else route.links

    joules = tuple(
        (
            x.send_j_per_message + x.send_j_per_byte * size,
            x.receive_j_per_message + x.receive_j_per_byte * size,
        )
        for x in spec.links
    )
    return WireForm(
        name,
        tensor_format,
        size,
        tuple(hop.seconds(size) for hop in routes.hops),
        tuple(tuple(links_between(a, b) for b in devices) for a in devices),
        joules if any(any(pair) for pair in joules) else (),
    )


def _quantity(spec: LimitSpec | TermSpec, problem: ProblemSpec) -> Quantity:
    names = [model.name for model in problem.models]
    model = None if spec.model is None else names.index(spec.model)
    if spec.of is None:
        return Quantity(spec.measure, model=model)
    if spec.measure in OF_DEVICES:
        return Quantity(spec.measure, [device.name for device in problem.devices].index(spec.of))
    return Quantity(spec.measure, [link.label for link in problem.links].index(spec.of))


def _line(name: str, fault: Fault, values: object) -> str:
    key = ".".join(map(str, fault.key_path))
    called = _name_at(fault.key_path, values)
    of = f" ({str(fault.key_path[0])[:-1]} {called!r})" if called and repr(called) not in fault.text else ""
    return f"{name}: {key} {fault.text}{of}" if key else f"{name}: {fault.text}"


def _name_at(key_path: Sequence[str | int], values: object) -> str:
    """Return the name of the part of a list in which a fault is; "" where it has none, or is the fault."""
    match key_path:
        case [str(key), int(number), *rest] if isinstance(values, dict) and rest != ["name"]:
            parts = values.get(key)
        case _:
            return ""
    part = parts[number] if isinstance(parts, list) and number < len(parts) else None
    called = part.get("name") if isinstance(part, dict) else None
    return called if isinstance(called, str) else ""
