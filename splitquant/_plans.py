"""Plans: made, loaded, looked at, saved and run."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import NoPlanError, UsageError
from planner.formatting import MILLI, size_text
from planner.plan.plan_record import Cut, Plan
from planner.scenario.model_paths import expanded
from profiling.progress import Progress
from splitquant._arguments import path_of, progress_of
from splitquant._calls import naming_parameters, public_call
from splitquant._scenarios import Scenario, ScenarioSource, one_model, scenario_of
from splitquant._tables import data_frame, heading, html_table, paragraph

if TYPE_CHECKING:
    import networkx as nx
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes

    from planner.plan.graph_record import UnitGraph
    from planner.plan.models_record import ModelsPlan
    from planner.refinement.outcome import ModelsOutcome, Outcome

_CUTS = ("tensor", "from", "to", "path", "wire", "bytes", "seconds")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PlanResult:
    """A plan, or why there is none; from `plan`, `plan_models` or `load_plan`.

    Parameters
    ----------
    plan
        The record: everything that plan.json holds, under the same names.
    reason
        Why there is no plan, or which budgets it broke on the evaluation data; empty for a delivered plan.
    """

    plan: Plan
    reason: str = ""
    _outcome: "Outcome | None" = None
    _folder: Path | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether there is a plan that kept all budgets."""
        return not self.reason

    @property
    def status(self) -> str:
        """`optimal`, `feasible` (a better plan may exist) or `infeasible`, as the solver proved it."""
        return self.plan.status

    @property
    def objective(self) -> float | None:
        """The value that was minimised, in SI units; None where no plan was found."""
        return self.plan.objective.value

    @property
    def bound(self) -> float | None:
        """What no plan can be below, as it was proved."""
        return self.plan.objective.bound

    @property
    def gap(self) -> float | None:
        """The relative distance between the two."""
        return self.plan.objective.gap

    @property
    def latency_s(self) -> float | None:
        """Seconds of one request, predicted from measured costs; None where no plan was found."""
        return None if self.plan.predicted is None else self.plan.predicted.latency_s

    @property
    def scenario(self) -> Scenario:
        """What was planned, its paths absolute."""
        from planner.scenario.loader import parse_scenario

        return Scenario("scenario", parse_scenario(bytes(self.plan.scenario)))

    def table(self) -> "pd.DataFrame":
        """Return a row per unit, in running order; none where no plan was found.

        Its columns are `unit`, `device`, `precision`, `compute_s` (seconds of the unit alone), `noise_power`
        (of its weights), `weight_bytes`, and `compressed_bytes` where the scenario counts them so.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        rows = self.plan.assignments
        packed = ("compressed_bytes",) if any(row.compressed_bytes is not None for row in rows) else ()
        columns = ("unit", "device", "precision", "compute_s", "noise_power", "weight_bytes", *packed)
        return data_frame(columns, [[_plain(getattr(row, key)) for key in columns] for row in rows])

    def cuts_table(self) -> "pd.DataFrame":
        """Return a row per tensor that crosses links: from and to which device, its form, bytes and seconds.

        There is none where no plan was found.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return data_frame(_CUTS, [_cut_row(cut) for cut in self.plan.cuts])

    def graph(self) -> "nx.DiGraph":
        """Return the model's units, inputs and outputs as a directed graph.

        Nodes have `kind` (`unit`, `input` or `output`), `device`, `precision` (None of inputs and outputs),
        `seconds` (of the unit alone), `bytes` (of its weights), `noise_power` and `operators`. The names of
        inputs and outputs are `input:NAME` and `output:NAME`. Edges have `tensors` (names), `tensor_bytes`
        (as the fp32 model computes them), and of what crosses links `bytes`, `seconds` and `wire` (the
        form); 0, 0.0 and None within a device. A tensor that several units of a device read crosses once:
        each of its edges has the same bytes and seconds. The graph has `latency_s`.

        Raises
        ------
        NoPlanError
            If no plan was found.
        OutputError
            If the plan was loaded from a folder that an older version wrote.

        Examples
        --------
        >>> graph = load_plan("plans/mine").graph()
        >>> graph.nodes["input:x"]["device"]
        'camera'
        """
        from splitquant._plan_graph import plan_graph

        self._require_plan()
        return plan_graph(self.plan, self._unit_graph())

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the graph: devices by colour, precisions by shape, what crosses links in red with its bytes.

        Parameters
        ----------
        ax
            Axes of matplotlib to draw on; default: those of a new figure.

        Returns
        -------
        The axes.

        Raises
        ------
        NoPlanError, OutputError
            As `graph`.
        """
        graph = self.graph()

        from planner.report.plan_axes import draw_plan

        return draw_plan(graph, self.scenario.devices, ax)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the plan's folder as `plan SCENARIO --out FOLDER` does, and return its path.

        It holds plan.json, manifest.json, graph.json, the whole model, its stages and report.html. An older
        plan there is replaced at once when everything is written.

        Raises
        ------
        NoPlanError
            If no plan was found, or it broke a budget.
        OutputError
            If the folder cannot be written, or holds something that is no plan of this tool.
        """
        from planner.output.plan_folder import copy_plan, write_outcome

        if self.reason:
            raise NoPlanError(self.reason)
        target = path_of("folder", folder)
        with naming_parameters():
            if self._folder is not None:
                copy_plan(self._folder, target)
            elif self._outcome is not None:
                write_outcome(self._outcome, target)
        return target

    def _unit_graph(self) -> "UnitGraph":
        if self._folder is not None:
            from planner.output.saved_plan import read_graph

            return read_graph(self._folder, self.plan)
        if self._outcome is None or self._outcome.built is None:
            raise NoPlanError(self.reason)
        from planner.deployment.built_models import unit_graph_of

        return unit_graph_of(self._outcome.built.graph)

    def _require_plan(self) -> None:
        if self.plan.predicted is None:
            raise NoPlanError(self.reason)

    def __repr__(self) -> str:
        return f"<PlanResult: {self._in_words()}>"

    def _in_words(self) -> str:
        if self.plan.predicted is None:
            return self.reason
        seconds = f"{self.plan.predicted.latency_s * MILLI:.4g} ms"
        on_links = f"{self.plan.predicted.transfer_s * MILLI:.4g} ms of it on links"
        broken = f"; {self.reason}" if self.reason else ""
        from planner.verification.noisy_costs import of_costs_text

        doubted = of_costs_text(self.plan.noisy_costs, self.plan.cost_doubt)
        return f"{self.status} plan{doubted}, {seconds} for one request, {on_links}{broken}"

    def _repr_html_(self) -> str:
        from planner.verification.cost_doubt import cost_doubt_text
        from planner.verification.noisy_costs import noisy_costs_text

        doubt, noisy = self.plan.cost_doubt, noisy_costs_text(self.plan.noisy_costs)
        doubts = [] if doubt is None else [paragraph(cost_doubt_text(doubt))]
        doubts += [paragraph(noisy)] if noisy else []
        return "".join((heading(self._in_words()), *doubts, *self._html_tables()))

    def _html_tables(self) -> list[str]:
        predicted = self.plan.predicted
        if predicted is None:
            return []
        units: dict[tuple[str, str], int] = {}
        for row in self.plan.assignments:
            key = row.device, row.precision.value
            units[key] = units.get(key, 0) + 1
        compute = predicted.compute_s
        shown: set[str] = set()
        devices: list[tuple[object, ...]] = []
        for (device, precision), count in sorted(units.items()):
            # A device's seconds are of all its rows, so that they stand in the first alone.
            seconds = None if device in shown else compute.get(device, 0.0) * MILLI
            shown.add(device)
            devices.append((device, precision, count, seconds))
        cuts = [
            (cut.tensor, " > ".join(cut.path), cut.wire.value, size_text(cut.size_bytes), cut.seconds * MILLI)
            for cut in self.plan.cuts
        ]
        measured = self.plan.measured
        noise = f", {measured.noise_relative_rms:.4f} measured" if measured else ""
        return [
            html_table(("device", "precision", "units", "the device's compute ms"), devices),
            html_table(("tensor", "path", "wire", "size", "ms"), cuts) if cuts else "",
            paragraph(f"relative RMS error: {predicted.noise_relative_rms:.4f} predicted{noise}"),
        ]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ModelsResult:
    """The plans of several models that share devices, or why there are none; from `plan_models`.

    Parameters
    ----------
    plan
        What all models share: everything that models.json holds, under the same names.
    models
        Model -> its plan; empty where there is none.
    reason
        Why there is no plan, or which budgets were broken on the evaluation data; empty for delivered plans.
    """

    plan: "ModelsPlan"
    models: Mapping[str, PlanResult]
    reason: str
    _outcome: "ModelsOutcome" = field(repr=False)

    @property
    def is_delivered(self) -> bool:
        """Whether there are plans that kept all budgets."""
        return not self.reason

    @property
    def status(self) -> str:
        """`optimal`, `feasible` or `infeasible`, of all models together."""
        return self.plan.status

    @property
    def latency_s(self) -> float | None:
        """Mean seconds of a request of any model; None where no plan was found."""
        return self.plan.latency_s

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write each model's plan folder and models.json into a folder, and return its path.

        Raises
        ------
        NoPlanError
            If no plan was found, or one broke a budget.
        OutputError
            If the folder cannot be written, or holds something that is no such plan of this tool.
        """
        from planner.output.models_folder import write_models_outcome

        if self.reason:
            raise NoPlanError(self.reason)
        target = path_of("folder", folder)
        with naming_parameters():
            write_models_outcome(self._outcome, target)
        return target

    def __repr__(self) -> str:
        names = ", ".join(self.models) or "no plan"
        return f"<ModelsResult: {self.reason or self.status + self._of_costs()} ({names})>"

    def _of_costs(self) -> str:
        from planner.verification.noisy_costs import of_costs_text

        return of_costs_text(self.plan.noisy_costs)

    def _repr_html_(self) -> str:
        rows = [(name, one.status, (one.latency_s or 0.0) * MILLI) for name, one in self.models.items()]
        title = self.reason or f"{self.status} plan of {len(rows)} models{self._of_costs()}"
        return heading(title) + (html_table(("model", "status", "latency ms"), rows) if rows else "")


def plan(
    scenario: ScenarioSource,
    *,
    reproduce: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> PlanResult:
    """Profile the model, search the best plan, build and verify it; write nothing.

    What is measured stays in the cache: a call that was interrupted goes on where it stopped.

    Parameters
    ----------
    scenario
        A `Scenario`, the path of its file, or its keys and values.
    reproduce
        The folder of an earlier plan, or its `plan.json`: plan with its costs; no device is profiled, and
        no plan timed.
    progress
        Called as `progress(what, done, total)` now and then. What it raises ends the call.

    Returns
    -------
    The result, also where no plan keeps the budgets or the plan broke one on the evaluation data: `reason`
    then says so.

    Raises
    ------
    ScenarioError
        If the scenario is wrong.
    UsageError
        If it has several models.
    ModelError, DataError, ProfileError, QuantizeError, SolverError, RebuildError
        If the model, the data or the solver cannot do what the scenario asks.
    OutputError
        If `reproduce` is no plan with its costs.

    Examples
    --------
    >>> steps = []
    >>> result = plan("scenario.yaml", progress=lambda what, done, total: steps.append(what))
    >>> result.status in ("optimal", "feasible")
    True
    >>> "timing the stages" in steps
    True
    """
    chosen = one_model(scenario, "plan_models plans them together")
    report = progress_of(progress)

    from planner.output.saved_plan import read_fixed_costs
    from planner.report.tables.plan_tables import undelivered_text
    from planner.run import plan_scenario

    with public_call():
        fixed = None if reproduce is None else read_fixed_costs(path_of("reproduce", reproduce))
        outcome = plan_scenario(chosen, report, fixed)
    return PlanResult(outcome.plan, undelivered_text(outcome), outcome)


def plan_models(scenario: ScenarioSource, *, progress: Progress | None = None) -> ModelsResult:
    """Plan several models that share devices together, as `plan` does one; write nothing.

    Parameters
    ----------
    scenario, progress
        As of `plan`; a scenario with `models`.

    Raises
    ------
    UsageError
        If the scenario has one model, which has no name.
    ScenarioError, ModelError, DataError, ProfileError, QuantizeError, SolverError, RebuildError
        As `plan`.
    """
    given = scenario_of(scenario)
    several = given.of_several()
    if several is None:
        raise UsageError(f"{given.name} has one model: plan plans it")
    report = progress_of(progress)

    from planner.report.tables.plan_tables import undelivered_models_text, undelivered_text
    from planner.run_models import plan_models as plan_several

    with public_call():
        outcome = plan_several(several, report)
    results = {
        name: PlanResult(own.plan, undelivered_text(own), own) for name, own in outcome.outcomes.items()
    }
    return ModelsResult(outcome.record, results, undelivered_models_text(outcome), outcome)


def load_plan(folder: str | os.PathLike[str]) -> PlanResult:
    """Return the plan of a folder that `PlanResult.save` or the command `plan` wrote, checked.

    Raises
    ------
    OutputError
        If the folder is no plan, its files contradict each other or have changed; or if it holds the plans
        of several models, of which each has a folder of its own.

    Examples
    --------
    >>> load_plan("plans/mine").plan.predicted.latency_s > 0
    True
    """
    from planner.output.models_folder import refuse_several
    from planner.output.saved_plan import read_folder

    path = path_of("folder", folder)
    refuse_several(path)
    record, _ = read_folder(path)
    return PlanResult(record, "", None, path.resolve())


def run(
    folder: str | os.PathLike[str],
    inputs: "Mapping[str, npt.ArrayLike] | npt.ArrayLike | str | os.PathLike[str]",
    *,
    stage: int | str | None = None,
    plan: int | None = None,
) -> "dict[str, npt.NDArray[Any]]":
    """Run an exported plan on this machine, all its stages in a chain, and return output name -> array.

    Parameters
    ----------
    folder
        A plan's folder, or that of a comparison which holds plans.
    inputs
        Input name -> array; an array, where there is one input; or the path of an .npz file, of a picture, of
        a folder of pictures, or of a scenario: its evaluation samples. An array has the model's shape for one
        sample, or one more axis in front for several; pictures and bytes are prepared as the plan's scenario
        says.
    stage
        Run this stage only, whose files alone have to be there: its number, as 0 or "00", or the name of a
        device that runs no other stage.
    plan
        Number of the plan to run, of those that a comparison holds.

    Returns
    -------
    Output name -> array of shape [samples, ...]; for pictures `files` names them.

    Raises
    ------
    UsageError
        If the folder is no path: a `PlanResult`, say, which is saved first.
    OutputError
        If the folder is no plan, has changed, or lacks the stage.
    DataError
        If an input is missing, or has a wrong shape or type.
    ModelError
        If ONNX Runtime fails.

    Examples
    --------
    >>> import numpy as np
    >>> run("plans/mine", {"x": np.zeros((5, 2, 8, 8), np.float32)})["y"].shape
    (5, 1, 4)
    """
    from planner.output.models_folder import refuse_several
    from planner.output.run_exported import exported_stages, run_stages

    if isinstance(folder, PlanResult | ModelsResult):
        raise UsageError(
            f"folder: a {type(folder).__name__} is no path; save it first: give what save(FOLDER) returns"
        )
    path = path_of("folder", folder)
    refuse_several(path)
    with naming_parameters():
        stages = exported_stages(path, stage, plan)
    with public_call(), naming_parameters():
        return run_stages(stages, _run_source(inputs, [port.name for port in stages.inputs]))


def _run_source(inputs: Any, names: Sequence[str]) -> "Path | Mapping[str, npt.NDArray[Any]]":
    if isinstance(inputs, str | os.PathLike):
        return expanded(inputs)
    if isinstance(inputs, Mapping):
        return {str(name): value for name, value in inputs.items()}
    if len(names) != 1:
        raise UsageError(f"inputs: there are several, give a mapping: {', '.join(names)}")
    return {names[0]: inputs}


def _cut_row(cut: Cut) -> tuple[object, ...]:
    path = " > ".join(cut.path)
    return cut.tensor, cut.source, cut.target, path, cut.wire.value, cut.size_bytes, cut.seconds


def _plain(value: object) -> object:
    """Return a value as a column of a table holds it: the text of an enumeration's member."""
    return str(value) if isinstance(value, str) else value
