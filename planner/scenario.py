"""The scenario: its types, checked whole; human units in its keys, SI in its properties."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from planner.faults import Fault, describe_faults
from profiling.precision import Precision, Wire

_MEBI = 2**20
_NAMED, _WEIGHTS = "objective by name", "objective by weights"  # the two kinds of objective
_HOUR_S, _GIBI = 3600.0, 2**30
_MEGABIT_BYTES = 1e6 / 8

# No device or link is beyond these; numbers further apart than a solver can hold are typing errors.
_MOST, _LEAST = 1e9, 1e-4
_MOST_VISITS = 8
Positive = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=_LEAST, le=_MOST, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0)]
Number = Annotated[float, Field(allow_inf_nan=False)]
PerChannel = Number | tuple[Number, ...]
ObjectName = Annotated[str, Field(pattern=r"^(.*/)?[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
DeviceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)


class InputSpec(_Part):
    """What is known of one model input beyond its name."""

    wire_bytes: Count = Field(description="Bytes that one raw input weighs on a link (a JPEG, say).")


class ImageSpec(_Part):
    """From pictures to model input: (pixel / divide_by - subtract) / scale_by, pixels 0..255."""

    layout: Literal["nchw", "nhwc"] = Field("nchw", description="Axis order that the model wants.")
    channels: Literal["rgb", "bgr"] = "rgb"
    resize_shorter: Count | None = Field(None, description="Resize the shorter side to so many pixels.")
    crop: Count | None = Field(None, description="Side of the centre square to cut out, in pixels.")
    divide_by: PerChannel = 1.0
    subtract: PerChannel = 0.0
    scale_by: PerChannel = 1.0

    @model_validator(mode="after")
    def _no_zero(self) -> Self:
        for name in ("divide_by", "scale_by"):
            value = getattr(self, name)
            if 0 in (value if isinstance(value, tuple) else (value,)):
                raise ValueError(f"{name} must not be 0")
        return self


class SubsetSpec(_Part):
    """Keep the samples whose `column` (default: their position) modulo `modulo` is in `equals`."""

    modulo: Count
    equals: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1)
    column: str | None = None


class LabelTable(_Part):
    """A tab-separated file (or comma-separated, .csv) with a header line."""

    file: str
    image_column: str = "file"
    label_column: str = "label"


class SampleSpec(_Part):
    """Where samples come from: exactly one of `npz`, `images`, `reader`."""

    npz: str | None = Field(None, description="NumPy archive with one array per model input.")
    inputs: dict[str, str] = Field(
        default_factory=dict, description="Model input -> array in the archive; default: same name."
    )
    images: str | None = Field(None, description="Folder of pictures.")
    reader: ObjectName | None = Field(
        None, description="module:CalibrationDataReader, found beside the scenario."
    )
    labels: str | LabelTable | None = Field(None, description="Array in the archive, or a table.")
    label_offset: int = Field(0, description="Added to every label to give the model's class index.")
    image: ImageSpec | None = None
    subset: SubsetSpec | None = None
    samples: Count | None = Field(None, description="Use only so many, evenly spread.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key in ("npz", "images", "reader") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError("needs exactly one of npz, images, reader")
        if self.reader is not None and self.model_fields_set & {"inputs", "labels", "image"}:
            raise ValueError("inputs, labels and image do not apply to a reader, which gives finished feeds")
        return self


class DataSpec(_Part):
    """Calibration samples choose ranges and tighten budgets; evaluation samples only judge."""

    calibration: SampleSpec
    evaluation: SampleSpec


class QuantizationSpec(_Part):
    """How int8 is quantized on a device; what it does not say is the scenario's."""

    symmetric: bool | None = Field(
        None, description="Activations as int8 around zero, as some providers want; default: uint8."
    )
    reduce_range: bool | None = Field(
        None,
        description="7-bit weights, for int8 kernels that overflow (x86 without VNNI); default: found out.",
    )


class DeviceSpec(_Part):
    """A device and where its costs come from."""

    name: DeviceName
    profile: str | None = Field(
        None, description="`measure` (this machine) or a file from `plan profile`; default: measure."
    )
    threads: Annotated[int, Field(gt=0, le=256)] = 1
    provider: str = "CPUExecutionProvider"
    scaled_from: str | None = Field(None, description="Take the costs of this other device ...")
    speedup: Rate | None = Field(None, description="... made faster by this factor.")
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
        if self.speedup is not None and self.scaled_from is None:
            raise ValueError("speedup needs scaled_from, the device whose costs are scaled")
        if self.scaled_from is not None and self.model_fields_set & {"threads", "provider"}:
            raise ValueError("threads and provider belong to the device that it is scaled_from")
        return self


class RadioSpec(_Part):
    """Linear radio model: an end draws a mW per Mbit/s times the bandwidth plus a constant, while it sends.

    The form of Huang et al., "A Close Examination of Performance and Power Characteristics of 4G LTE
    Networks", MobiSys 2012.
    """

    send_mw_per_mbit_per_s: NotNegative = 0.0
    send_mw: NotNegative = 0.0
    receive_mw_per_mbit_per_s: NotNegative = 0.0
    receive_mw: NotNegative = 0.0


class LinkSpec(_Part):
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
        given = [key for key in self.model_fields_set if "_nj_" in key or "_uj_" in key]
        if self.radio is not None and given:
            raise ValueError(f"give either radio or {sorted(given)[0]}, not both")
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


class BudgetSpec(_Part):
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


class ObjectiveSpec(_Part):
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


class PlacementSpec(_Part):
    """What is decided already; units and tensors by name or pattern (`block1/*`)."""

    pin: dict[str, DeviceName] = Field(default_factory=dict, description="Units -> their device.")
    precision: dict[str, Precision] = Field(default_factory=dict, description="Units -> their precision.")
    together: tuple[tuple[str, ...], ...] = Field((), description="Groups of units on one device.")
    apart: tuple[tuple[str, str], ...] = Field((), description="Pairs of units on different devices.")
    private: tuple[str, ...] = Field((), description="Tensors that may not leave their device.")


class SolverSpec(_Part):
    """The integer program's solver."""

    name: Literal["highs", "cbc", "gurobi", "cplex", "scip"] = "highs"
    time_limit_s: Positive = 60.0
    gap: NotNegative = 1e-6


class ProfilingSpec(_Part):
    """How much is measured."""

    rounds: Annotated[int, Field(ge=3)] | None = Field(
        None,
        description="Timed runs of the fp32 and the int8 model; by default 8 to 100, as their size asks for.",
    )
    noise_samples: Count = Field(256, description="Calibration samples on which noise is measured, at most.")


class ConversionSpec(_Part):
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


class Scenario(_Part):
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
    devices: tuple[DeviceSpec, ...] = Field(min_length=1)
    links: tuple[LinkSpec, ...] = ()
    source: str = Field(description="Device at which the inputs arise.")
    sink: str = Field(description="Device at which the outputs are due.")
    precisions: tuple[Precision, ...] = Field((Precision.FP32, Precision.INT8), min_length=1)
    weights: Literal["plain", "compressed"] = Field(
        "plain",
        description="In which form devices keep weights, for memory budgets: as they compute, or compressed.",
    )
    wires: tuple[Wire, ...] = Field(
        (), description="Forms besides its own in which a float tensor may cross links."
    )
    quantization: QuantizationSpec = Field(QuantizationSpec(), description="For devices that say nothing.")
    budget: BudgetSpec = BudgetSpec()
    objective: Objective = "latency"
    requests_per_month: Positive | None = Field(None, description="For budget.money_per_month.")
    placement: PlacementSpec = PlacementSpec()
    solver: SolverSpec = SolverSpec()
    profiling: ProfilingSpec = ProfilingSpec()

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
        own = device.precisions or self.precisions
        return tuple(p for p in self.precisions if p in own)

    def quantization_of(self, device: DeviceSpec) -> QuantizationSpec:
        """Return how int8 is quantized on a device, as far as the scenario says."""
        own, common = device.quantization, self.quantization
        return QuantizationSpec(
            symmetric=common.symmetric if own.symmetric is None else own.symmetric,
            reduce_range=common.reduce_range if own.reduce_range is None else own.reduce_range,
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


def check_scenario(text: str | bytes) -> tuple[Scenario | None, tuple[Fault, ...]]:
    """Return the scenario that a JSON text describes, or None and every fault of it."""
    try:
        scenario = Scenario.model_validate_json(text)
    except ValidationError as exc:
        return None, describe_faults(exc.errors(), Scenario, (_NAMED, _WEIGHTS))
    faults = tuple(_crosscheck(scenario))
    return (None, faults) if faults else (scenario, ())


def check_conversion(text: str | bytes) -> tuple[ConversionSpec | None, tuple[Fault, ...]]:
    """Return the `conversion` that a JSON text describes, or None and every fault of it."""
    try:
        return ConversionSpec.model_validate_json(text), ()
    except ValidationError as exc:
        return None, describe_faults(exc.errors(), ConversionSpec, ())


def scenario_schema() -> dict[str, object]:
    """Return the JSON Schema of a scenario."""
    return Scenario.model_json_schema(by_alias=True)


def _crosscheck(scenario: Scenario) -> Iterator[Fault]:
    """Yield what is wrong between keys that are each right."""
    names = [device.name for device in scenario.devices]
    unknown = [(place, name) for place, name in _device_names(scenario) if name not in names]
    for place, name in unknown:
        yield Fault(place, f"names no device: {name!r}; devices are {', '.join(names)}")
    yield from _device_faults(scenario, names)
    for i, link in enumerate(scenario.links):
        if link.source == link.target:
            yield Fault(("links", i), "joins a device to itself")
    yield from _budget_faults(scenario)
    if not unknown:
        yield from _reach_faults(scenario)


def _budget_faults(scenario: Scenario) -> Iterator[Fault]:
    if scenario.budget.metric_drop is not None and scenario.metric is None:
        yield Fault(("budget", "metric_drop"), "needs `metric`, the function that it speaks of")
    if scenario.budget.money_per_month is not None and scenario.requests_per_month is None:
        yield Fault(("requests_per_month",), "is required, beside budget, for budget.money_per_month")
    if scenario.needs_prices and not scenario.has_prices:
        yield Fault(
            ("devices", 0, "price_per_hour"),
            "or another price is required, since the objective or a budget is money",
        )
    links = [link.name for link in scenario.links]
    for name in scenario.budget.traffic_kib:
        if name not in links:
            yield Fault(("budget", "traffic_kib", name), f"names no link; links are {', '.join(links)}")


def _device_faults(scenario: Scenario, names: list[str]) -> Iterator[Fault]:
    for i, device in enumerate(scenario.devices):
        if names.index(device.name) != i:
            yield Fault(("devices", i, "name"), f"{device.name!r} is already taken")
        if not scenario.precisions_of(device):
            yield Fault(("devices", i, "precisions"), "shares none with the scenario's precisions")
        if device.active_watt is None and (scenario.needs_energy or device.name in scenario.budget.energy_j):
            yield Fault(
                ("devices", i, "active_watt"), "is required, since the objective or a budget is energy"
            )
        yield from _scaling_faults(scenario, i)


def _device_names(scenario: Scenario) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield (place, name) of every mention of a device."""
    yield ("source",), scenario.source
    yield ("sink",), scenario.sink
    for i, link in enumerate(scenario.links):
        yield ("links", i, "from"), link.source
        yield ("links", i, "to"), link.target
    for key in ("memory_mib", "energy_j"):
        for name in getattr(scenario.budget, key):
            yield ("budget", key, name), name
    for pattern, name in scenario.placement.pin.items():
        yield ("placement", "pin", pattern), name
    for i, device in enumerate(scenario.devices):
        if device.scaled_from is not None:
            yield ("devices", i, "scaled_from"), device.scaled_from


def _scaling_faults(scenario: Scenario, index: int) -> list[Fault]:
    own = scenario.devices[index].name
    seen: set[str] = set()
    name = scenario.devices[index].scaled_from
    while name is not None and name not in seen:
        if name == own:
            return [Fault(("devices", index, "scaled_from"), f"runs in a circle through {name!r}")]
        seen.add(name)
        found = [device for device in scenario.devices if device.name == name]
        name = found[0].scaled_from if found else None
    return []


def _reach_faults(scenario: Scenario) -> list[Fault]:
    reached = {scenario.source}
    while True:
        more = {link.target for link in scenario.links if link.source in reached} - reached
        if not more:
            break
        reached |= more
    if scenario.sink in reached:
        return []
    return [
        Fault(("sink",), f"{scenario.sink!r} cannot be reached from source {scenario.source!r} over links")
    ]
