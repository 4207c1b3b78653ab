"""What is wanted of plans over all precisions beside what people use, and what the rows of a run show."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from bars import Bar
from competing_plans import Row, noise_bars, time_bars

from profiling.precision import Precision

TOOL = "accuracy control (NNCF)"
WIDE = "tensor overrides (ONNX Runtime)"
FRONT, ACCURACY, MEMORY = "front", "accuracy", "memory"  # what a plan matches, besides noise and time
POINT, DETECTOR_POINT = 0.01, 0.005  # of accuracy, that may be lost
_MOST_BYTES, _MOST_PROFILING, _LEAST_GAIN, _SHARE = 0.6, 4.0, 0.8, 0.6
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Shown:
    """What a model showed: its rows, and the seconds of its profile with two precisions and with all."""

    network: str
    rows: list[Row]
    two_s: float = 0.0
    all_s: float = 0.0
    failed: tuple[str, ...] = ()  # competitors that could not be made, and why

    def at(self, equal: str) -> list[Row]:
        """Return the rows of plans that match something."""
        return [row for row in self.rows if row.equal == equal]


def bars(shown: Sequence[Shown]) -> list[Bar]:
    """Return all bars of the models that ran."""
    rows = [row for one in shown for row in one.rows]
    return [
        *noise_bars(rows, "precisions"),
        *_beside(shown, TOOL, lambda one: [row for row in one.at("noise") if row.competitor == TOOL]),
        *_beside(shown, "fp32 + int8, along the front", lambda one: one.at(FRONT)),
        *(bar for one in shown for bar in _profiling(one)),
        *(bar for one in shown for bar in _of_model(one)),
        *(Bar(f"{one.network}: what is left out", "nothing", why, kept=False) for one in shown
          for why in one.failed),
    ]  # fmt: skip


def _beside(shown: Sequence[Shown], name: str, rows_of: Callable[[Shown], list[Row]]) -> list[Bar]:
    """Return whether plans are never slower than something, and faster on most models."""
    found = {one.network: rows_of(one) for one in shown if rows_of(one)}
    if not found:
        return [Bar(f"beside {name}", "some rows", "none", kept=False)]
    slower = [f"{network} {row.plan_over_competitor:.3f}" for network, rows in found.items()
              for row in rows if row.is_slower]  # fmt: skip
    faster = [network for network, rows in found.items() if any(row.is_faster for row in rows)]
    wanted = ceil(_SHARE * len(shown))
    return [
        Bar(f"beside {name}: plans that are slower", "none", ", ".join(slower) or "none", not slower),
        Bar(
            f"beside {name}: models with a faster plan",
            f">= {wanted} of {len(shown)}",
            f"{len(faster)} of {len(shown)}",
            len(faster) >= wanted,
        ),
    ]


def _profiling(one: Shown) -> Iterable[Bar]:
    if one.two_s:
        ratio = one.all_s / one.two_s
        seen = f"{ratio:.1f} ({one.all_s:.0f} s / {one.two_s:.0f} s)"
        text = f"{one.network}: profile of all precisions over that of two"
        yield Bar(text, f"<= {_MOST_PROFILING:.0f}", seen, ratio <= _MOST_PROFILING)


def _of_model(one: Shown) -> Iterable[Bar]:
    """Yield what is wanted of one model alone."""
    if one.network == "mobilenetv1":
        for row in one.at(ACCURACY):
            seen = _accuracy_seen(row)
            wanted = f"time < 1, drop <= {POINT:.1%}"
            kept = row.plan_ratio < 1 and _keeps(row, POINT)
            yield Bar("mobilenetv1: plan beside fp32", wanted, seen, kept)
    if one.network == "kwt1":
        yield from _least_memory(one.at(MEMORY))
        yield from _best_single(one.at("noise"))
    if one.network == "yolox":
        yield from time_bars(one.rows, "precisions")
        for row in one.at(ACCURACY):
            gain, int8_gain = 1 - row.plan_ratio, 1 - row.ratio
            kept = gain > 0 and gain >= _LEAST_GAIN * int8_gain and _keeps(row, DETECTOR_POINT)
            wanted = f">= {_LEAST_GAIN:.0%} of all-int8's gain, AP drop <= {DETECTOR_POINT:.1%}"
            yield Bar("yolox: plan beside fp32", wanted, f"{_accuracy_seen(row)}, int8 {row.ratio:.3f}", kept)


def _keeps(row: Row, most: float) -> bool:
    return not row.failed and row.drop <= most + _ROUNDING


def _accuracy_seen(row: Row) -> str:
    return row.failed or f"time {row.plan_ratio:.3f}, drop {row.drop:.1%}"


def _least_memory(rows: Sequence[Row]) -> Iterable[Bar]:
    for row in rows:
        share = row.plan_bytes / row.stored_bytes if row.stored_bytes else 1.0
        seen = row.failed or f"{share:.2f}, drop {row.drop:.1%}"
        kept = share <= _MOST_BYTES and _keeps(row, POINT)
        wanted = f"<= {_MOST_BYTES}, drop <= {POINT:.1%}"
        yield Bar("kwt1: least bytes over all-int8's", wanted, seen, kept)


def _best_single(rows: Sequence[Row]) -> Iterable[Bar]:
    """Yield whether a plan beats the fastest single precision without more noise."""
    singles = [row for row in rows if row.competitor in tuple(Precision)]
    if not singles:
        return
    best = min(singles, key=lambda row: row.ratio)
    seen = best.failed or (
        f"{best.plan_over_competitor:.3f} ({best.competitor}), noise {best.plan_noise:.3g} / {best.noise:.3g}"
    )
    kept = best.is_faster and best.plan_noise <= best.noise
    yield Bar("kwt1: plan over the fastest single precision", "faster, noise no higher", seen, kept)
