"""The fleet of a scenario: classes of one of its devices, and how often each meets which bandwidth."""

from typing import Annotated

from pydantic import Field

from planner.scenario.field_types import DeviceName, Part, Positive, Rate
from profiling.precision import Precision

_MOST_CLASSES, _MOST_BANDWIDTHS = 64, 200


class BandwidthShareSpec(Part):
    """A bandwidth, and how often it occurs."""

    mbit_per_s: Rate = Field(description="10^6 bit per second, of each of the fleet's links.")
    share: Positive = Field(1.0, description="Of the class; shares need not sum to 1.")


class DeviceClassSpec(Part):
    """Devices of a fleet that are alike; what it does not say is the device's own."""

    name: DeviceName = Field(description="Of the class.")
    share: Positive = Field(1.0, description="Of the fleet; shares need not sum to 1.")
    speedup: Rate = Field(
        1.0, description="How many times as fast as the device is described, or as `profile` says."
    )
    profile: str | None = Field(None, description="A file as a device's `profile`, instead of the device's.")
    precisions: tuple[Precision, ...] | None = Field(
        None, min_length=1, description="[fp32] for devices without int8 kernels."
    )
    memory_mib: Positive | None = Field(None, description="Instead of budget.memory_mib; 2^20 bytes.")
    bandwidths: tuple[BandwidthShareSpec, ...] = Field(
        (), max_length=_MOST_BANDWIDTHS, description="Default: the links' own bandwidths."
    )


class FleetSpec(Part):
    """Classes of a device, for `plan compare --plans K`."""

    device: DeviceName = Field(description="The device that differs from class to class.")
    links: tuple[str, ...] = Field(
        (), description="Links FROM-TO that take the bandwidths; default: those from and to the device."
    )
    classes: Annotated[tuple[DeviceClassSpec, ...], Field(min_length=1, max_length=_MOST_CLASSES)]
