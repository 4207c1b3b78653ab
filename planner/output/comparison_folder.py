"""The folder of a comparison: its record, its rows, and the models of a plan set, written whole."""

from math import inf
from pathlib import Path

import msgspec

from planner.comparison.bandwidth_and_budget_sweep import CompareResult
from planner.comparison.comparison_record import Comparison, SelectedPlan
from planner.comparison.fleet.fleet_records import FleetPlans, FleetRule, plan_for
from planner.deployment.metadata import label_as_shared
from planner.errors import OutputError, ScenarioError, UsageError
from planner.formatting import range_text
from planner.json_record import Record
from planner.output.atomic_folder import atomic_directory, check_replaceable, list_files
from planner.output.record_files import FLEET, PLANS, read_record
from planner.output.saved_plan import check_stages
from planner.output.stage_files import ports_of, save_stage, stage_name
from planner.plan.configuration import Configuration
from planner.plan.manifest import FIGURES, REPORT, STAGES, PlanStages, Port, StageEntry
from planner.plan.plan_record import FORMAT as PLAN_FORMAT
from planner.plan.plan_record import Cut
from planner.refinement.measured_scenario import MeasuredScenario
from planner.report.tables.comparison_table import comparison_csv
from planner.scenario.loader import dump_scenario
from profiling.graph.any_model import Stage, inputs_of, outputs_of
from profiling.records.json_files import load_json, save_json

COMPARISON, TABLE = "compare.json", "compare.csv"
PLANS_FORMAT = FLEET_FORMAT = 1


class FleetPlan(Record, frozen=True, kw_only=True):
    """A plan that is held for a fleet, and its stages in running order."""

    plan: int
    summary: str
    stages: tuple[StageEntry, ...]
    cuts: tuple[Cut, ...]


class RunnableFleet(Record, frozen=True, kw_only=True):
    """What a runtime needs to pick the plan of a class of `device` at a bandwidth of `links`: `fleet.json`.

    It runs the plan of the entry of `rule` with its class whose `low` to `high` (Mbit/s) holds the bandwidth.

    Parameters
    ----------
    scenario
        Resolved, as in `plan.json`, with its fleet.
    """

    format: int
    device: str
    links: tuple[str, ...]
    source: str
    sink: str
    objective: str
    mean_objective: float | None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    rule: tuple[FleetRule, ...]
    plans: tuple[FleetPlan, ...]
    scenario: msgspec.Raw = msgspec.Raw(b"null")

    def stages_of(self, plan: FleetPlan) -> PlanStages:
        """Return what a runtime needs to run one of the plans."""
        return _stages_of(self, plan)

    def rule_of(self, device_class: str) -> tuple[FleetRule, ...]:
        """Return the entries of a class, slow links first.

        Raises
        ------
        ScenarioError
            If no plan is held for it.
        """
        own = tuple(one for one in self.rule if one.device_class == device_class)
        if not own:
            raise ScenarioError(f"--class {device_class}: {self._why_unknown()}")
        return own

    def _why_unknown(self) -> str:
        names = list(dict.fromkeys(one.device_class for one in self.rule))
        if not names:
            return f"no plan is possible for any class of {self.device}; {COMPARISON} says why"
        return f"no plan is held for it; classes with a plan are {', '.join(names)}"


class RunnablePlan(Record, frozen=True, kw_only=True):
    """A plan that is held: when to run it, its latency over bandwidth, and its stages in running order.

    Parameters
    ----------
    compute_s
        Device -> seconds that it computes.
    """

    plan: int
    summary: str
    low: float | None
    high: float | None
    leave_below: float | None
    leave_above: float | None
    fixed_s: float
    link_s: float
    compute_s: dict[str, float] = msgspec.field(default_factory=dict)
    stages: tuple[StageEntry, ...]
    cuts: tuple[Cut, ...]


class RunnableSet(Record, frozen=True, kw_only=True):
    """What a runtime needs to follow the bandwidth: `plans.json`.

    It runs the plan whose `leave_below` to `leave_above` holds the bandwidth of `links` (in `unit`), stays
    with it while that is so, and then takes the one whose `low` to `high` does.

    Parameters
    ----------
    compared_from, compared_to
        Bandwidths between which plans were compared.
    scenario
        Resolved, as in `plan.json`.
    """

    format: int
    links: tuple[str, ...]
    unit: str
    source: str
    sink: str
    mean_latency_s: float
    regret: float
    compared_from: float | None = None
    compared_to: float | None = None
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    plans: tuple[RunnablePlan, ...]
    scenario: msgspec.Raw = msgspec.Raw(b"null")

    def stages_of(self, plan: RunnablePlan) -> PlanStages:
        """Return what a runtime needs to run one of the plans."""
        return _stages_of(self, plan)


def _stages_of(held: RunnableFleet | RunnableSet, plan: FleetPlan | RunnablePlan) -> PlanStages:
    return PlanStages(
        format=PLAN_FORMAT,
        source=held.source,
        sink=held.sink,
        inputs=held.inputs,
        outputs=held.outputs,
        stages=plan.stages,
        cuts=plan.cuts,
    )


def check_comparison(folder: Path) -> None:
    """Fail early if a comparison cannot go into `folder`.

    Raises
    ------
    OutputError
        If it is a file, or holds something that is no comparison.
    """
    allowed = {COMPARISON, TABLE, PLANS, FLEET, STAGES, REPORT, FIGURES}
    check_replaceable(folder, f"--out {folder}", "comparison", allowed, COMPARISON)


def write_comparison(compared: CompareResult, folder: Path) -> None:
    """Write a comparison into `folder`, replacing an older one there.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is no comparison.
    """
    check_comparison(folder)
    record, basis = compared.record, compared.measured
    with atomic_directory(folder, f"--out {folder}") as fresh:
        save_json(record, fresh / COMPARISON)
        (fresh / TABLE).write_text(comparison_csv(record))
        if record.plan_set is not None:
            save_json(_write_plan_set(compared, basis, fresh), fresh / PLANS)
        if record.fleet is not None:
            save_json(_write_fleet(compared, record.fleet, fresh), fresh / FLEET)
        _write_report(record, basis, fresh)
        list_files(fresh, COMPARISON)


def _write_report(record: Comparison, basis: MeasuredScenario, folder: Path) -> None:
    # Here, as what reads a comparison needs no Matplotlib, which takes longer to load.
    from planner.report.comparison_html import comparison_figures, comparison_page, placed_of
    from planner.report.figure_style import save_figure
    from planner.report.graph_drawing import graph_drawing
    from planner.report.graph_figure import draw_graph

    graph, scenario = basis.prepared.models.graph, basis.scenario
    devices = [device.name for device in scenario.devices]
    figures = list(comparison_figures(record, devices))
    (folder / REPORT).write_text(comparison_page(record, graph, scenario, figures), encoding="utf-8")
    (folder / FIGURES).mkdir()
    for name, _, figure in figures:
        save_figure(figure, folder / FIGURES, name)
    for plan in record.plans:
        figure = draw_graph(graph_drawing(graph, placed_of(plan, scenario), devices), devices)
        save_figure(figure, folder / FIGURES, f"graph-{plan.number}")


def _write_plan_set(compared: CompareResult, basis: MeasuredScenario, folder: Path) -> RunnableSet:
    """Write the stages of the plans that are held, equal ones once, and return who runs which when."""
    record, graph = compared.record, basis.prepared.models.graph
    selected = record.plan_set.plans if record.plan_set else ()
    (folder / STAGES).mkdir()
    files = _StageFiles(folder)
    source = basis.prepared.models.source
    return RunnableSet(
        format=PLANS_FORMAT,
        links=record.links,
        unit=record.unit,
        source=basis.scenario.source,
        sink=basis.scenario.sink,
        mean_latency_s=record.plan_set.mean_latency_s if record.plan_set else 0.0,
        regret=record.plan_set.regret if record.plan_set else 0.0,
        compared_from=min((piece.low for piece in record.pieces), default=None),
        compared_to=max((piece.high for piece in record.pieces), default=None),
        inputs=ports_of(
            [tensor for tensor in inputs_of(source) if tensor.name in graph.inputs],
            basis.prepared.models.channels_last,
        ),
        outputs=ports_of(outputs_of(source)),
        plans=tuple(files.runnable(compared, basis, plan) for plan in selected),
        scenario=msgspec.Raw(dump_scenario(basis.scenario).encode()),
    )


def _write_fleet(compared: CompareResult, fleet: FleetPlans, folder: Path) -> RunnableFleet:
    """Write the stages of a fleet's plans, equal ones once, and return the rule and who runs what."""
    record, basis = compared.record, compared.measured
    (folder / STAGES).mkdir()
    files = _StageFiles(folder)
    source, models = basis.prepared.models.source, basis.prepared.models
    return RunnableFleet(
        format=FLEET_FORMAT,
        device=fleet.device,
        links=fleet.links,
        source=basis.scenario.source,
        sink=basis.scenario.sink,
        objective=record.objective,
        mean_objective=fleet.mean_objective,
        inputs=ports_of(
            [tensor for tensor in inputs_of(source) if tensor.name in models.graph.inputs],
            models.channels_last,
        ),
        outputs=ports_of(outputs_of(source)),
        rule=fleet.rule,
        plans=tuple(
            FleetPlan(
                plan=line.number,
                summary=line.summary,
                stages=tuple(files.stages(basis, line.number, chosen)),
                cuts=line.cuts,
            )
            for line, chosen in zip(record.plans, compared.plans.chosen, strict=True)
        ),
        scenario=msgspec.Raw(dump_scenario(basis.scenario).encode()),
    )


class _StageFiles:
    """Stages that were written, by their content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[tuple[str, str], StageEntry] = {}
        self._of_plan: dict[int, list[StageEntry]] = {}

    def runnable(
        self, compared: CompareResult, basis: MeasuredScenario, selected: SelectedPlan
    ) -> RunnablePlan:
        line, chosen = compared.record.plans[selected.plan], compared.plans.chosen[selected.plan]
        return RunnablePlan(
            plan=selected.plan,
            summary=line.summary,
            low=selected.low,
            high=selected.high,
            leave_below=selected.leave_below,
            leave_above=selected.leave_above,
            fixed_s=line.fixed_s,
            link_s=line.link_s,
            compute_s=line.compute_s,
            stages=tuple(self.stages(basis, selected.plan, chosen)),
            cuts=line.cuts,
        )

    def stages(self, basis: MeasuredScenario, plan: int, chosen: Configuration) -> list[StageEntry]:
        """Write the stages of a plan that are new, named by it, and return all of them."""
        if plan in self._of_plan:
            return self._of_plan[plan]
        entries = self._of_plan[plan] = []
        precisions = basis.prepared.models.graph.counted_precisions(chosen.precisions)
        for order, stage in enumerate(basis.build(chosen).stages):
            if not isinstance(stage.model, Stage):  # which has no metadata to change
                label_as_shared(stage.model, stage.device)
            channels_last = basis.prepared.models.channels_last
            name = f"plan-{plan}-{stage_name(order, stage.device)}"
            entry = save_stage(self._folder, name, stage, precisions, order, channels_last)
            # Two plans often share a stage: equal content is one file.
            content = (entry.sha256, entry.data.sha256 if entry.data else "")
            if content in self._entries:
                for file in [entry.file, *([entry.data.file] if entry.data else [])]:
                    (self._folder / file).unlink()
            first = self._entries.setdefault(content, entry)
            entries.append(msgspec.structs.replace(entry, file=first.file, data=first.data))
        return entries


def read_plan_set(folder: Path) -> RunnableSet:
    """Return the plans that a comparison's folder holds, checked against their models.

    Raises
    ------
    OutputError
        If it holds none, or a model is missing or changed.
    """
    if not (folder / PLANS).is_file():
        raise OutputError(f"{folder}: holds no {PLANS}; plan compare SCENARIO --plans K writes it")
    held = read_record(folder / PLANS, RunnableSet, PLANS_FORMAT)
    if bytes(held.scenario) == b"null":
        raise OutputError(f"{folder / PLANS}: was written by an older version; compare again")
    for plan in held.plans:
        check_stages(folder, PLANS, held.stages_of(plan))
    return held


def read_fleet(folder: Path) -> RunnableFleet:
    """Return the plans that a comparison's folder holds for a fleet, checked against their models.

    Raises
    ------
    OutputError
        If it holds none, or a model is missing or changed.
    """
    fleet = read_record(folder / FLEET, RunnableFleet, FLEET_FORMAT)
    if bytes(fleet.scenario) == b"null":
        raise OutputError(f"{folder / FLEET}: was written by an older version; compare again")
    for plan in fleet.plans:
        check_stages(folder, FLEET, fleet.stages_of(plan))
    return fleet


def held_stages(folder: Path, number: int) -> PlanStages:
    """Return what a runtime needs to run one of the plans that a comparison's folder holds.

    Raises
    ------
    OutputError
        If it holds none, or not this one, or a model is missing or changed.
    """
    held = read_fleet(folder) if (folder / FLEET).is_file() else read_plan_set(folder)
    stages = {plan.plan: _stages_of(held, plan) for plan in held.plans}
    if number not in stages:
        numbers = ", ".join(map(str, stages))
        raise OutputError(f"--plan {number}: {folder} holds plans {numbers}")
    return stages[number]


def choose_fleet_plan(folder: Path, device_class: str, bandwidth: float | None) -> FleetPlan:
    """Return the plan that a comparison's folder holds for a class at a bandwidth.

    Raises
    ------
    UsageError
        If the bandwidth is none.
    ScenarioError
        If the folder has no fleet, or no plan for that class and bandwidth.
    """
    if bandwidth is not None and not 0 < bandwidth < inf:
        raise UsageError(f"--bandwidth {bandwidth:g}: must be Mbit/s > 0")
    path = folder / FLEET
    if not path.is_file():
        raise ScenarioError(f"{path}: does not exist; plan compare SCENARIO --plans K writes it for a fleet")
    fleet = load_json(path, RunnableFleet)
    number = plan_for(fleet.rule, device_class, bandwidth)
    if number is None:
        raise ScenarioError(f"--class {device_class}: {_why_none(fleet, device_class, bandwidth)}")
    named = [plan for plan in fleet.plans if plan.plan == number]
    if not named:
        raise ScenarioError(f"{path}: its rule names plan {number}, which is not there")
    return named[0]


def _why_none(fleet: RunnableFleet, device_class: str, bandwidth: float | None) -> str:
    """Return why the rule picks no plan for a class at a bandwidth."""
    own = fleet.rule_of(device_class)
    if bandwidth is None:
        return "its plan depends on the bandwidth: add --bandwidth"
    if own[0].at_own_bandwidth:
        return "its plan is for the links' own bandwidths: leave --bandwidth out"
    ranges = ", ".join(range_text(one.low, one.high) for one in own)
    return f"no plan that is held keeps its limits at {bandwidth:g} Mbit/s; plans are for {ranges}"
