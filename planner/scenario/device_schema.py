"""`devices`: where their costs come from, how int8 is quantized on them, what they draw and cost."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from planner.scenario.field_types import DeviceName, NotNegative, Part, Rate
from profiling.precision import Precision
from profiling.range_method import RangeMethod

# Each visit is a device to the solver.
_MOST_VISITS = 8


class QuantizationSpec(Part):
    """How int8 is quantized on a device; what it does not say is the scenario's."""

    symmetric: bool | None = Field(
        None, description="Activations as int8 around zero, as some providers want; default: uint8."
    )
    reduce_range: bool | None = Field(
        None,
        description="7-bit weights, for int8 kernels that overflow (x86 without VNNI); default: found out.",
    )


class SharedQuantizationSpec(QuantizationSpec):
    """How int8 is quantized: of devices that say nothing, and what all devices share."""

    ranges: RangeMethod | None = Field(
        None,
        description="What the 8 bits of each tensor span: `minmax` every value; `percentile` 99.99 % of "
        "them; `mse` what gives the least rounding error; `entropy` what the runtime's search for the least "
        "divergence finds; `best` whichever of minmax, percentile, mse and the best of these per tensor "
        "gives the least noise at the outputs; default: minmax.",
    )
    bias_correction: bool | None = Field(
        None,
        description="Whether biases of int8 and int16 units make up for the mean error of their rounded "
        "weights; left where calibration samples show no less noise; default: false.",
    )


MEASURE_HERE = "measure"


class DeviceSpec(Part):
    """A device and where its costs come from."""

    name: DeviceName = Field(description="Budgets, links and files call it so.")
    profile: str | None = Field(
        None,
        description="`measure` (this machine), a file from `plan profile`, or a CSV table of unit, precision "
        "and seconds; default: measure.",
    )
    runtime: Literal["onnxruntime", "litert", "tensorflow"] | None = Field(
        None,
        description="What runs its stages; default: as the device that it is scaled_from, or onnxruntime.",
    )
    threads: Annotated[int, Field(gt=0, le=256)] = Field(
        1, description="That a stage computes on; seconds from a file stay as they are."
    )
    provider: str = Field("CPUExecutionProvider", description="ONNX Runtime's execution provider.")
    scaled_from: str | None = Field(None, description="Take the costs of this other device.")
    speedup: Rate | None = Field(None, description="Its costs, made faster by this factor.")
    precisions: tuple[Precision, ...] | None = Field(
        None, min_length=1, description="That it has; default: all of the scenario's."
    )
    visits: Annotated[int, Field(ge=1, le=_MOST_VISITS)] = Field(
        1, description="How many stages it may run: with more, a request may come back to it."
    )
    quantization: QuantizationSpec = Field(QuantizationSpec(), description="How int8 is quantized on it.")
    active_watt: NotNegative | None = Field(None, description="While it computes.")
    idle_watt: NotNegative = Field(0.0, description="During the rest of a request.")
    price_per_hour: NotNegative = Field(0.0, description="Money for an hour of computing.")
    transfers_block: bool = Field(
        default=False,
        description="Whether it cannot compute while it sends or receives (throughput, makespan).",
    )

    @property
    def is_measured_here(self) -> bool:
        """Whether this machine is measured for it, unless it is scaled from another."""
        return self.profile in (None, MEASURE_HERE)

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
