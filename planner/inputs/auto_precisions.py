"""`precisions: auto` -> the precisions that are planned with, tried out before anything is profiled."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.devices.dominated_precisions import ALWAYS, WholeModelCosts, dominated_precisions
from planner.devices.profile_files import is_cost_table, naming_profile
from planner.devices.runtime import origin_of, runtime_of
from planner.devices.tried_precisions import TriedPrecision, tried_precisions_text
from planner.inputs.calibrated_model import CalibratedModel
from planner.scenario.budget_schema import ObjectiveSpec
from planner.scenario.device_schema import DeviceSpec
from planner.scenario.fleet_schema import FleetSpec
from planner.scenario.schema import Scenario
from profiling.graph.unit_graph import ModelGraph
from profiling.on_device.processor import cpu_description
from profiling.precision import DEFAULT_PRECISIONS, Precision, Wire
from profiling.probe_precisions import FEW_ROUNDS, PrecisionProbe, ProbedPrecision, probe_precisions
from profiling.progress import Progress, silent
from profiling.quantization.calibration import Calibration
from profiling.quantization.qdq_model import Scheme
from profiling.records.cache import EntryKind, cached, entry_path
from profiling.records.cost_table import read_cost_table
from profiling.records.profile import load_profile

log = logging.getLogger(__name__)

MEMORY = "memory"
# Samples on which errors are compared: as many as come to so many multiplications, between two bounds.
_WORK, _FEWEST, _MOST = 8e9, 2, 8
_ERRORS = 2  # standard errors by which a median may be off
_MARGIN_OF_FEW = 0.25  # so few rounds show no spread
# Weights in float16 are float32 once they are loaded: whatever a probe shows, the same kernels run.
_RUN_AS_FP32 = Precision.FP32, Precision.FLOAT16
_FLOAT_BYTES = 4
_WIRE_BYTES = {Precision.INT8: 1, Precision.INT16: 2}  # of an element between two such units


def find_precisions(
    scenario: Scenario,
    subject: CalibratedModel,
    schemes: Mapping[str, Scheme],
    ranges: Path,
    more_budgets: Collection[str] = (),
    progress: Progress = silent,
) -> tuple[Scenario, tuple[TriedPrecision, ...]]:
    """Return a scenario whose devices have the precisions that something speaks for, and what was tried.

    Those of a device that is measured here, or scaled from one, are tried out: what another device, a class
    of the fleet or `placement` names stays. One with a profile file has those of the file.

    Parameters
    ----------
    scenario
        Whose precisions are tried out.
    subject
        In which units lack the precisions that they are refused.
    schemes
        Of the devices that are planned with.
    more_budgets
        Budgets, and costs that are minimized, beside those of the scenario.

    Raises
    ------
    ProfileError
        If a device's profile cannot be read.
    """
    if not isinstance(graph := subject.graph, ModelGraph):
        raise TypeError("only precisions of ONNX Runtime are tried out")
    named, tried = _named(scenario), dict[str, tuple[TriedPrecision, ...]]()
    counts_weights = _counts_weights(scenario, more_budgets)
    kept = dict[str, tuple[Precision, ...]]()
    for device in scenario.devices:
        origin, _ = origin_of(scenario, device)
        if device.precisions is not None or device.name not in schemes:
            continue
        if origin.is_measured_here:
            if origin.name not in tried:
                calibration = Calibration(schemes.get(origin.name, schemes[device.name]), ranges)
                trial = _Trial(scenario, subject, graph, origin, calibration)
                tried[origin.name] = trial.tried(named, progress, counts_weights=counts_weights)
            found = {row.precision for row in tried[origin.name] if not row.left_out}
        else:
            found = _of_file(scenario, origin, subject)
        kept[device.name] = tuple(p for p in scenario.offered_precisions if p in found)
    fleet = _fleet_with_own(scenario.fleet, scenario, subject) if scenario.fleet is not None else None
    of_classes = [one.precisions or () for one in fleet.classes] if fleet is not None else []
    wanted = {*named, *(p for precisions in (*kept.values(), *of_classes) for p in precisions)}
    precisions = tuple(p for p in scenario.offered_precisions if p in wanted)
    devices = tuple(
        device.model_copy(update={"precisions": kept[device.name]})
        if kept.get(device.name, precisions) != precisions
        else device
        for device in scenario.devices
    )
    rows = tuple(row for rows_of_device in tried.values() for row in rows_of_device)
    if text := tried_precisions_text(rows):
        log.info("%s", text)
    found_out = {"precisions": precisions, "devices": devices}
    # A plan of it is recognized by what the scenario says: no key more.
    return scenario.model_copy(update=found_out | ({} if fleet is None else {"fleet": fleet})), rows


def _named(scenario: Scenario) -> set[Precision]:
    """Return the precisions that are named apart from `precisions`."""
    named = set(scenario.placement.precision.values())
    for device in scenario.devices:
        named.update(device.precisions or ())
    for device_class in scenario.fleet.classes if scenario.fleet else ():
        named.update(device_class.precisions or ())
    return named


def _fleet_with_own(fleet: FleetSpec, scenario: Scenario, subject: CalibratedModel) -> FleetSpec:
    """Return a fleet whose classes with profiles of their own have the precisions of these."""
    device = scenario.device(fleet.device)
    classes = []
    for one in fleet.classes:
        if one.profile is not None and one.precisions is None and device.precisions is None:
            of_class = device.model_copy(update={"profile": one.profile})
            found = _of_file(scenario, of_class, subject)
            own = tuple(p for p in scenario.offered_precisions if p in found)
            classes.append(one.model_copy(update={"precisions": own}))
        else:
            classes.append(one)
    return fleet.model_copy(update={"classes": tuple(classes)})


def _of_file(scenario: Scenario, device: DeviceSpec, subject: CalibratedModel) -> set[Precision]:
    """Return the precisions of which a profile file has every unit's seconds; unset, of what it must have."""
    if scenario.precisions is None:
        return set(DEFAULT_PRECISIONS)
    path = Path(str(device.profile))
    with naming_profile(scenario, device):
        rows = read_cost_table(path) if is_cost_table(path) else load_profile(path).latency.units
    pairs = {(row.unit, row.precision) for row in rows}
    return {
        precision
        for precision in scenario.offered_precisions
        if (able := [unit.name for unit in subject.graph.units if unit.can_be(precision)])
        and all((name, precision) in pairs for name in able)
    } | {Precision.FP32}


@dataclass(frozen=True, slots=True)
class _Trial:
    """A device on which precisions are tried, and the model with which that is done."""

    scenario: Scenario
    subject: CalibratedModel
    graph: ModelGraph
    device: DeviceSpec
    calibration: Calibration

    def tried(
        self, named: Collection[Precision], progress: Progress, *, counts_weights: bool
    ) -> tuple[TriedPrecision, ...]:
        """Return what a probe shows of each precision, fp32 first, and which ones it leaves out.

        Parameters
        ----------
        named
            Those that stay whatever it shows.
        """
        rows = (ProbedPrecision(Precision.FP32, len(self.graph.units)), *self._probe(progress).rows)
        costs = {
            row.precision: self._costs(row, counts_weights=counts_weights)
            for row in rows
            if row.units and not row.fault
        }
        reasons = {
            precision: _difference(costs[precision], costs[better], counts_weights=counts_weights)
            for precision, better in dominated_precisions(list(costs.values())).items()
        }
        reasons |= {
            row.precision: f"it does not run: {row.fault}" if row.fault else "no unit can have it"
            for row in rows
            if row.precision not in costs
        }
        return tuple(
            TriedPrecision(
                device=self.device.name,
                precision=row.precision,
                units=row.units,
                ratio_to_fp32=row.ratio if row.precision in costs else None,
                standard_error=row.standard_error,
                rounds=row.rounds,
                noise_relative_rms=row.noise_power**0.5 if row.precision in costs else None,
                weight_bytes=self._weight_bytes(row.precision),
                left_out="" if row.precision in (*ALWAYS, *named) else reasons.get(row.precision, ""),
            )
            for row in rows
        )

    def _probe(self, progress: Progress) -> PrecisionProbe:
        """Return what was measured of the precisions besides fp32, from the cache where it is known."""
        subject, runtime = self.subject, runtime_of(self.device)
        count = min(_MOST, max(_FEWEST, int(_WORK / max(1, subject.model.multiplications()))))
        precisions = [p for p in self.scenario.offered_precisions if p is not Precision.FP32]
        path = entry_path(
            EntryKind.PROBE,
            probe_precisions,
            subject=subject.fingerprint,
            scheme=self.calibration.key,
            runtime=subject.model.runtime_version,
            processor=cpu_description(),
            threads=runtime.threads,
            provider=runtime.provider,
            samples=count,
            units=subject.able_units(precisions),
        )

        def make() -> PrecisionProbe:
            samples = list(subject.calibration.spread(count).samples)
            return probe_precisions(self.graph, self.calibration, samples, runtime, precisions, progress)

        return cached(path, PrecisionProbe, make)

    def _costs(self, row: ProbedPrecision, *, counts_weights: bool) -> WholeModelCosts:
        """Return what counts of a precision: memory and links only where there are some to save."""
        float_bytes = _FLOAT_BYTES // 2 if Wire.FLOAT16 in self.scenario.wires else _FLOAT_BYTES
        margin = _ERRORS * row.standard_error if row.rounds > FEW_ROUNDS else _MARGIN_OF_FEW
        runs_as_fp32 = row.precision in _RUN_AS_FP32
        return WholeModelCosts(
            precision=row.precision,
            units=self._able(row.precision),
            ratio=1.0 if runs_as_fp32 else row.ratio,
            margin=0.0 if runs_as_fp32 else margin,
            noise_power=row.noise_power,
            weight_bytes=self._weight_bytes(row.precision) if counts_weights else 0,
            wire_bytes=_WIRE_BYTES.get(row.precision.numbers, float_bytes) if self.scenario.links else 0,
        )

    def _able(self, precision: Precision) -> tuple[int, ...]:
        return tuple(unit.index for unit in self.graph.units if unit.can_be(precision))

    def _weight_bytes(self, precision: Precision) -> int:
        """Return the bytes of all weights with every unit in a precision that can be."""
        able = set(self._able(precision))
        return sum(
            self.graph.stored_bytes(unit.index, precision if unit.index in able else Precision.FP32)
            for unit in self.graph.units
        )


def _difference(worse: WholeModelCosts, better: WholeModelCosts, *, counts_weights: bool) -> str:
    """Return what one precision has worse than another."""
    if worse.precision.numbers is better.precision:
        return f"not faster than {better.precision}, whose numbers it has"
    ratio = f"{worse.ratio / better.ratio:.2g}"
    slower = (
        f"{ratio} times the seconds of {better.precision}"
        if float(ratio) > 1
        else f"not faster than {better.precision}"
    )
    error = "larger error" if worse.noise_power > better.noise_power else "the same error"
    weights = ", weights no smaller" if counts_weights else ""
    return f"{slower}, {error}{weights}"


def _counts_weights(scenario: Scenario, more_budgets: Collection[str]) -> bool:
    """Return whether anything asks for little memory."""
    objective = scenario.objective
    weighs = isinstance(objective, ObjectiveSpec) and objective.memory > 0
    classes = scenario.fleet.classes if scenario.fleet else ()
    return (
        weighs
        or objective == MEMORY
        or bool(scenario.budget.memory_mib)
        or any(device_class.memory_mib is not None for device_class in classes)
        or any(name.startswith(MEMORY) for name in more_budgets)
    )
