"""The scenario: its types; human units in its keys, SI in its properties."""

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from planner.scenario.data_schema import DataSpec
from planner.scenario.field_types import (
    Count,
    DeviceName,
    Fraction,
    NotNegative,
    ObjectName,
    Part,
    Positive,
    Rate,
)
from planner.scenario.fleet_schema import FleetSpec
from profiling.precision import Precision, Wire

_MEBI = 2**20
OBJECTIVE_KINDS = _NAMED, _WEIGHTS = "objective by name", "objective by weights"
_HOUR_S, _GIBI = 3600.0, 2**30
# A network's megabit is 10^6 bit, whatever a mebibyte of memory is.
_MEGABIT_BYTES = 1e6 / 8
# Each visit is a device to the solver.
_MOST_VISITS = 8


class InputSpec(Part):
    """What is known of one model input beyond its name."""

    wire_bytes: Count = Field(description="Bytes that one raw input weighs on a link (a JPEG, say).")


class QuantizationSpec(Part):
    """How int8 is quantized on a device; what it does not say is the scenario's."""

    symmetric: bool | None = Field(
        None, description="Activations as int8 around zero, as some providers want; default: uint8."
    )
    reduce_range: bool | None = Field(
        None,
        description="7-bit weights, for int8 kernels that overflow (x86 without VNNI); default: found out.",
    )


class DeviceSpec(Part):
    """A device and where its costs come from."""

    name: DeviceName
    profile: str | None = Field(
        None, description="`measure` (this machine) or a file from `plan profile`; default: measure."
    )
    threads: Annotated[int, Field(gt=0, le=256)] = 1
    provider: str = "CPUExecutionProvider"
    scaled_from: str | None = Field(None, description="Take the costs of this other device.")
    speedup: Rate | None = Field(None, description="Its costs, made faster by this factor.")
    precisions: tuple[Precision, ...] | None = Field(None, min_length=1)
    visits: Annotated[int, Field(ge=1, le=_MOST_VISITS)] = Field(
        1, description="How many stages it may run: with more, a request may come back to it."
    )
    quantization: QuantizationSpec = QuantizationSpec()
    active_watt: NotNegative | None = Field(None, description="While it computes.")
    idle_watt: NotNegative = Field(0.0, description="During the rest of a request.")
    price_per_hour: NotNegative = Field(0.0, description="Money for an hour of computing.")
    transfers_block: bool = Field(
        default=False, description="Whether it cannot compute while it sends or receives (throughput)."
    )

    @model_validator(mode="after")
    def _watts(self) -> Self:
        if self.active_watt is None and "idle_watt" in self.model_fields_set:
            raise ValueError("idle_watt needs active_watt")
        if self.active_watt is not None and self.idle_watt > self.active_watt:
            raise ValueError("idle_watt must not exceed active_watt")
        return self

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.scaled_from is not None and self.profile is not None:
            raise ValueError("give either profile or scaled_from, not both")
        if self.scaled_from is not None and self.model_fields_set & {"threads", "provider"}:
            raise ValueError("threads and provider belong to the device that it is scaled_from")
        return self


class RadioSpec(Part):
    """Linear radio model: an end draws a mW per Mbit/s times the bandwidth plus a constant, while it sends.

    The form of Huang et al., "A Close Examination of Performance and Power Characteristics of 4G LTE
    Networks", MobiSys 2012.
    """

    send_mw_per_mbit_per_s: NotNegative = 0.0
    send_mw: NotNegative = 0.0
    receive_mw_per_mbit_per_s: NotNegative = 0.0
    receive_mw: NotNegative = 0.0


class LinkSpec(Part):
    """A one-way link; a way back is a second link. `from` pays for sending, `to` for receiving."""

    source: DeviceName = Field(alias="from")
    target: DeviceName = Field(alias="to")
    bandwidth_mbit_per_s: Rate = Field(description="10^6 bit per second.")
    latency_ms: NotNegative = Field(0.0, description="Per message.")
    send_nj_per_byte: NotNegative = 0.0
    send_uj_per_message: NotNegative = 0.0
    receive_nj_per_byte: NotNegative = 0.0
    receive_uj_per_message: NotNegative = 0.0
    radio: RadioSpec | None = Field(None, description="Instead of the four keys above.")
    price_per_gib: NotNegative = Field(0.0, description="Money for 2^30 bytes.")

    @model_validator(mode="after")
    def _one_energy(self) -> Self:
        energy_keys = [key for key in self.model_fields_set if "_nj_" in key or "_uj_" in key]
        if self.radio is not None and energy_keys:
            raise ValueError(f"give either radio or {sorted(energy_keys)[0]}, not both")
        return self

    @property
    def send_energy(self) -> tuple[float, float]:
        """Joules per byte and per message that the sender spends."""
        if self.radio is not None:
            return self._radio_j(self.radio.send_mw_per_mbit_per_s, self.radio.send_mw), 0.0
        return self.send_nj_per_byte / 1e9, self.send_uj_per_message / 1e6

    @property
    def receive_energy(self) -> tuple[float, float]:
        """Joules per byte and per message that the receiver spends."""
        if self.radio is not None:
            return self._radio_j(self.radio.receive_mw_per_mbit_per_s, self.radio.receive_mw), 0.0
        return self.receive_nj_per_byte / 1e9, self.receive_uj_per_message / 1e6

    def _radio_j(self, mw_per_mbit_per_s: float, mw: float) -> float:
        # Watts while it sends, over the bytes that it sends in a second.
        watts = (mw_per_mbit_per_s * self.bandwidth_mbit_per_s + mw) / 1e3
        return watts / self.bandwidth_bytes_per_s

    @property
    def name(self) -> str:
        """What budgets call it."""
        return f"{self.source}-{self.target}"

    @property
    def price_per_byte(self) -> float:
        """Money for a byte."""
        return self.price_per_gib / _GIBI

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Bandwidth in bytes per second."""
        return self.bandwidth_mbit_per_s * _MEGABIT_BYTES

    @property
    def latency_s(self) -> float:
        """Latency per message in seconds."""
        return self.latency_ms / 1e3


class BudgetSpec(Part):
    """Limits that the plan must keep; error limits are judged on the evaluation data."""

    noise_relative_rms: NotNegative | None = Field(None, description="||y - y_fp32|| / ||y_fp32||.")
    max_abs_error: NotNegative | None = None
    top1_agreement: Fraction | None = Field(None, description="Least share of equal top-1 answers.")
    metric_drop: NotNegative | None = Field(None, description="fp32 `metric` minus the plan's.")
    accuracy_drop: Fraction | None = Field(None, description="fp32 accuracy minus the plan's.")
    memory_mib: dict[str, Positive] = Field(default_factory=dict, description="Device -> 2^20 bytes.")
    latency_ms: Positive | None = None
    energy_j: dict[str, Positive] = Field(default_factory=dict, description="Device -> joules per request.")
    total_energy_j: Positive | None = Field(None, description="Of all devices, per request.")
    makespan_ms: Positive | None = Field(None, description="With stages that overlap.")
    throughput_per_s: Positive | None = Field(None, description="Least requests per second of the pipeline.")
    traffic_kib: dict[str, Positive] = Field(
        default_factory=dict, description="Link FROM-TO -> 2^10 bytes per request."
    )
    money_per_request: Positive | None = None
    money_per_month: Positive | None = Field(None, description="Needs requests_per_month.")


class ObjectiveSpec(Part):
    """A weighted sum; each part is divided by what it is with everything in fp32 at the source."""

    latency: NotNegative = 0.0
    makespan: NotNegative = 0.0
    throughput: NotNegative = Field(0.0, description="Of the seconds between requests.")
    energy: NotNegative = 0.0
    memory: NotNegative = Field(0.0, description="Of all devices.")
    traffic: NotNegative = 0.0
    noise: NotNegative = 0.0
    money: NotNegative = 0.0

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not any(weight for _, weight in self):
            raise ValueError("needs a weight above 0")
        return self


ObjectiveName = Literal["latency", "makespan", "throughput", "energy", "memory", "traffic", "noise", "money"]


def _objective_kind(value: object) -> str:
    return _WEIGHTS if isinstance(value, dict | ObjectiveSpec) else _NAMED


Objective = Annotated[
    Annotated[ObjectiveName, Tag(_NAMED)] | Annotated[ObjectiveSpec, Tag(_WEIGHTS)],
    Discriminator(_objective_kind),
]


class PlacementSpec(Part):
    """What is decided already; units and tensors by name or pattern (`block1/*`)."""

    pin: dict[str, DeviceName] = Field(default_factory=dict, description="Units -> their device.")
    precision: dict[str, Precision] = Field(default_factory=dict, description="Units -> their precision.")
    together: tuple[tuple[str, ...], ...] = Field((), description="Groups of units on one device.")
    apart: tuple[tuple[str, str], ...] = Field((), description="Pairs of units on different devices.")
    private: tuple[str, ...] = Field((), description="Tensors that may not leave their device.")


class SolverSpec(Part):
    """The integer program's solver."""

    name: Literal["highs", "cbc", "gurobi", "cplex", "scip"] = "highs"
    time_limit_s: Positive = 60.0
    gap: NotNegative = 1e-6


class ProfilingSpec(Part):
    """How much is measured."""

    rounds: Annotated[int, Field(ge=3, le=10_000)] | None = Field(
        None,
        description="Timed runs of the fp32 and the int8 model; by default 8 to 100, as their size asks for.",
    )
    noise_samples: Count = Field(256, description="Calibration samples on which noise is measured, at most.")


class ConversionSpec(Part):
    """How a model that is no ONNX file becomes one."""

    weights: str | None = Field(
        None,
        description="Of keras:NAME or module:function: a weights file, or imagenet; random ones by default.",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Keyword arguments of keras:NAME or module:function, such as input_shape.",
    )
    custom_objects: ObjectName | None = Field(
        None, description="module:NAME of the classes that a Keras file uses: a dict, a list or a class."
    )
    signature: str | None = Field(None, description="Of a SavedModel; default: serving_default.")
    opset: Annotated[int, Field(ge=13, le=18)] = 17


class SharedSpec(Part):
    """The devices that models may run on, and what holds for all of them."""

    devices: tuple[DeviceSpec, ...] = Field(min_length=1, max_length=64)
    links: tuple[LinkSpec, ...] = Field((), max_length=1024)
    precisions: tuple[Precision, ...] = Field((Precision.FP32, Precision.INT8), min_length=1)
    weights: Literal["plain", "compressed"] = Field(
        "plain",
        description="In which form devices keep weights, for memory budgets: as they compute, or compressed.",
    )
    wires: tuple[Wire, ...] = Field(
        (), description="Forms besides its own in which a float tensor may cross links."
    )
    quantization: QuantizationSpec = Field(QuantizationSpec(), description="For devices that say nothing.")
    objective: Objective = "latency"
    requests_per_month: Positive | None = Field(None, description="For budget.money_per_month.")
    solver: SolverSpec = SolverSpec()
    profiling: ProfilingSpec = ProfilingSpec()


class Scenario(SharedSpec):
    """A model, the data it is judged on, the devices it may run on, and what must hold."""

    model: str = Field(
        description="An ONNX file; keras:NAME; a .keras, .h5 or .tflite file; a SavedModel folder; or "
        "module:function that returns a Keras model or a TensorFlow function."
    )
    conversion: ConversionSpec = Field(ConversionSpec(), description="For models that are no ONNX file.")
    input_shapes: dict[str, tuple[Count, ...]] = Field(default_factory=dict)
    inputs: dict[str, InputSpec] = Field(default_factory=dict)
    data: DataSpec
    metric: ObjectName | None = Field(
        None, description="module:function(outputs, labels) -> float beside the scenario; more is better."
    )
    source: str = Field(description="Device at which the inputs arise.")
    sink: str = Field(description="Device at which the outputs are due.")
    budget: BudgetSpec = BudgetSpec()
    placement: PlacementSpec = PlacementSpec()
    fleet: FleetSpec | None = Field(
        None, description="Classes of a device for which `plan compare --plans K` chooses plans."
    )

    def device(self, name: str) -> DeviceSpec:
        """Return a device by name."""
        return next(device for device in self.devices if device.name == name)

    @property
    def measured_precisions(self) -> tuple[Precision, ...]:
        """The precisions in which the model is profiled: int16 where it is asked for."""
        more = (Precision.INT16,) if Precision.INT16 in self.precisions else ()
        return (Precision.FP32, Precision.INT8, *more)

    def precisions_of(self, device: DeviceSpec) -> tuple[Precision, ...]:
        """Return the precisions that the scenario and the device both allow."""
        device_precisions = device.precisions or self.precisions
        return tuple(p for p in self.precisions if p in device_precisions)

    def quantization_of(self, device: DeviceSpec) -> QuantizationSpec:
        """Return how int8 is quantized on a device, as far as the scenario says."""
        of_device, of_scenario = device.quantization, self.quantization
        return QuantizationSpec(
            symmetric=of_scenario.symmetric if of_device.symmetric is None else of_device.symmetric,
            reduce_range=of_scenario.reduce_range
            if of_device.reduce_range is None
            else of_device.reduce_range,
        )

    def memory_bytes(self, device: str) -> int | None:
        """Return a device's memory budget in bytes."""
        limit = self.budget.memory_mib.get(device)
        return None if limit is None else int(limit * _MEBI)

    @property
    def money(self) -> float | None:
        """The tightest budget of money for a request."""
        month, requests = self.budget.money_per_month, self.requests_per_month
        monthly = None if month is None or requests is None else month / requests
        return min((x for x in (monthly, self.budget.money_per_request) if x is not None), default=None)

    @property
    def needs_energy(self) -> bool:
        """Whether the objective or a budget speaks of all devices' energy."""
        weighs = isinstance(self.objective, ObjectiveSpec) and self.objective.energy > 0
        return weighs or self.objective == "energy" or self.budget.total_energy_j is not None

    @property
    def needs_prices(self) -> bool:
        """Whether the objective or a budget speaks of money."""
        weighs = isinstance(self.objective, ObjectiveSpec) and self.objective.money > 0
        return weighs or self.objective == "money" or self.money is not None

    @property
    def has_prices(self) -> bool:
        """Whether anything costs money."""
        return any(d.price_per_hour for d in self.devices) or any(x.price_per_gib for x in self.links)

    @property
    def knows_energy(self) -> bool:
        """Whether any device or link says what it draws."""
        links = any(any((*link.send_energy, *link.receive_energy)) for link in self.links)
        return links or any(device.active_watt is not None for device in self.devices)

    @property
    def latency_s(self) -> float | None:
        """The latency budget in seconds."""
        return None if self.budget.latency_ms is None else self.budget.latency_ms / 1e3
