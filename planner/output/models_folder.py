"""The folder of several models that were planned together: models.json, and each model's own plan folder."""

from collections.abc import Mapping
from pathlib import Path

from planner.deployment.built_models import BuiltModels
from planner.errors import OutputError
from planner.output.atomic_folder import atomic_directory, check_replaceable, list_files
from planner.output.plan_folder import fill_with_export, fill_with_outcome
from planner.output.record_files import read_record
from planner.output.saved_plan import PLAN, profile_beside, read_plan
from planner.plan.manifest import MANIFEST, REPORT
from planner.plan.models_record import MODELS_FORMAT, ModelsPlan
from planner.plan.plan_record import Plan
from planner.refinement.outcome import ModelsOutcome
from profiling.records.json_files import save_json

MODELS_FILE = "models.json"


def is_models_folder(path: Path) -> bool:
    """Return whether a path is a folder of several models, or its models.json."""
    return path.name == MODELS_FILE or (path / MODELS_FILE).is_file()


def check_models_writable(folder: Path) -> None:
    """Fail early if the plan of several models cannot go into `folder`.

    Raises
    ------
    OutputError
        If it is a file, or holds something that is no such plan.
    """
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    plans = {entry.name for entry in inside if (entry / MANIFEST).is_file()}
    what = "plan of several models"
    check_replaceable(folder, f"--out {folder}", what, {MODELS_FILE, REPORT, *plans}, MODELS_FILE)


def write_models_outcome(outcome: ModelsOutcome, folder: Path) -> None:
    """Write each model's plan folder, and what all share, into `folder`, replacing an older plan there.

    Raises
    ------
    OutputError
        If the folder cannot be written, or holds something that is no plan of several models.
    """
    check_models_writable(folder)
    with atomic_directory(folder, f"--out {folder}") as fresh:
        for name, own in outcome.outcomes.items():
            (fresh / name).mkdir()
            fill_with_outcome(own, fresh / name)
        _write_shared(outcome.record, fresh)


def write_models_export(
    record: ModelsPlan, exported: Mapping[str, tuple[Plan, BuiltModels]], source: Path, folder: Path
) -> None:
    """Write the models of saved plans into `folder`, replacing an older plan there.

    Parameters
    ----------
    source
        The folder of the saved plans, whose profiles are copied along.
    """
    check_models_writable(folder)
    with atomic_directory(folder, f"--out {folder}") as fresh:
        for name, (plan, built) in exported.items():
            (fresh / name).mkdir()
            fill_with_export(plan, built, fresh / name, profile_beside(source / name))
        _write_shared(record, fresh)


def read_models(path: Path) -> tuple[ModelsPlan, dict[str, Path]]:
    """Return what several models share, and each model's plan folder.

    Raises
    ------
    OutputError
        If it is no plan of several models, or a model's folder is not there or is another's.
    """
    file = path if path.name == MODELS_FILE else path / MODELS_FILE
    record = read_record(file, ModelsPlan, MODELS_FORMAT)
    folders = {}
    for entry in record.models:
        folder = file.parent / entry.folder
        if entry.folder != entry.name or folder.parent != file.parent:
            raise OutputError(f"{file}: models: folder {entry.folder!r} is not that of {entry.name!r}")
        part = read_plan(folder / PLAN).part_of
        if part is None or part.model != entry.name:
            raise OutputError(f"{folder / PLAN}: is not the plan of {entry.name!r}")
        folders[entry.name] = folder
    return record, folders


def refuse_several(folder: Path) -> None:
    """Say which folders hold a plan that can be run, where one holds several models.

    Raises
    ------
    OutputError
        If it does.
    """
    if is_models_folder(folder):
        names = list(read_models(folder)[1])
        raise OutputError(
            f"{folder}: holds the plans of {', '.join(names)}; give one's folder, such as {folder / names[0]}"
        )


def _write_shared(record: ModelsPlan, fresh: Path) -> None:
    from planner.report.models_html import models_page  # here, as what reads a folder needs no Jinja

    save_json(record, fresh / MODELS_FILE)
    (fresh / REPORT).write_text(models_page(record), encoding="utf-8")
    list_files(fresh, MODELS_FILE)
