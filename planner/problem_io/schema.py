"""PROBLEM.json: a placement problem as people write it, by name; its types, checked whole."""

import json
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from planner.problem.quantities import CostMetric
from planner.scenario.field_types import Part
from planner.scenario.schema import SolverSpec
from planner.scenario.validation_messages import Fault, describe_faults

FLOAT_NAME = "float"  # the format that is always there
_MOST = 1e15  # as in PlacementProblem: sums of greater numbers lose the small ones
Cost = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]
PerDevice = dict[str, Cost]
_OF_MODEL = "Of one model's requests (latency, makespan, noise); default: the mean over all requests."


class ProblemDevice(Part):
    """A place to compute, or one that only forwards: then no unit has an option there."""

    name: Name = Field(description="Of the device.")
    start_s: Cost = Field(0.0, description="Of its stage, besides its units, once a request.")
    active_w: Cost = Field(0.0, description="Watts while it computes.")
    idle_w: Cost = Field(0.0, description="Watts during the rest of a request.")
    price_per_s: Cost = Field(0.0, description="Money per second of computing.")
    transfers_block: bool = Field(
        default=False,
        description="Whether transfers count in its load (period), and in its stages (makespan).",
    )
    visits: Annotated[int, Field(ge=1, le=8)] | None = Field(
        1,
        description="How many stages it may run per request; null: any number, its units in any order "
        "(makespan: at once).",
    )

    @model_validator(mode="after")
    def _watts(self) -> Self:
        if self.idle_w > self.active_w:
            raise ValueError("idle_w must not exceed active_w")
        return self


class ProblemLink(Part):
    """A one-way link. A message takes message_s + bytes / bytes_per_s."""

    source: Name = Field(alias="from", description="Device that sends.")
    target: Name = Field(alias="to", description="Device that receives.")
    name: Name | None = Field(None, description="Default: FROM-TO.")
    bytes_per_s: Rate | None = Field(None, description="Default: bytes take no time.")
    message_s: Cost = Field(0.0, description="Seconds per message.")
    send_j_per_byte: Cost = Field(0.0, description="Joules of the sender.")
    send_j_per_message: Cost = Field(0.0, description="Joules of the sender.")
    receive_j_per_byte: Cost = Field(0.0, description="Joules of the receiver.")
    receive_j_per_message: Cost = Field(0.0, description="Joules of the receiver.")
    price_per_byte: Cost = Field(0.0, description="Money.")

    @property
    def label(self) -> str:
        """The name, or one made of its ends."""
        return self.name or f"{self.source}-{self.target}"


class ModelRate(Part):
    """One of several models that are placed together, and how often it is asked."""

    name: Name = Field(description="Units, ends, limits and terms name it.")
    requests_per_s: Rate | None = Field(
        None,
        description="Of all models or none: then no device or link may be asked for more than it can do.",
    )
    weight: Rate | None = Field(None, description="Its requests beside the others'; default: 1.")

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if self.requests_per_s is not None and self.weight is not None:
            raise ValueError("give either requests_per_s or weight, not both")
        return self


class EndSpec(Part):
    """A fixed place where tensors arise or are due: a sensor, a screen."""

    name: Name = Field(description="Tensors name it.")
    device: Name = Field(description="Where it is.")
    model: Name | None = Field(None, description="One of `models`, where there are several.")


class OptionSpec(Part):
    """One way to run a unit."""

    device: Name = Field(description="Where the unit runs.")
    precision: Name = Field("fp32", description="One of `precisions`.")
    seconds: Cost = Field(description="Of the unit.")
    noise_power: Cost = Field(0.0, description="Of its weights.")
    weight_bytes: Cost = Field(0.0, description="At this precision.")
    activation_bytes: Cost = Field(0.0, description="Its inputs and outputs while it runs.")
    joules: Cost = Field(0.0, description="Beyond the device's watts.")


class UnitSpec(Part):
    """What is placed as a whole."""

    name: Name = Field(description="Tensors name it.")
    options: tuple[OptionSpec, ...] = Field(
        min_length=1, max_length=1024, description="One of them is chosen."
    )
    model: Name | None = Field(None, description="One of `models`, where there are several.")


class QuantizedSpec(Part):
    """A tensor in a quantized format."""

    bytes: Cost = Field(description="On a link and in memory.")
    noise_power: Cost = Field(0.0, description="Counted once, however many units quantize it.")
    quantize_s: PerDevice = Field(default_factory=dict, description="Device -> seconds from float.")
    dequantize_s: PerDevice = Field(default_factory=dict, description="Device -> seconds back to float.")


class WireSpec(Part):
    """Another form in which the float tensor may cross links."""

    name: Name = Field(description="Of the form.")
    bytes: Cost = Field(description="On a link.")
    noise_power: Cost = Field(0.0, description="Counted once.")
    encode_s: PerDevice = Field(default_factory=dict, description="Device -> seconds before sending.")
    decode_s: PerDevice = Field(default_factory=dict, description="Device -> seconds after receiving.")


class TensorSpec(Part):
    """What one unit or end writes and others read."""

    name: Name = Field(description="Of the tensor.")
    source: Name = Field(alias="from", description="Unit or end.")
    targets: tuple[Name, ...] = Field(alias="to", min_length=1, description="Units and ends.")
    bytes: Cost = Field(description="In float.")
    quantized_by: tuple[Name, ...] = Field((), description="Units that quantize it if they compute so.")
    formats: dict[str, QuantizedSpec] = Field(default_factory=dict, description="Format -> the tensor in it.")
    inherits: bool = Field(default=False, description="Its unit, quantized, hands on its input's scale.")
    wires: tuple[WireSpec, ...] = Field(
        (), description="Other forms in which the float tensor may cross links."
    )
    private: bool = Field(default=False, description="May not leave the device on which it arises.")
    as_it_arose: bool = Field(default=False, description="Crosses links as it arose; receivers quantize it.")
    leave_s: PerDevice = Field(
        default_factory=dict, description="Device -> seconds of a stage that ends here."
    )
    enter_s: PerDevice = Field(default_factory=dict, description="Device -> seconds of one that begins here.")


class FormatSpec(Part):
    """A quantized format of tensors."""

    name: Name = Field(description="Tensors and precisions name it.")
    suits: tuple[Name, ...] = Field((), description="Coarser formats with which its units are content, too.")


class LimitSpec(Part):
    """A budget."""

    measure: CostMetric = Field(description="The quantity.")
    of: Name | None = Field(None, description="Device (energy, memory) or link (traffic); default: all.")
    at_most: Cost = Field(description="In seconds, bytes, joules, noise power or money.")
    model: Name | None = Field(None, description=_OF_MODEL)


class TermSpec(Part):
    """A part of the objective: weight times quantity."""

    measure: CostMetric = Field(description="The quantity.")
    of: Name | None = Field(None, description="Device (energy, memory) or link (traffic); default: all.")
    weight: Cost = Field(1.0, description="Factor in the sum.")
    model: Name | None = Field(None, description=_OF_MODEL)


class ProblemSpec(Part):
    """A placement problem; seconds, bytes, joules and noise power as measured elsewhere."""

    devices: tuple[ProblemDevice, ...] = Field(min_length=1, max_length=64)
    links: tuple[ProblemLink, ...] = Field((), max_length=1024)
    ends: tuple[EndSpec, ...] = Field((), max_length=1024)
    formats: tuple[FormatSpec, ...] = (FormatSpec(name="uint8"), FormatSpec(name="uint16", suits=("uint8",)))
    precisions: dict[str, str] = Field(
        default={"fp32": "float", "fp16": "float", "int8": "uint8", "int16": "uint16"},
        description="Precision -> the format for which its units ask; `float` for none. Default: fp32 and "
        "fp16 take float, int8 takes uint8, int16 takes uint16.",
    )
    models: tuple[ModelRate, ...] = Field((), max_length=64, description="Where there are several.")
    units: tuple[UnitSpec, ...] = Field(min_length=1, max_length=10_000)
    tensors: tuple[TensorSpec, ...] = Field((), max_length=20_000)
    limits: tuple[LimitSpec, ...] = Field((), description="What a plan must keep.")
    objective: tuple[TermSpec, ...] = Field((TermSpec(measure=CostMetric.LATENCY),), min_length=1)
    together: tuple[tuple[Name, ...], ...] = Field((), description="Units on one device.")
    apart: tuple[tuple[Name, Name], ...] = Field((), description="Pairs of units on different devices.")
    solver: SolverSpec = SolverSpec()
    version: Literal[1] = Field(1, description="Of this format.")

    @property
    def requests_per_s(self) -> float | None:
        """Of all models; None if only their weights are known."""
        rates = [model.requests_per_s for model in self.models if model.requests_per_s is not None]
        return sum(rates) if rates else None

    @property
    def shares(self) -> tuple[float, ...]:
        """Each model's share of the requests."""
        weights = [model.requests_per_s or model.weight or 1.0 for model in self.models]
        return tuple(weight / sum(weights) for weight in weights)


def check_problem(text: bytes) -> tuple[ProblemSpec | None, tuple[Fault, ...]]:
    """Return the problem that a JSON text describes, or None and every fault of its keys and values."""
    try:
        spec = ProblemSpec.model_validate_json(text)
        repeated = _repeated_keys(text)
        return (None, repeated) if repeated else (spec, ())
    except ValidationError as exc:
        errors = exc.errors()
        syntax = [Fault((), str(error["msg"])) for error in errors if error["type"] == "json_invalid"]
        if not syntax and _is_other(text):
            keys = ", ".join(ProblemSpec.model_fields)
            return None, (Fault((), f"holds no table of costs: none of its keys is one of {keys}"),)
        return None, tuple(syntax) or describe_faults(errors, ProblemSpec, (), "plan schema --problem")


def _is_other(text: bytes) -> bool:
    """Return whether a JSON text is a mapping without a single key of a problem."""
    values = json.loads(text)
    return isinstance(values, dict) and bool(values) and not values.keys() & ProblemSpec.model_fields.keys()


def _repeated_keys(text: bytes) -> tuple[Fault, ...]:
    """Return a fault for each key that a mapping has twice: readers keep one of them, and say nothing."""
    faults: list[Fault] = []

    def noted(pairs: list[tuple[str, object]]) -> dict[str, object]:
        counts = Counter(key for key, _ in pairs)
        faults.extend(
            Fault((), f"{key!r} is there {n} times in one mapping") for key, n in counts.items() if n > 1
        )
        return dict(pairs)

    json.loads(text, object_pairs_hook=noted)
    return tuple(faults)


def problem_schema() -> dict[str, object]:
    """Return the JSON Schema of PROBLEM.json."""
    return ProblemSpec.model_json_schema(by_alias=True)
