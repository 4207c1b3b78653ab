"""What was measured of one model on this device; the fields are the keys of a profile's `latency` in JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class UnitRow:
    """Seconds of a unit inside the whole model, and their relative interquartile range."""

    unit: str
    precision: str
    seconds: float
    spread: float


@dataclass(frozen=True)
class SwitchRow:
    """Seconds to bring a tensor from one precision into another; `measured` is False if they were fitted."""

    tensor: str
    source: str
    to: str
    seconds: float
    measured: bool


@dataclass(frozen=True)
class StageBoundaryRow:
    """Seconds that a stage loses by ending or beginning at a tensor in a precision (`form`)."""

    tensor: str
    form: str
    leave_s: float
    enter_s: float
    measured: bool


@dataclass(frozen=True)
class WireRow:
    """Seconds to encode or decode a tensor for a link: a start, and so much per element."""

    wire: str
    side: str
    start_s: float
    element_s: float


@dataclass(frozen=True)
class LatencyRecord:
    """Seconds of one model on one device, as `profiling.records.profile.LatencyProfile` explains them."""

    model_sha256: str
    runtime_version: str
    scheme: str
    overflows: bool
    processor: str
    threads: int
    provider: str
    samples: int
    runs_s: Mapping[str, Sequence[float]]
    spread: float
    noisy: bool
    wall_s: Mapping[str, float]
    unattributed_s: Mapping[str, float]
    profiled_s: Mapping[str, float]
    units: Sequence[UnitRow]
    switches: Sequence[SwitchRow]
    start_s: float
    seams: Sequence[StageBoundaryRow]
    wires: Sequence[WireRow]
    clock: str
    disturbed: float | None
    waiting: float | None
    contended: float | None
