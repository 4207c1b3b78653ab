"""What was found of each precision that `precisions: auto` tried: records, and a sentence."""

from collections.abc import Sequence

from planner.json_record import Record
from profiling.precision import Precision


class TriedPrecision(Record, frozen=True, kw_only=True):
    """A precision that was tried on a device before it was measured there.

    Parameters
    ----------
    units
        How many can have it.
    ratio_to_fp32
        Seconds of the model with all of these in it over those of the fp32 model; None where it does not run,
        or no unit can have it.
    standard_error
        Of the ratio, as a fraction of it; 0 for one round.
    noise_relative_rms
        Of that model, on a few calibration samples.
    weight_bytes
        Of all units, those that cannot have it in fp32.
    left_out
        Why it is not planned with; empty if it is.
    """

    device: str
    precision: Precision
    units: int
    ratio_to_fp32: float | None
    standard_error: float = 0.0
    rounds: int = 0
    noise_relative_rms: float | None
    weight_bytes: int
    left_out: str = ""


def tried_precisions_text(tried: Sequence[TriedPrecision]) -> str:
    """Return which precisions were tried and why some are left out, in one line; "" if none was tried.

    Examples
    --------
    >>> row = TriedPrecision(
    ...     device="a", precision="int16", units=3, ratio_to_fp32=3.1, noise_relative_rms=0.01,
    ...     weight_bytes=9,
    ...     left_out="3.1 times the seconds of fp32, larger error",
    ... )
    >>> tried_precisions_text([row])
    'precisions tried: int16; left out: int16 (3.1 times the seconds of fp32, larger error)'
    """
    if not tried:
        return ""
    names = dict.fromkeys(row.precision for row in tried)
    devices = dict.fromkeys(row.device for row in tried)
    reasons = []
    for row in tried:
        if row.left_out:
            where = f" on {row.device}" if len(devices) > 1 else ""
            reasons.append(f"{row.precision}{where} ({row.left_out})")
    return f"precisions tried: {', '.join(names)}; left out: {', '.join(reasons) or 'none'}"
