"""The scenario: its types; human units in its keys, SI in its properties. Its larger parts are beside it."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from planner.scenario.budget_schema import OBJECTIVE_KINDS, BudgetSpec, Objective, ObjectiveSpec
from planner.scenario.data_schema import DataSpec
from planner.scenario.device_schema import DeviceSpec, QuantizationSpec, SharedQuantizationSpec
from planner.scenario.field_types import (
    AUTO,
    PRECISIONS_KINDS,
    Count,
    DeviceName,
    ObjectName,
    Part,
    Positive,
    Precisions,
)
from planner.scenario.fleet_schema import FleetSpec
from planner.scenario.link_schema import LinkSpec
from planner.scenario.metric_schema import COCO_AP, CocoApSpec, MetricSpec
from profiling.precision import DEFAULT_PRECISIONS, OFFERED, Precision, Wire
from profiling.range_method import RangeMethod
from profiling.runtime_names import ONNX_RUNTIME, TENSORFLOW

_MEBI = 2**20
UNION_NAMES = (*OBJECTIVE_KINDS, *PRECISIONS_KINDS)
"""Members of unions: they stand in the paths of errors, but are no keys."""


class InputSpec(Part):
    """What is known of one model input beyond its name."""

    wire_bytes: Count = Field(
        description="Bytes that one raw input weighs on a link (a JPEG, say); hosts of plan deploy send the "
        "tensor whole."
    )


class PlacementSpec(Part):
    """What is decided already; units and tensors by name or pattern (`block1/*`)."""

    pin: dict[str, DeviceName] = Field(default_factory=dict, description="Units -> their device.")
    precision: dict[str, Precision] = Field(default_factory=dict, description="Units -> their precision.")
    together: tuple[tuple[str, ...], ...] = Field((), description="Groups of units on one device.")
    apart: tuple[tuple[str, str], ...] = Field((), description="Pairs of units on different devices.")
    private: tuple[str, ...] = Field((), description="Tensors that may not leave their device.")


class SolverSpec(Part):
    """The integer program's solver."""

    name: Literal["highs", "cbc", "gurobi", "cplex", "scip"] = Field(
        "highs", description="HiGHS is embedded; the others where they are installed."
    )
    time_limit_s: Positive = Field(60.0, description="Seconds for each solve.")
    gap: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = Field(
        1e-6,
        description="Relative gap to the lower bound at which the search ends; at most 1e-4 is optimal.",
    )


class ProfilingSpec(Part):
    """How much is measured."""

    rounds: Annotated[int, Field(ge=3, le=10_000)] | None = Field(
        None,
        description="Timed runs of the fp32 and the int8 model; by default 3 to 100, as their size asks for.",
    )
    noise_samples: Count = Field(256, description="Calibration samples on which noise is measured, at most.")


class ConversionSpec(Part):
    """How a model becomes what its runtime takes: an ONNX file, or for runtime litert a .tflite file."""

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
    opset: Annotated[int, Field(ge=13, le=18)] = Field(
        17, description="Of the ONNX model that the conversion writes."
    )
    quantization: Literal["none", "dynamic", "float16", "full_integer", "integer_only"] = Field(
        "none",
        description="For runtime litert: what TensorFlow's converter quantizes. full_integer and "
        "integer_only take ranges from calibration samples.",
    )
    integer_type: Literal["int8", "uint8"] = Field(
        "int8", description="With quantization: integer_only, the type of inputs and outputs."
    )

    @field_validator("arguments")
    @classmethod
    def _finite(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(arguments, allow_nan=False, default=str)
        except ValueError as exc:
            raise ValueError("must hold finite numbers: a plan keeps them as JSON") from exc
        return arguments


class SharedSpec(Part):
    """The devices that models may run on, and what holds for all of them."""

    devices: tuple[DeviceSpec, ...] = Field(min_length=1, max_length=64, description="Places to compute.")
    links: tuple[LinkSpec, ...] = Field(
        (), max_length=1024, description="One-way connections; without them all runs on one device."
    )
    precisions: Precisions | None = Field(
        None,
        description="That units may have, where a device's runtime has them; or auto: all of ONNX Runtime's, "
        "but for those that two seconds of runs show to gain nothing. Default: auto for devices that this "
        "machine is measured for, and [fp32, int8] for others.",
    )
    weights: Literal["plain", "compressed"] = Field(
        "plain",
        description="In which form devices keep weights, for memory budgets: as they compute, or compressed.",
    )
    wires: tuple[Wire, ...] = Field(
        (), description="Forms besides its own in which a float tensor may cross links."
    )
    quantization: SharedQuantizationSpec = Field(
        SharedQuantizationSpec(), description="For devices that say nothing."
    )
    objective: Objective = Field(
        "latency", description="What is minimized: a quantity by name, or a weighted sum."
    )
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
    input_shapes: dict[str, tuple[Count, ...]] = Field(
        default_factory=dict,
        description="Input -> whole shape, where a dimension other than the batch is dynamic.",
    )
    inputs: dict[str, InputSpec] = Field(default_factory=dict, description="Input -> what is known of it.")
    data: DataSpec
    metric: MetricSpec | None = Field(
        None,
        description="module:function(outputs, labels) -> float beside the scenario, more is better; or "
        "coco_ap, COCO's average precision.",
    )
    source: str = Field(description="Device at which the inputs arise.")
    sink: str = Field(description="Device at which the outputs are due.")
    budget: BudgetSpec = Field(BudgetSpec(), description="Limits that the plan must keep.")
    placement: PlacementSpec = Field(PlacementSpec(), description="What is decided already.")
    fleet: FleetSpec | None = Field(
        None, description="Classes of a device for which `plan compare --plans K` chooses plans."
    )

    def device(self, name: str) -> DeviceSpec:
        """Return a device by name."""
        return next(device for device in self.devices if device.name == name)

    def scaling_chain(self, device: DeviceSpec) -> tuple[DeviceSpec, ...]:
        """Return a device, the one that it is scaled from, and so on to the one whose costs it takes."""
        by_name, chain = {one.name: one for one in self.devices}, [device]
        seen = {device.name}  # a circle is a fault, which is told elsewhere
        while (name := chain[-1].scaled_from) in by_name and name not in seen:
            seen.add(name)
            chain.append(by_name[name])
        return tuple(chain)

    def runtime_of(self, device: DeviceSpec) -> str:
        """Return what runs a device's stages."""
        return next((one.runtime for one in self.scaling_chain(device) if one.runtime), ONNX_RUNTIME)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """What runs the stages of devices, in their order."""
        return tuple(dict.fromkeys(self.runtime_of(device) for device in self.devices))

    @property
    def has_blocks(self) -> bool:
        """Whether the model is needed for several runtimes: then LiteRT's form is the one that crosses."""
        return len(self.runtimes) > 1 or TENSORFLOW in self.runtimes

    @property
    def runtime(self) -> str:
        """What runs the stages at the source."""
        return self.runtime_of(self.device(self.source))

    @property
    def coco_ap(self) -> CocoApSpec | None:
        """How COCO's average precision is measured; None if another metric judges."""
        if self.metric == COCO_AP:
            return CocoApSpec(name=COCO_AP)
        return self.metric if isinstance(self.metric, CocoApSpec) else None

    @property
    def metric_function(self) -> str | None:
        """The user's function that judges, as FOLDER/module:name."""
        return self.metric if isinstance(self.metric, str) and self.metric != COCO_AP else None

    @property
    def offered_precisions(self) -> tuple[Precision, ...]:
        """The precisions that units may have; where they are tried out, all that are."""
        if isinstance(self.precisions, tuple):
            return self.precisions
        return (Precision.FP32, *OFFERED) if self.tries_precisions else DEFAULT_PRECISIONS

    @property
    def tries_precisions(self) -> bool:
        """Whether a probe finds out which precisions some device has."""
        if isinstance(self.precisions, tuple) or self.runtimes != (ONNX_RUNTIME,):
            return False  # other runtimes are not tried out
        return self.precisions == AUTO or any(
            device.is_measured_here for device in self.devices if device.scaled_from is None
        )

    @property
    def measured_precisions(self) -> tuple[Precision, ...]:
        """The precisions in which the model is profiled: fp32, int8, and what is asked for."""
        always = (Precision.FP32, Precision.INT8)
        return (*always, *(p for p in Precision if p in self.offered_precisions and p not in always))

    @property
    def rounded_precisions(self) -> tuple[Precision, ...]:
        """Those besides fp32 that make noise of their own."""
        return tuple(dict.fromkeys(precision.numbers for precision in self.measured_precisions[1:]))

    def precisions_of(self, device: DeviceSpec) -> tuple[Precision, ...]:
        """Return the precisions that the scenario and the device both allow."""
        if self.runtime_of(device) == TENSORFLOW:
            return (Precision.FP32,)
        is_measured_here = self.scaling_chain(device)[-1].is_measured_here
        others = DEFAULT_PRECISIONS if self.precisions is None and not is_measured_here else None
        device_precisions = device.precisions or others or self.offered_precisions
        return tuple(p for p in self.offered_precisions if p in device_precisions)

    def quantization_of(self, device: DeviceSpec) -> QuantizationSpec:
        """Return how int8 is quantized on a device, as far as the scenario says."""
        of_device, of_scenario = device.quantization, self.quantization
        return QuantizationSpec(
            symmetric=of_scenario.symmetric if of_device.symmetric is None else of_device.symmetric,
            reduce_range=of_scenario.reduce_range
            if of_device.reduce_range is None
            else of_device.reduce_range,
        )

    @property
    def range_method(self) -> RangeMethod:
        """How ranges of activations are taken, on all devices: a tensor between two of them has one range."""
        return self.quantization.ranges or RangeMethod.MINMAX

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
