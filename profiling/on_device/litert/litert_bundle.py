"""A bundle for LiteRT: where its models lie, and what opens and measures them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from profiling.on_device.device_main import MODELS
from profiling.on_device.kernels import Owner, OwnerKind
from profiling.on_device.latency_record import LatencyRecord
from profiling.on_device.litert.interpreter import (
    KeepingModel,
    OpenedModel,
    TimedModel,
    hide_announcement,
    litert_version,
)
from profiling.on_device.litert.litert_timing import GroupCalls
from profiling.on_device.litert.measuring_litert import measure_litert
from profiling.on_device.litert.model_pieces import ModelPieces
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.on_device.runtime_session import Feeds, Report

PIECES, INDEX = f"{MODELS}/pieces.bin", f"{MODELS}/models.json"
TINY = "tiny"


def plain_model(variant: int) -> str:
    """Return the name of a variant."""
    return f"{variant:02d}"


def stage_model(variant: int, number: int) -> str:
    """Return the name of a stage of a variant."""
    return f"{variant:02d}-stage-{number:02d}"


def group_model(variant: int, number: int) -> str:
    """Return the name of the stage that ends with a group of a variant's operators."""
    return f"{variant:02d}-group-{number:04d}"


def before_model(variant: int, number: int) -> str:
    """Return the name of the stage that ends before a group of a variant's operators."""
    return f"{variant:02d}-before-{number:04d}"


class VariantGroups(NamedTuple):
    """The groups of a variant's operators that are timed; JSON has the two values as an array.

    Parameters
    ----------
    owners
        Of each group, in running order: letter and index.
    reads
        Tensors that the groups' stages read, beside the model's inputs.
    """

    owners: Sequence[tuple[str, int]]
    reads: Sequence[str]


class ModelIndex(NamedTuple):
    """What lies in a bundle; JSON has the values as an array.

    Parameters
    ----------
    made_with
        Name and version of the package that its models were tried with.
    places
        Model -> (offset, size) of its pieces in the file of all pieces.
    groups
        Of each variant.
    """

    made_with: str
    places: Mapping[str, Sequence[tuple[int, int]]]
    groups: Sequence[VariantGroups]


def read_index(folder: Path) -> ModelIndex:
    """Return what lies in a bundle."""
    made_with, places, groups = json.loads((folder / INDEX).read_text())
    return ModelIndex(made_with, places, [VariantGroups(*one) for one in groups])


class LitertBundleModels:
    """Opens the models of a bundle.

    Parameters
    ----------
    folder
        The bundle.
    """

    def __init__(self, folder: Path, plan: MeasurementPlan) -> None:
        index = read_index(folder)
        self._pieces, self._groups = ModelPieces(folder / PIECES, index.places), index.groups
        self._threads = plan.threads

    def plain(self, variant: int) -> OpenedModel:
        """Return a variant as a user would run it."""
        return self._open(plain_model(variant))

    def stage(self, variant: int, number: int) -> OpenedModel:
        """Return a stage of one of the first variants."""
        return self._open(stage_model(variant, number))

    def tiny(self) -> tuple[OpenedModel, Feeds]:
        """Return a model that computes hardly anything, and its sample."""
        opened = self._open(TINY)
        return opened, {end.name: np.ones(1, np.float32) for end in opened.get_inputs()}

    def groups(self, variant: int, feeds: Feeds) -> Iterator[tuple[Owner, GroupCalls]]:
        """Yield what shows the seconds of a variant's units and conversions."""
        owners, reads = self._groups[variant]
        whole = KeepingModel(self._pieces.read(plain_model(variant)), reads)
        values = {**whole.values(feeds), **feeds}
        del whole  # it holds all that lies between operators
        for number, (letter, index) in enumerate(owners):
            yield Owner(OwnerKind(letter), index), self._calls(variant, number, values)

    def _calls(self, variant: int, number: int, values: Feeds) -> GroupCalls:
        before = before_model(variant, number)
        return GroupCalls(
            self._timed(group_model(variant, number), values),
            self._timed(before, values) if before in self._pieces else None,
        )

    def _open(self, name: str) -> OpenedModel:
        hide_announcement(self._pieces.read(TINY))
        return OpenedModel(self._pieces.read(name), self._threads)

    def _timed(self, name: str, values: Feeds) -> TimedModel:
        return TimedModel(self._pieces.read(name), values, self._threads)


class LitertBundle:
    """LiteRT, and how its bundles are measured."""

    def __init__(self) -> None:
        self.version = litert_version()

    def fault(self, plan: MeasurementPlan) -> str | None:
        """Return None: it has one way to compute, which is there."""
        del plan
        return None

    def measure(self, plan: MeasurementPlan, folder: Path, feeds: Feeds, report: Report) -> LatencyRecord:
        """Return the record of the models in a bundle.

        Raises
        ------
        RuntimeError
            If it refuses one of them, naming the version that does not.
        """
        models = LitertBundleModels(folder, plan)
        try:
            return measure_litert(plan, models, feeds, report)
        except (RuntimeError, ValueError) as exc:
            said = " ".join(str(exc).split())
            raise RuntimeError(f"{said}; {read_index(folder).made_with} can: install that version") from exc


RUNTIME = LitertBundle()
