"""Everything that a device with LiteRT needs to be measured by itself: models, one sample, the code."""

import hashlib
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from profiling.arrays import Feeds
from profiling.latency.write_bundle import write_what_measures
from profiling.litert.flatbuffer import weight_places
from profiling.litert.latency.litert_variants import VariantModels, tiny_stage
from profiling.litert.latency.time_in_place import group_stages
from profiling.on_device.device_main import MODELS
from profiling.on_device.litert.interpreter import litert_version
from profiling.on_device.litert.litert_bundle import (
    INDEX,
    PIECES,
    TINY,
    ModelIndex,
    VariantGroups,
    before_model,
    group_model,
    plain_model,
    stage_model,
)
from profiling.on_device.measurement_order import MeasurementPlan
from profiling.records.json_files import save_json

_SMALL_BYTES = 1024  # weights below it lie in every model that has them


def write_litert_bundle(models: VariantModels, feeds: Feeds, plan: MeasurementPlan, folder: Path) -> None:
    """Write what a device needs to make its own profile.

    Parameters
    ----------
    models, plan
        From `variant_models` and `litert_measurement_plan`, for one graph and its ranges.
    feeds
        One real sample.
    folder
        An empty folder.
    """
    (folder / MODELS).mkdir()
    with PieceWriter(folder / PIECES) as pieces:
        pieces.add(TINY, tiny_stage().content)
        groups = [_add_variant(pieces, models, number, plan) for number in range(len(plan.variants))]
        for variant in range(len(plan.precisions) if plan.stages else 0):
            for number, stage in enumerate(models.stages(variant, plan.stages)):
                pieces.add(stage_model(variant, number), stage.content)
    save_json(ModelIndex(litert_version(), pieces.places, groups), folder / INDEX)
    write_what_measures(feeds, plan, folder)


def _add_variant(
    pieces: "PieceWriter", models: VariantModels, variant: int, plan: MeasurementPlan
) -> VariantGroups:
    """Add a variant and the stages that show its groups' seconds, and return those groups."""
    whole = models.whole(variant)
    pieces.add(plain_model(variant), whole.content)
    owned = models.groups(variant, plan.switches)
    reads = set[str]()
    for number, (ending_with, before) in enumerate(group_stages(owned.groups)):
        pieces.add(group_model(variant, number), ending_with.content)
        reads.update(ending_with.inputs)
        if before is not None:
            pieces.add(before_model(variant, number), before.content)
            reads.update(before.inputs)
    owners = [(owner.kind.value, owner.index) for owner in owned.owners]
    return VariantGroups(owners, sorted(reads - set(whole.inputs)))


class PieceWriter:
    """Writes models in pieces, each piece once; `places` lists them as `ModelPieces` reads them."""

    def __init__(self, path: Path) -> None:
        self.places: dict[str, list[tuple[int, int]]] = {}
        self._known: dict[bytes, tuple[int, int]] = {}
        self._file: BinaryIO = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, name: str, content: bytes) -> None:
        """Write a model under a name, its larger weights as pieces of their own."""
        places, end = [], 0
        for offset, size in weight_places(content):
            if size >= _SMALL_BYTES and offset >= end:
                places += [self._place(content[end:offset]), self._place(content[offset : offset + size])]
                end = offset + size
        self.places[name] = [place for place in (*places, self._place(content[end:])) if place[1]]

    def _place(self, piece: bytes) -> tuple[int, int]:
        key = hashlib.sha256(piece).digest()
        if key not in self._known:
            self._known[key] = self._file.tell(), len(piece)
            self._file.write(piece)
        return self._known[key]
