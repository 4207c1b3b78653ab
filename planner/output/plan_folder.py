"""The plan folder: written whole or not at all."""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from planner.deployment.built_models import BuiltModels, unit_graph_of
from planner.errors import OutputError
from planner.output.atomic_folder import atomic_directory, check_replaceable, list_files, listed_files
from planner.output.file_hash import sha256_of
from planner.output.input_preparation import clip_preparation, model_classes, picture_preparation
from planner.output.model_files import ONNX_SUFFIX, save_model, suffix_of
from planner.output.saved_plan import PLAN, PROFILE, read_folder
from planner.output.stage_files import (
    data_file,
    ports_of,
    save_stage,
    save_whole,
    stage_name,
    with_compressed_size,
)
from planner.plan.graph_record import GRAPH
from planner.plan.manifest import FIGURES, MANIFEST, REPORT, STAGES, WHOLE, Manifest
from planner.plan.plan_record import Plan
from planner.refinement.outcome import Outcome
from planner.report.plan_trace import PlacedStage, plan_trace
from planner.scenario.loader import parse_scenario
from profiling.graph.any_model import Stage, inputs_of, outputs_of
from profiling.latency.write_bundle import BUNDLE_FILES
from profiling.on_device.device_main import ORDER
from profiling.onnx_io.external_weights import DATA_SUFFIX
from profiling.records.json_files import save_json
from profiling.stage_session import TFLITE_SUFFIX, runtime_of_model

_MODEL = "model"  # and how files of its runtime end
TRACE, MODEL_EXPLORER = "trace.json", "model_explorer"


def write_outcome(outcome: Outcome, folder: Path) -> None:
    """Write plan, profiles and models into `folder`, replacing an older plan there.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is no plan.
    """
    check_writable(folder)
    with atomic_directory(folder, f"--out {folder}") as fresh:
        fill_with_outcome(outcome, fresh)


def fill_with_outcome(outcome: Outcome, fresh: Path) -> None:
    """Write plan, profiles and models into a new folder.

    Raises
    ------
    OutputError
        If there is no plan.
    """
    if outcome.built is None:
        raise OutputError("there is no plan to write")
    _write_models(outcome.plan, outcome.built, fresh)
    save_json(dict(outcome.profiles), fresh / PROFILE)
    list_files(fresh, MANIFEST)


def write_export(plan: Plan, built: BuiltModels, folder: Path, profile: Path | None = None) -> None:
    """Write a saved plan's models into `folder`, replacing an older plan there.

    Parameters
    ----------
    profile
        The profile that lies beside the plan, copied along.
    """
    check_writable(folder)
    with atomic_directory(folder, f"--out {folder}") as fresh:
        fill_with_export(plan, built, fresh, profile)


def fill_with_export(plan: Plan, built: BuiltModels, fresh: Path, profile: Path | None) -> None:
    """Write a saved plan's models, and a profile, into a new folder."""
    _write_models(plan, built, fresh)
    if profile is not None:
        shutil.copyfile(profile, fresh / PROFILE)
    list_files(fresh, MANIFEST)


@contextmanager
def writing_bundle(folder: Path, added: Collection[str] = ()) -> Iterator[Path]:
    """Yield an empty folder that becomes `folder` when the block succeeds, replacing an older bundle.

    Parameters
    ----------
    added
        What may lie there besides what measures.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is no bundle.
    """
    option = f"--bundle {folder}"
    check_replaceable(folder, option, "bundle", {*BUNDLE_FILES, *added}, ORDER)
    with atomic_directory(folder, option) as fresh:
        yield fresh
        list_files(fresh, ORDER)


def check_writable(folder: Path) -> None:
    """Fail early if a plan cannot go into `folder`.

    Raises
    ------
    OutputError
        If it is a file, or holds something that is no plan.
    """
    models = {_MODEL + ONNX_SUFFIX, _MODEL + ONNX_SUFFIX + DATA_SUFFIX, _MODEL + TFLITE_SUFFIX}
    allowed = {PLAN, *models, MANIFEST, GRAPH, PROFILE, STAGES, REPORT, FIGURES}
    allowed |= {TRACE, MODEL_EXPLORER, WHOLE}
    check_replaceable(folder, f"--out {folder}", "plan", allowed, MANIFEST)


def copy_plan(source: Path, folder: Path) -> None:
    """Copy a plan folder, replacing an older plan there.

    Raises
    ------
    OutputError
        If the source is no plan, or has changed; if the folder cannot be written, or holds something
        that is no plan.
    """
    read_folder(source)
    check_writable(folder)
    with atomic_directory(folder, f"--out {folder}") as fresh:
        for file in listed_files(source, MANIFEST):
            (fresh / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, fresh / file)
        shutil.copyfile(source / MANIFEST, fresh / MANIFEST)
        list_files(fresh, MANIFEST)


def _write_models(plan: Plan, built: BuiltModels, folder: Path) -> None:
    (folder / STAGES).mkdir()
    model = _MODEL + suffix_of(built.mixed)
    weights_file = save_model(built.mixed, folder / model)
    precisions = [a.precision for a in plan.assignments]
    channels_last = plan.converted_from.channels_first if plan.converted_from else ()
    entries = [
        save_stage(folder, stage_name(n, stage.device), stage, precisions, n, channels_last)
        for n, stage in enumerate(built.stages)
    ]
    if built.whole:
        (folder / WHOLE).mkdir()
    whole = [save_whole(folder, stage_name(n, runtime_of_model(m)), m) for n, m in enumerate(built.whole)]
    if any(a.compressed_bytes is not None for a in plan.assignments):
        entries = [with_compressed_size(entry, folder) for entry in entries]
    scenario = parse_scenario(bytes(plan.scenario))
    evaluation, measured = scenario.data.evaluation, plan.measured
    manifest = Manifest(
        format=plan.format,
        source=scenario.source,
        sink=scenario.sink,
        image=picture_preparation(evaluation.image, channels_first=bool(channels_last)),
        audio=clip_preparation(evaluation.audio),
        classes=model_classes(measured.class_names, evaluation.label_offset) if measured else (),
        detector=measured.detector if measured else None,
        model=model,
        model_sha256=sha256_of(folder / model),
        model_data=data_file(weights_file, folder),
        whole=tuple(whole),
        inputs=ports_of(inputs_of(built.mixed), channels_last),
        outputs=ports_of(outputs_of(built.mixed)),
        stages=tuple(entries),
        cuts=plan.cuts,
    )
    save_json(manifest, folder / MANIFEST)
    save_json(plan, folder / PLAN)
    save_json(unit_graph_of(built.graph), folder / GRAPH)
    _write_exports(plan, built, folder)
    _write_report(plan, built, folder)


def _write_report(plan: Plan, built: BuiltModels, folder: Path) -> None:
    # Here, as most commands only read folders: Matplotlib and Jinja take longer to load than they do.
    from planner.report.figure_style import save_figure
    from planner.report.plan_html import plan_figures, plan_page

    (folder / REPORT).write_text(plan_page(plan, built.graph), encoding="utf-8")
    (folder / FIGURES).mkdir()
    for name, figure in plan_figures(plan, built.graph).items():
        save_figure(figure, folder / FIGURES, name)


def _write_exports(plan: Plan, built: BuiltModels, folder: Path) -> None:
    """Write what other programs show of a plan."""
    from planner.report.model_explorer import model_explorer_files  # as `_write_report`

    placed = [PlacedStage(stage.device, stage.units) for stage in built.stages]
    save_json(plan_trace(plan, built.graph, placed), folder / TRACE)
    if isinstance(built.mixed, Stage):
        return  # Model Explorer's node data are keyed by the nodes of an ONNX file
    (folder / MODEL_EXPLORER).mkdir()
    for name, data in model_explorer_files(plan, built.mixed).items():
        save_json(data, folder / MODEL_EXPLORER / name)
