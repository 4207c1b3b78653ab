"""What a device is to measure: units, tensors that may change their precision, models and their stages."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

FORMAT = 7  # of profiles, and of the plan that asks for one
FP32, INT8, INT16 = "fp32", "int8", "int16"
INT8_QOPERATOR = "int8-qoperator"
ENCODE, DECODE = "encode", "decode"
MOST_ROUNDS, MOST_THREADS = 10_000, 256
XNNPACK = "XNNPACK"  # the provider of a plan for LiteRT
CALLER = -1  # instead of a unit: whoever feeds the model and takes its outputs

Mix = Mapping[int, str]
"""Unit -> precision, of the quantized units of a model."""


class PlannedUnit(NamedTuple):
    """A unit of the model; JSON has the two values as an array."""

    name: str
    quantizable: bool


class SwitchTensor(NamedTuple):
    """A float tensor between units, or of the caller, that may change its precision.

    Parameters
    ----------
    size_bytes
        As float.
    producer, consumers
        Units by index; `CALLER` for inputs and outputs of the model.
    """

    name: str
    size_bytes: int
    producer: int
    consumers: Sequence[int]

    def precision_in(self, mix: Mix) -> str:
        """Return the precision of the tensor: the coarsest of the units that touch it."""
        return coarsest_precision(mix.get(unit, FP32) for unit in (self.producer, *self.consumers))


class WireModel(NamedTuple):
    """A tiny model that encodes or decodes (`side`) a tensor for a link."""

    wire: str
    side: str
    elements: int


@dataclass(frozen=True)
class MeasurementPlan:
    """What is to be measured; its JSON is the bundle's `order.json`.

    Parameters
    ----------
    device, threads, provider
        Name of the device and how it runs models.
    rounds
        Timed runs of the model in each precision (0: see `rounds_for`); mixed ones run half as often.
    scheme
        Label of the quantization scheme of the models.
    units, switches
        By the indices that everything else names them by.
    precisions
        Which are measured, fp32 first.
    variants
        Precision -> its units, of each model: first one model per precision, with all units in it that can
        be, whose seconds count; the others have several and show what switches add.
    stages
        Units of each stage of the first variants, which are measured cut into these as well; may be empty.
    wires
        The tiny models that show what encoding and decoding take.
    """

    format: int
    device: str
    threads: int
    provider: str
    rounds: int
    scheme: str
    model_sha256: str
    units: Sequence[PlannedUnit]
    switches: Sequence[SwitchTensor]
    precisions: Sequence[str]
    variants: Sequence[Mapping[str, Sequence[int]]]
    stages: Sequence[Sequence[int]]
    wires: Sequence[WireModel]

    @property
    def mixes(self) -> list[Mix]:
        """The precisions of the quantized units of each variant."""
        return [{unit: p for p, units in variant.items() for unit in units} for variant in self.variants]


# What a run may choose, and the planner's own list of what it wrote into a bundle.
_NOT_HASHED = ("rounds", "threads", "files")


def order_hash(order: Mapping[str, Any]) -> str:
    """Return a hash of what is to be measured: of a plan's JSON without what a run may choose."""
    fixed = {key: value for key, value in order.items() if key not in _NOT_HASHED}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()


def tensor_precision(precision: str) -> str:
    """Return the precision of the tensors beside a unit in one, where nothing but such units touches them."""
    return INT8 if precision == INT8_QOPERATOR else precision


def coarsest_precision(precisions: Iterable[str]) -> str:
    """Return the precision of a tensor that units in these touch: int8 before int16 before fp32."""
    present = {tensor_precision(precision) for precision in precisions}
    return next((precision for precision in (INT8, INT16) if precision in present), FP32)
