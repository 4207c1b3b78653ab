"""Which units come out wrong in a precision in which tensors stay in float, found by running them in it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from profiling.arrays import Array, Feeds
from profiling.errors import ModelError
from profiling.graph.operator_graph import Unit
from profiling.graph.unit_graph import ModelGraph
from profiling.noise.isolated_units import (
    NEGLIGIBLE_SHARE,
    ROUNDING_FACTOR,
    rms,
    rms_difference,
    run_all,
    walk_units,
)
from profiling.on_device.create_session import Optimization
from profiling.onnx_io.extract import SubmodelExtractor
from profiling.quantization.node_form import NodeForm, with_forms, with_forms_in_float
from profiling.quantization.qdq_model import Scheme
from profiling.runtime.crash_journal import CrashJournal

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FormCheck:
    """Units that are tried out in a precision with float tensors.

    Parameters
    ----------
    form
        What the precision does to nodes.
    samples, level, journal
        As `profiling.noise.unit_check.UnitCheck` has them.
    """

    graph: ModelGraph
    scheme: Scheme
    form: NodeForm
    samples: Sequence[Feeds]
    level: Optimization
    journal: CrashJournal

    def refused_units(self) -> dict[str, str]:
        """Return unit -> why it must not have the precision, for units that the graph offers it.

        Each runs alone with what it reads in some samples, beside the same roundings in float. Then all run
        together.
        """
        label, extractor = self.scheme.label, SubmodelExtractor(self.graph.model)
        reasons: dict[str, str] = {}
        for unit, live in walk_units(self.graph, self.samples):
            if not unit.can_be(self.scheme.precision):
                continue
            feeds = [{name: tensors[name] for name in unit.inputs} for tensors in live]
            note = f"{unit.name} {label}"
            if cause := self.journal.cause_of(note):
                reasons[unit.name] = f"in {label}, it ended ONNX Runtime ({cause})"
                continue
            with self.journal.entry(note):
                reason = self._fault(extractor.extract(unit.inputs, unit.outputs), feeds)
            if reason:
                reasons[unit.name] = f"in {label}, {reason}"
        reasons |= self._refused_together(reasons)
        for name, reason in reasons.items():
            log.info("unit %s stays in float: %s", name, reason)
        return reasons

    def _refused_together(self, refused: Mapping[str, str]) -> dict[str, str]:
        """Return all units if they fail beside each other: one's form is no other's concern, as a rule."""
        precision, label = self.scheme.precision, self.scheme.label
        able = [u for u in self.graph.units if u.can_be(precision) and u.name not in refused]
        note = f"all units {label}"
        if cause := self.journal.cause_of(note):
            reason = f"it ended ONNX Runtime ({cause})"
        else:
            with self.journal.entry(note):
                reason = self._fault(self.graph.model, self.samples, able) if able else ""
        return {unit.name: f"in {label} beside others, {reason}" for unit in able if reason}

    def _fault(
        self, model: onnx.ModelProto, feeds: Sequence[Feeds], units: Sequence[Unit] | None = None
    ) -> str:
        """Return what is wrong with a model's numbers with some units in the form, all by default."""
        inside = {node.name for node in model.graph.node}
        if units is not None:
            inside = {node for unit in units for node in unit.nodes}
        forms = dict.fromkeys(inside, self.form)
        try:
            computed = run_all(with_forms(model, forms), feeds, self.level)
        except ModelError as exc:
            return f"it does not run: {exc}"
        exact = run_all(model, feeds)
        ideal = run_all(with_forms_in_float(model, forms), feeds)
        outputs = [end.name for end in model.graph.output]
        faults = (
            _difference(name, one[name], two[name], three[name])
            for one, two, three in zip(computed, exact, ideal, strict=True)
            for name in outputs
        )
        return next(filter(None, faults), "")


def _difference(name: str, actual: Array, exact: Array, ideal: Array) -> str:
    """Return what is wrong with an output, beside the exact one and one that is rounded in float."""
    if actual.shape != exact.shape or actual.dtype != exact.dtype:
        return f"it gives {name!r} as {actual.dtype} {list(actual.shape)} instead of {list(exact.shape)}"
    if not np.issubdtype(exact.dtype, np.floating):
        return ""  # a class may change by rounding alone; budgets see to that
    off, expected, size = rms_difference(actual, exact), rms_difference(ideal, exact), rms(exact)
    if off <= ROUNDING_FACTOR * expected + NEGLIGIBLE_SHARE * size:
        return ""
    return (
        f"it is off by {off / (size or 1):.2g} of the size of {name!r}, where rounding alone makes "
        f"{expected / (size or 1):.2g}"
    )
