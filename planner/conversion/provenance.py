"""What a planned model was converted from, as plan.json says it."""

from planner.json_record import Record


class ConvertedFrom(Record, frozen=True, kw_only=True):
    """The Keras or TensorFlow model behind the ONNX one, and how far their answers are apart.

    Parameters
    ----------
    versions
        Of the packages that converted it.
    channels_first
        Inputs that the source takes with channels last and the ONNX model with channels first.
    max_abs_difference, relative_rms_difference
        Over all outputs and samples; the latter is ||onnx - source|| / ||source||.
    data
        What the samples are: calibration samples or random numbers.
    doubt
        What differs on random numbers by more than rounding does; empty if nothing.
    """

    source: str
    opset: int
    versions: dict[str, str]
    notes: tuple[str, ...]
    channels_first: tuple[str, ...]
    max_abs_difference: float
    relative_rms_difference: float
    samples: int
    data: str
    doubt: str = ""
