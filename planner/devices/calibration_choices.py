"""What calibration samples chose for a device's integers: records, and sentences."""

from collections.abc import Iterator, Sequence

from planner.json_record import Record
from profiling.range_method import RangeMethod

_TAKEN = {RangeMethod.BEST: "the best of each tensor"}


class CalibrationChoice(Record, frozen=True, kw_only=True):
    """What calibration samples chose on a device where a scenario leaves something to them.

    Parameters
    ----------
    wanted_ranges
        How the scenario wants ranges of 8-bit activations.
    ranges
        By which method they were taken: with `best` the one with the least noise at the outputs.
    corrects_biases
        Whether biases make up for rounded weights, which is left where it gave no less noise; None if the
        scenario does not ask for it.
    """

    device: str
    wanted_ranges: RangeMethod
    ranges: RangeMethod
    corrects_biases: bool | None = None


def calibration_lines(choices: Sequence[CalibrationChoice]) -> list[str]:
    """Return a line for each thing that calibration samples chose; devices are named where they differ."""
    lines: dict[str, list[str]] = {}
    for one in choices:
        for sentence in _sentences(one):
            lines.setdefault(sentence, []).append(one.device)
    return [
        sentence if len(devices) == len(choices) else f"{', '.join(devices)}: {sentence}"
        for sentence, devices in lines.items()
    ]


def _sentences(choice: CalibrationChoice) -> Iterator[str]:
    """Yield what calibration samples chose on one device."""
    if choice.wanted_ranges is not RangeMethod.MINMAX:
        text = f"ranges of int8 activations: {choice.wanted_ranges}, from calibration samples"
        if choice.wanted_ranges is RangeMethod.BEST:
            text += f", where {_TAKEN.get(choice.ranges, choice.ranges)} gave the least noise"
        yield text
    if choice.corrects_biases is not None:
        yield (
            "biases of int8 and int16 units make up for the mean error of rounded weights"
            if choice.corrects_biases
            else "biases stay as they are: corrected ones gave no less noise on calibration samples"
        )
