"""Which modes each unit can take, found by quantizing and running."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError, QuantizeError
from profiling.litert.calibration import Ranges
from profiling.litert.cut import cut_out, whole_stage
from profiling.litert.interpreter import is_delegated, run_chain
from profiling.litert.load import LitertModel
from profiling.litert.modes import FP32, MODES, Mode, WeightUse
from profiling.litert.quantize import quantize_units, why_not
from profiling.litert.unit_graph import LitertGraph
from profiling.runtime.crash_journal import CrashJournal

_WRONG = 1.0  # relative error: an answer of zeros is as good


@dataclass(frozen=True, slots=True)
class UnitModes:
    """What a unit can compute in.

    Parameters
    ----------
    possible
        Modes, float first.
    reasons
        Mode's name -> why not, for all others.
    """

    possible: tuple[Mode, ...]
    reasons: Mapping[str, str]


def find_modes(
    graph: LitertGraph,
    ranges: Ranges,
    samples: Sequence[Feeds],
    modes: Sequence[Mode] = MODES,
    journal: CrashJournal | None = None,
) -> tuple[UnitModes, ...]:
    """Return what each unit can compute in.

    Parameters
    ----------
    samples
        One is enough: a unit that fails, or alone makes the answer wrong, does so on any.
    journal
        Knows over what LiteRT ended the process before; without one it does so again.
    """
    search = _Search(graph, ranges, samples, journal)
    reasons = {mode: search.reasons(mode) for mode in modes if mode is not FP32}
    return tuple(
        UnitModes(
            (FP32, *(mode for mode, why in reasons.items() if unit not in why)),
            {mode.name: why[unit] for mode, why in reasons.items() if unit in why},
        )
        for unit in range(len(graph.units))
    )


def relative_error(expected: Mapping[str, Array], got: Mapping[str, Array]) -> float:
    """Return the norm of the difference of all outputs over that of the expected ones.

    It is infinite where a number is none, or an output has another shape than expected.
    """
    if any(got[key].shape != value.shape for key, value in expected.items()):
        return float("inf")
    with np.errstate(invalid="ignore", over="ignore"):
        difference = sum(
            float(np.square(got[key].astype(np.float64) - value.astype(np.float64)).sum())
            for key, value in expected.items()
        )
        norm = sum(float(np.square(value.astype(np.float64)).sum()) for value in expected.values())
    if not np.isfinite(difference):
        return float("inf")
    return float(np.sqrt(difference / norm)) if norm else float("inf") if difference else 0.0


class _Search:
    def __init__(
        self, graph: LitertGraph, ranges: Ranges, samples: Sequence[Feeds], journal: CrashJournal | None
    ) -> None:
        self._graph, self._ranges, self._samples, self._journal = graph, ranges, samples, journal
        whole = [whole_stage(graph.model)]
        self._expected = [run_chain(graph.model, whole, feeds) for feeds in samples]

    def reasons(self, mode: Mode) -> dict[int, str]:
        """Return unit -> why it cannot compute in a mode."""
        units = range(len(self._graph.units))
        known = {u: why for u in units if (why := why_not(self._graph, u, mode, self._ranges))}
        known |= self._failing(mode, [unit for unit in units if unit not in known])
        if mode.weight_use is not WeightUse.BESIDE_ROUNDED:
            return known
        return known | self._undelegated(mode, [unit for unit in units if unit not in known])

    def _undelegated(self, mode: Mode, units: Sequence[int]) -> dict[int, str]:
        """Return units that leave the delegate in a mode, but not in float.

        Their kernels take several times as long as those in float, and cut the delegate's part of the model
        in two, so that the time of others depends on them. With weights alone in integers they stay in it.
        """
        if not units:
            return {}
        quantized = quantize_units(self._graph, dict.fromkeys(units, mode), self._ranges)
        reason = f"XNNPACK has no kernel for it in {mode.name}"
        return {
            unit: reason
            for unit in units
            if not _is_delegated(quantized.model, quantized.operators[unit], quantized.shared)
            and _is_delegated(self._graph.model, self._graph.operators[unit], self._graph.shared)
        }

    def _failing(self, mode: Mode, units: Sequence[int]) -> dict[int, str]:
        """Return those of some units that fail: all at once if none does, halves of them otherwise."""
        if self._journal is not None and units:
            note = self._note(mode, units)
            if cause := self._journal.cause_of(note):
                return self._crashing(mode, units, cause)
            with self._journal.entry(note):
                trouble, reasons = self._trouble(mode, units)
        else:
            trouble, reasons = self._trouble(mode, units)
        if not trouble:
            return reasons
        if len(units) == 1:
            return {units[0]: trouble}
        middle = len(units) // 2
        return {**self._failing(mode, units[:middle]), **self._failing(mode, units[middle:])}

    def _crashing(self, mode: Mode, units: Sequence[int], cause: str) -> dict[int, str]:
        """Return those of some units over which LiteRT ended the process: each alone, then all others.

        Halves would end it once more for each halving.
        """
        if len(units) == 1:
            return {units[0]: f"in {mode.name}, it ended LiteRT ({cause})"}
        alone = [self._failing(mode, [unit]) for unit in units]
        reasons = {unit: why for found in alone for unit, why in found.items()}
        if not reasons:
            return dict.fromkeys(units, f"in {mode.name} beside others, it ended LiteRT ({cause})")
        return reasons | self._failing(mode, [unit for unit in units if unit not in reasons])

    def _note(self, mode: Mode, units: Sequence[int]) -> str:
        first, last = self._graph.units[units[0]].name, self._graph.units[units[-1]].name
        several = f"{len(units)} units from {first} to {last}"
        return f"{first if len(units) == 1 else several} in {mode.name}"

    def _trouble(self, mode: Mode, units: Sequence[int]) -> tuple[str, dict[int, str]]:
        """Return what goes wrong with some units in a mode, and which of them were left in float."""
        if not units:
            return "", {}
        try:
            quantized = quantize_units(self._graph, dict.fromkeys(units, mode), self._ranges)
            stages = [whole_stage(quantized.model)]
            for feeds, expected in zip(self._samples, self._expected, strict=True):
                error = relative_error(expected, run_chain(self._graph.model, stages, feeds))
                if error >= _WRONG:
                    return f"makes the answer wrong: relative error {error:.3g}", {}
        except (ModelError, QuantizeError) as exc:
            return f"fails in {mode.name}: {exc}", {}
        return "", dict(quantized.reasons)


def _is_delegated(model: LitertModel, operators: Sequence[int], shared: Collection[int]) -> bool:
    others = [n for n in range(len(model.operators)) if n not in operators and n not in shared]
    return is_delegated(cut_out(model, operators, others, shared).content)
