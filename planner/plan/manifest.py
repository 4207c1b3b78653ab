"""What lies in a folder of models: files with their hashes, ports and cuts, for whoever runs them."""

import msgspec

from planner.json_record import Record
from planner.metrics.output_form import DetectorOutputs
from planner.plan.plan_record import Cut

MANIFEST, SCENARIO = "manifest.json", "scenario.json"
STAGES, WHOLE, REPORT, FIGURES = "stages", "whole", "report.html", "figures"


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


class ModelFile(Record, frozen=True, kw_only=True):
    """A file of a model, and of its weights where these lie beside it."""

    file: str
    sha256: str
    data: DataFile | None = None


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


class PicturePreparation(Record, frozen=True, kw_only=True):
    """How a picture becomes the input; keys as in a scenario's `image`.

    Sizes come first, in pixels of 8 bits, then (pixel / divide_by - subtract) / scale_by as float32.

    Parameters
    ----------
    layout
        Axis order of the input of the stages.
    divide_by, subtract, scale_by
        One number, or one per channel.
    """

    layout: str
    channels: str
    resize_shorter: int | None
    crop: int | None
    letterbox: int | None
    pad: int
    letterbox_at: str
    divide_by: tuple[float, ...]
    subtract: tuple[float, ...]
    scale_by: tuple[float, ...]


class ClipPreparation(Record, frozen=True, kw_only=True):
    """How a WAV clip becomes the input; keys as in a scenario's `audio`."""

    rate: int
    seconds: float | None
    full_scale: float
    features: str | None


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
    """The stages of a plan folder, the whole model that lies beside them, and what goes in and comes out.

    Parameters
    ----------
    whole
        The whole model as a chain, cut only where the runtime changes; empty if it does not.
    image, audio
        How samples became the input when the plan was judged; None where arrays are taken as they are.
    classes
        Names of the model's classes in its order, where the data name them; "" for one without a name.
    detector
        How outputs were read, of a detector that is judged by COCO's average precision.
    """

    model: str = "model.onnx"
    model_sha256: str
    model_data: DataFile | None = None
    whole: tuple[ModelFile, ...] = ()
    image: PicturePreparation | None = None
    audio: ClipPreparation | None = None
    classes: tuple[str, ...] = ()
    detector: DetectorOutputs | None = None
