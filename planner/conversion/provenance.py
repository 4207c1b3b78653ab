"""What a planned model was converted from, as plan.json says it."""

from planner.json_record import Record, Unbounded, restore_infinite


class ConvertedFrom(Record, frozen=True, kw_only=True):
    """The Keras or TensorFlow model behind a converted one, and how far their answers are apart.

    Parameters
    ----------
    opset
        Of an ONNX model; 0 for a `.tflite` file.
    versions
        Of the packages that converted it.
    channels_first
        Inputs that the source takes with channels last and the ONNX model with channels first.
    max_abs_difference, relative_rms_difference
        Over all outputs and samples, the former the infinity norm; the latter is
        ||converted - source|| / ||source||. The norm is null in JSON where it is infinite.
    samples
        On which they were compared; 0 if the runtime here cannot run the model.
    data
        What the samples are: calibration samples or random numbers.
    doubt
        What differs on random numbers by more than rounding does; empty if nothing.
    converted_to
        `onnx` or `tflite`.
    quantization
        What the conversion to TFLite quantized; `none` if nothing.
    flex_operators
        Operators of a `.tflite` file that LiteRT runs through its Flex delegate only.
    """

    source: str
    opset: int
    versions: dict[str, str]
    notes: tuple[str, ...]
    channels_first: tuple[str, ...]
    max_abs_difference: Unbounded
    relative_rms_difference: float
    samples: int
    data: str
    doubt: str = ""
    converted_to: str = "onnx"
    quantization: str = "none"
    flex_operators: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        restore_infinite(self, "max_abs_difference")
