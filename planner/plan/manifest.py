"""What lies in a folder of models: files with their hashes, ports and cuts, for whoever runs them."""

import msgspec

from planner.json_record import Record
from planner.plan.plan_record import Cut

MANIFEST, SCENARIO = "manifest.json", "scenario.json"
STAGES, REPORT, FIGURES = "stages", "report.html", "figures"


class Port(Record, frozen=True, kw_only=True):
    """An input or output of a stage; `channels_last`: arrays may have their channels last, as the source."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    channels_last: bool = False


class DataFile(Record, frozen=True, kw_only=True):
    """The weights of a model that is too large for one file; they lie beside it."""

    file: str
    sha256: str


class StageEntry(Record, frozen=True, kw_only=True):
    """One stage of the manifest, in running order."""

    number: int
    device: str
    file: str
    sha256: str
    data: DataFile | None = None
    size_bytes: int | None = msgspec.field(name="bytes", default=None)
    compressed_bytes: int | None = None
    units: int
    precisions: dict[str, int] = msgspec.field(default_factory=dict)
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


class PlanStages(Record, frozen=True, kw_only=True):
    """What a runtime needs to run the stages: files, ports and cuts."""

    format: int
    source: str
    sink: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    stages: tuple[StageEntry, ...]
    cuts: tuple[Cut, ...]


class Manifest(PlanStages, frozen=True, kw_only=True):
    """The stages of a plan folder, and the whole model that lies beside them."""

    model: str = "model.onnx"
    model_sha256: str
    model_data: DataFile | None = None
