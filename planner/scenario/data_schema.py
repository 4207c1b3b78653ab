"""Where a scenario's samples come from, and how images become a model's input."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from planner.scenario.field_types import Count, ObjectName, Part, PerChannel, Positive

# Sums with it stay far below 64 bits.
_MOST = 1_000_000_000
Side = Annotated[int, Field(gt=0, le=16384)]


class ImageSpec(Part):
    """From pictures to model input: (pixel / divide_by - subtract) / scale_by, pixels 0..255."""

    layout: Literal["nchw", "nhwc"] = Field(
        "nchw",
        description="Axis order of the input (`plan inspect`); of Keras and TensorFlow models both do.",
    )
    channels: Literal["rgb", "bgr"] = Field("rgb", description="Order in which the model wants them.")
    resize_shorter: Side | None = Field(None, description="Resize the shorter side to so many pixels.")
    crop: Side | None = Field(None, description="Side of the centre square to cut out, in pixels.")
    letterbox: Side | None = Field(
        None, description="Side of the square that the whole picture is scaled into; the rest is `pad`."
    )
    pad: Annotated[int, Field(ge=0, le=255)] = Field(
        114, description="Pixel value around a letterboxed picture."
    )
    letterbox_at: Literal["centre", "top_left"] = Field(
        "centre", description="Where the picture lies in its square."
    )
    divide_by: PerChannel = Field(1.0, description="One number, or one per channel.")
    subtract: PerChannel = Field(0.0, description="One number, or one per channel.")
    scale_by: PerChannel = Field(1.0, description="One number, or one per channel.")

    @model_validator(mode="after")
    def _one_square(self) -> Self:
        if self.letterbox is None:
            unused = self.model_fields_set & {"pad", "letterbox_at"}
            if unused:
                raise ValueError(f"{min(unused)} needs letterbox")
        elif self.resize_shorter is not None or self.crop is not None:
            raise ValueError("letterbox already gives a square: leave out resize_shorter and crop")
        return self

    @model_validator(mode="after")
    def _no_zero(self) -> Self:
        for name in ("divide_by", "scale_by"):
            value = getattr(self, name)
            if 0 in (value if isinstance(value, tuple) else (value,)):
                raise ValueError(f"{name} must not be 0")
        return self


class AudioSpec(Part):
    """From WAV clips to model input: mono, values from -1 to 1 times full_scale."""

    rate: Annotated[int, Field(gt=0, le=1_000_000)] = Field(
        description="Samples per second that the model wants; clips with another rate are refused."
    )
    seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] | None = Field(
        None,
        description="Clips are cut to this length, or padded with zeros at the end; default: the length of "
        "the input, or with features the clip's own.",
    )
    full_scale: Positive = Field(
        1.0, description="Value of the loudest sample; 32768 for models that take 16-bit values."
    )
    features: ObjectName | None = Field(
        None, description="module:function(samples, rate) -> array for the input, such as an MFCC."
    )


class SubsetSpec(Part):
    """Keep the samples whose `column` (default: their position) modulo `modulo` is in `equals`."""

    modulo: Count = Field(description="Divisor.")
    equals: tuple[Annotated[int, Field(ge=0, le=_MOST)], ...] = Field(
        min_length=1, description="Remainders that are kept."
    )
    column: str | None = Field(None, description="Of the label table.")


# `labels` of files: each class has a folder, and its number is the folder's place in sorted order.
FOLDERS = "folders"
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
_ANNOTATION_SUFFIX = ".json"


class LabelTable(Part):
    """A tab-separated file (or comma-separated, .csv) with a header line."""

    file: str = Field(description="Relative to the scenario.")
    image_column: str = Field("file", description="With the names of the files.")
    label_column: str = Field("label", description="With class numbers, or names of classes.")


class SampleSpec(Part):
    """Where samples come from: exactly one of `npz`, `images`, `reader`, `clips`."""

    npz: str | None = Field(None, description="NumPy archive with one array per model input.")
    inputs: dict[str, str] = Field(
        default_factory=dict, description="Model input -> array in the archive; default: same name."
    )
    images: str | None = Field(None, description="Folder of pictures.")
    clips: str | None = Field(None, description="Folder of WAV files.")
    reader: ObjectName | None = Field(
        None, description="module:CalibrationDataReader, found beside the scenario."
    )
    labels: str | LabelTable | None = Field(
        None,
        description="Array in the archive; with files, a table (.csv, .tsv, .txt) of names and labels, "
        "COCO annotations (.json), or `folders`: each folder is a class.",
    )
    classes: str | tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="Names of the classes in the model's order, where labels are names: a list, or a text "
        "file with a name a line; default: the names in sorted order.",
    )
    label_offset: Annotated[int, Field(ge=-_MOST, le=_MOST)] = Field(
        0, description="Added to every label to give the model's class index."
    )
    image: ImageSpec | None = Field(
        None, description="How pixels become the input; required with `images`: `{}` leaves them 0..255."
    )
    audio: AudioSpec | None = Field(None, description="How WAV clips become the input.")
    subset: SubsetSpec | None = Field(None, description="Which samples are used.")
    samples: Count | None = Field(None, description="Use only so many, evenly spread.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = [key for key in ("npz", "images", "reader", "clips") if getattr(self, key) is not None]
        if len(sources) != 1:
            raise ValueError("needs exactly one of npz, images, reader, clips")
        if self.reader is not None and self.model_fields_set & {"inputs", "labels", "image"}:
            raise ValueError("inputs, labels and image do not apply to a reader, which gives finished feeds")
        return self

    @model_validator(mode="after")
    def _prepared_images(self) -> Self:
        if self.images is not None and self.image is None:
            raise ValueError(
                "image is required with images: how pixels become the input, such as {divide_by: 255} for "
                "0..1, or {} for 0..255 as a model takes them that scales them itself"
            )
        return self

    @model_validator(mode="after")
    def _named_labels(self) -> Self:
        if self.classes is not None and (self.folder is None or self.labels is None):
            raise ValueError("classes names the labels of files: give images or clips, and labels")
        return self

    @model_validator(mode="after")
    def _prepared_clips(self) -> Self:
        if self.clips is None and self.audio is not None:
            raise ValueError("audio says how clips become the input: give clips, a folder")
        if self.clips is not None and self.audio is None:
            raise ValueError("audio is required with clips: at least {rate: ...}")
        if self.clips is not None and self.image is not None:
            raise ValueError("image does not apply to clips; audio does")
        return self

    @property
    def folder(self) -> str | None:
        """The folder whose files are the samples; None if they come from elsewhere."""
        return self.images if self.images is not None else self.clips

    @property
    def annotations(self) -> str | None:
        """The file of COCO annotations that `labels` names; None if it names something else."""
        file = self.label_file if self.images is not None and isinstance(self.labels, str) else None
        return file if file is not None and file.lower().endswith(_ANNOTATION_SUFFIX) else None

    @property
    def label_file(self) -> str | None:
        """The file that `labels` names: it lies beside the samples, which are files themselves."""
        if isinstance(self.labels, LabelTable):
            return self.labels.file
        return self.labels if self.folder is not None and self.labels != FOLDERS else None


class DataSpec(Part):
    """Calibration samples choose ranges and tighten budgets; evaluation samples only judge."""

    calibration: SampleSpec = Field(description="Samples that choose quantization ranges.")
    evaluation: SampleSpec = Field(description="Samples that judge the finished plan.")
