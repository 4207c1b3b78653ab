"""How a scenario judges outputs: by a function of the user, or by a measure of the field."""

from typing import Annotated, Literal

from pydantic import Field

from planner.scenario.field_types import Fraction, Part

COCO_AP: Literal["coco_ap"] = "coco_ap"
OutputName = Annotated[str, Field(min_length=1)]


class CocoApSpec(Part):
    """COCO's average precision of a detector, and how its outputs are read."""

    name: Literal["coco_ap"] = Field(description="The measure.")
    form: Literal["yolox", "yolox_raw", "yolov8", "boxes_scores", "detections"] | None = Field(
        None, description="What the outputs hold; default: guessed by their shapes."
    )
    boxes: OutputName | None = Field(None, description="Output with the boxes; default: found by its shape.")
    scores: OutputName | None = Field(None, description="Output with the scores; default: found by its name.")
    classes: OutputName | None = Field(
        None, description="Output with the classes; default: found by its name."
    )
    box_format: Literal["xyxy", "yxyx", "xywh", "cxcywh"] | None = Field(
        None,
        description="Two corners; corner and size; centre and size. Default: xyxy of boxes_scores and "
        "detections; the others have cxcywh.",
    )
    normalized: bool = Field(
        default=False, description="Whether boxes are fractions of the input, not pixels."
    )
    category_ids: Literal["sorted", "own"] | tuple[int, ...] = Field(
        "sorted",
        description="Category of each class: the annotations' ids in sorted order, the class numbers "
        "themselves (own), or a list of ids in the model's order.",
    )
    score_threshold: Fraction = Field(0.001, description="Boxes with lower scores are left out.")
    iou_threshold: Fraction = Field(
        0.65, description="Of two boxes of a class that overlap more, the lower score is left out."
    )


MetricName = Annotated[str, Field(pattern=r"^(coco_ap|(.*/)?[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")]
MetricSpec = MetricName | CocoApSpec
