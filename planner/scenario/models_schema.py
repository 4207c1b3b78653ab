"""A scenario of several models on the same devices: what its keys hold."""

from typing import Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from planner.scenario.data_schema import DataSpec
from planner.scenario.field_types import (
    Count,
    DeviceName,
    Fraction,
    NotNegative,
    Part,
    Positive,
    Rate,
)
from planner.scenario.metric_schema import MetricSpec
from planner.scenario.schema import (
    UNION_NAMES,
    ConversionSpec,
    InputSpec,
    PlacementSpec,
    Scenario,
    SharedSpec,
)
from planner.scenario.validation_messages import Fault, describe_faults

NEEDS_RATES = "needs requests_per_s of each model"


class ModelBudgetSpec(Part):
    """Limits that a model's requests must keep; error limits are judged on its evaluation data."""

    noise_relative_rms: NotNegative | None = Field(None, description="||y - y_fp32|| / ||y_fp32||.")
    max_abs_error: NotNegative | None = Field(
        None, description="Largest absolute difference to the fp32 outputs."
    )
    top1_agreement: Fraction | None = Field(None, description="Least share of equal top-1 answers.")
    metric_drop: NotNegative | None = Field(None, description="fp32 `metric` minus the plan's.")
    accuracy_drop: Fraction | None = Field(None, description="fp32 accuracy minus the plan's.")
    latency_ms: Positive | None = Field(None, description="Of one request, everything in sequence.")
    makespan_ms: Positive | None = Field(None, description="With stages that overlap.")


class SharedBudgetSpec(Part):
    """Limits on what the models share; of a request they are means over the requests of all models."""

    memory_mib: dict[str, Positive] = Field(default_factory=dict, description="Device -> 2^20 bytes, of all.")
    energy_j: dict[str, Positive] = Field(default_factory=dict, description="Device -> joules per request.")
    total_energy_j: Positive | None = Field(None, description="Of all devices, per request.")
    throughput_per_s: Positive | None = Field(None, description="Least requests per second, of all models.")
    utilisation: Fraction | None = Field(
        None,
        description="Most of its time for which a device or link may work; default: all, if rates are given.",
    )
    traffic_kib: dict[str, Positive] = Field(
        default_factory=dict, description="Link FROM-TO -> 2^10 bytes per request."
    )
    money_per_request: Positive | None = Field(None, description="Of computing and traffic.")
    money_per_month: Positive | None = Field(None, description="Needs requests_per_month.")


class ModelSpec(Part):
    """One of several models: its own data, ends, budgets and rules, and how often it is asked."""

    name: DeviceName = Field(description="Of its folder in the plan's.")
    requests_per_s: Rate | None = Field(
        None,
        description="Of all models or none: then no device or link may be asked for more than it can do.",
    )
    weight: Rate | None = Field(None, description="Its requests beside the others'; default: 1.")
    model: str = Field(description="As `model` of a scenario of one model.")
    conversion: ConversionSpec = Field(ConversionSpec(), description="For models that are no ONNX file.")
    input_shapes: dict[str, tuple[Count, ...]] = Field(
        default_factory=dict, description="As in a scenario of one model."
    )
    inputs: dict[str, InputSpec] = Field(default_factory=dict, description="As in a scenario of one model.")
    data: DataSpec
    metric: MetricSpec | None = Field(None, description="As in a scenario of one model.")
    source: str = Field(description="Device at which its inputs arise.")
    sink: str = Field(description="Device at which its outputs are due.")
    budget: ModelBudgetSpec = Field(ModelBudgetSpec(), description="Limits that its requests must keep.")
    placement: PlacementSpec = Field(PlacementSpec(), description="What is decided already.")
    profiles: dict[str, str] = Field(
        default_factory=dict, description="Device -> its profile file for this model, in place of `devices`'."
    )

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if self.requests_per_s is not None and self.weight is not None:
            raise ValueError("give either requests_per_s or weight, not both")
        return self


class ModelsSpec(SharedSpec):
    """Several models that share devices and links."""

    models: tuple[ModelSpec, ...] = Field(min_length=1, max_length=16, description="What is placed together.")
    budget: SharedBudgetSpec = Field(SharedBudgetSpec(), description="Limits on what the models share.")


def check_models(text: str) -> tuple[ModelsSpec | None, tuple[Fault, ...]]:
    """Return what a JSON text says of several models, or None and every fault of its keys and values."""
    try:
        return ModelsSpec.model_validate_json(text), ()
    except ValidationError as exc:
        return None, describe_faults(exc.errors(), ModelsSpec, UNION_NAMES)


def scenario_schema() -> dict[str, object]:
    """Return the JSON Schema of a scenario, of one model or of several."""
    return {"title": "Scenario"} | TypeAdapter(Scenario | ModelsSpec).json_schema(by_alias=True)
