"""`budget` and `objective`: what a plan must keep, and what is minimised."""

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from planner.scenario.field_types import Fraction, NotNegative, Part, Positive

OBJECTIVE_KINDS = _NAMED, _WEIGHTS = "objective by name", "objective by weights"


class BudgetSpec(Part):
    """Limits that the plan must keep; error limits are judged on the evaluation data."""

    noise_relative_rms: NotNegative | None = Field(None, description="||y - y_fp32|| / ||y_fp32||.")
    max_abs_error: NotNegative | None = Field(
        None, description="Largest absolute difference to the fp32 outputs."
    )
    top1_agreement: Fraction | None = Field(None, description="Least share of equal top-1 answers.")
    metric_drop: NotNegative | None = Field(None, description="fp32 `metric` minus the plan's.")
    accuracy_drop: Fraction | None = Field(None, description="fp32 accuracy minus the plan's.")
    memory_mib: dict[str, Positive] = Field(default_factory=dict, description="Device -> 2^20 bytes.")
    latency_ms: Positive | None = Field(None, description="Of one request, everything in sequence.")
    energy_j: dict[str, Positive] = Field(default_factory=dict, description="Device -> joules per request.")
    total_energy_j: Positive | None = Field(None, description="Of all devices, per request.")
    makespan_ms: Positive | None = Field(None, description="With stages that overlap.")
    throughput_per_s: Positive | None = Field(None, description="Least requests per second of the pipeline.")
    traffic_kib: dict[str, Positive] = Field(
        default_factory=dict, description="Link FROM-TO -> 2^10 bytes per request."
    )
    money_per_request: Positive | None = Field(None, description="Of computing and traffic.")
    money_per_month: Positive | None = Field(None, description="Needs requests_per_month.")


class ObjectiveSpec(Part):
    """A weighted sum; each part is divided by what it is with everything in fp32 at the source."""

    latency: NotNegative = Field(0.0, description="Of one request.")
    makespan: NotNegative = Field(0.0, description="With stages that overlap.")
    throughput: NotNegative = Field(0.0, description="Of the seconds between requests.")
    energy: NotNegative = Field(0.0, description="Of all devices.")
    memory: NotNegative = Field(0.0, description="Of all devices.")
    traffic: NotNegative = Field(0.0, description="Bytes on all links.")
    noise: NotNegative = Field(0.0, description="Noise power at the outputs.")
    money: NotNegative = Field(0.0, description="Per request.")

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
