"""What every part of a file that people write has in common: strictness, and kinds of numbers and names."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from profiling.precision import Precision

# No device or link is beyond these; numbers further apart than a solver can hold are typing errors.
_MOST, _LEAST = 1e9, 1e-4
Positive = Annotated[float, Field(gt=0, le=_MOST, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, le=_MOST, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=_LEAST, le=_MOST, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
Number = Annotated[float, Field(allow_inf_nan=False)]
PerChannel = Number | tuple[Number, ...]
ObjectName = Annotated[str, Field(pattern=r"^(.*/)?[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
DeviceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]

AUTO: Literal["auto"] = "auto"
PRECISIONS_KINDS = _FOUND_OUT, PRECISIONS_BY_NAME = "precisions found out", "precisions by name"


def _precisions_kind(value: object) -> str:
    return _FOUND_OUT if value == AUTO else PRECISIONS_BY_NAME


Precisions = Annotated[
    Annotated[Literal["auto"], Tag(_FOUND_OUT)]
    | Annotated[tuple[Precision, ...], Field(min_length=1), Tag(PRECISIONS_BY_NAME)],
    Discriminator(_precisions_kind),
]
"""Those that a scenario names, or `auto`: those that a device's runtime has and a probe does not rule out."""


class Part(BaseModel):
    """A part of a file: no key unknown, no value of another type, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)
