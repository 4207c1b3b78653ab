"""Runs an exported plan folder on arrays or images, prepared as its scenario says."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.errors import DataError, OutputError
from planner.metrics.output_form import DetectorOutputs
from planner.output.answers_csv import answers_csv, check_names_classes
from planner.output.detected_boxes import PictureBoxes, boxes_csv, boxes_json, found_boxes
from planner.output.run_input import RunInput, given_run_input, read_run_input
from planner.output.saved_plan import named_stage, read_manifest, read_stage
from planner.plan.manifest import MANIFEST, Manifest, PlanStages, Port, StageEntry
from planner.verification.stage_chain import Chain
from profiling.arrays import Array
from profiling.records.json_files import writing_aside
from profiling.records.npz_files import write_npz
from profiling.runtime.open_session import Runtime

FILES, SAMPLES = "files", "samples"
_TABLE, _BOXES = ".csv", ".json"


def run_folder(
    folder: Path, source: Path, target: Path, stage: int | str | None, plan: int | None = None
) -> tuple[str, ...]:
    """Run all stages of a plan folder, or one, and write their outputs; return the names that are written.

    A target whose name ends in .csv gets a table: of the classes that answers name, or of the boxes that a
    detector finds, which .json holds as well.

    Raises
    ------
    OutputError
        As `run_stages`, or if the target cannot be written, or is the source.
    DataError
        As `run_stages`.
    """
    if target.suffix.lower() in (_TABLE, _BOXES):
        return _run_to_table(folder, source, target, stage, plan)
    check_archive_name(target)
    stages = exported_stages(folder, stage, plan)
    check_target(target)
    refuse_same_file(target, source)
    arrays = run_stages(stages, source)
    write_arrays(target, arrays)
    return tuple(arrays)


def _run_to_table(
    folder: Path, source: Path, target: Path, stage: int | str | None, plan: int | None
) -> tuple[str, ...]:
    """Run all stages and write the class that each answer names, or the boxes that a detector finds."""
    option, suffix = f"--output {target}", target.suffix.lower()
    if stage is not None:
        what = "classes" if suffix == _TABLE else "boxes"
        raise OutputError(f"{option}: a {suffix} holds the model's {what}: leave --stage out, or write .npz")
    stages = exported_stages(folder, plan=plan)
    if stages.detector is None:
        if suffix == _BOXES:
            raise OutputError(
                f"{option}: a .json holds a detector's boxes, and {folder} does not say how outputs are "
                f"read, as a plan with metric coco_ap does; write {target.with_suffix('.npz')}"
            )
        check_names_classes(stages.outputs, option)
    check_target(target)
    refuse_same_file(target, source)
    if stages.detector is not None:
        pictures = _pictures_with_boxes(stages, stages.detector, source)
        _write_text(target, boxes_csv(pictures) if suffix == _TABLE else boxes_json(pictures))
        return (stages.detector.boxes,)
    arrays = run_stages(stages, source)
    name = stages.outputs[0].name
    files = [array for key, array in arrays.items() if key not in _names(stages.outputs)]
    beside = {"file": files[0].tolist()} if files else {"sample": range(len(arrays[name]))}
    _write_text(target, answers_csv(arrays[name], stages.classes, beside))
    return (name,)


@dataclass(frozen=True, slots=True)
class ExportedStages:
    """Stages of a plan folder, checked, in running order, and what goes in and comes out of them.

    Parameters
    ----------
    outer
        Names of the model's inputs.
    classes
        Names of the model's classes; empty where the plan does not know them.
    detector
        How outputs are read, of a detector; None of other models, and of one stage.
    """

    folder: Path
    stages: tuple[StageEntry, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    outer: tuple[str, ...]
    classes: tuple[str, ...] = ()
    detector: DetectorOutputs | None = None


def exported_stages(folder: Path, stage: int | str | None = None, plan: int | None = None) -> ExportedStages:
    """Return all stages of a plan folder, or one, by its number or its device.

    Parameters
    ----------
    plan
        Number of one of the plans that a comparison's folder holds.

    Raises
    ------
    OutputError
        If the folder is no plan, or lacks the stage.
    """
    whole, stage_entry = _plan_stages(folder, stage, plan)
    outer, classes = _names(whole.inputs), whole.classes if isinstance(whole, Manifest) else ()
    if stage_entry is None:
        detector = whole.detector if isinstance(whole, Manifest) else None
        return ExportedStages(folder, whole.stages, whole.inputs, whole.outputs, outer, classes, detector)
    return ExportedStages(folder, (stage_entry,), stage_entry.inputs, stage_entry.outputs, outer, classes)


def _names(ports: Sequence[Port]) -> tuple[str, ...]:
    return tuple(port.name for port in ports)


def _plan_stages(
    folder: Path, stage: int | str | None, plan: int | None
) -> tuple[PlanStages, StageEntry | None]:
    """Return a plan, and its stage if one is named."""
    if plan is not None:
        # Here, as plans of a comparison are seldom run, and what they need takes long to load.
        from planner.output.comparison_folder import held_stages

        if (folder / MANIFEST).is_file():
            raise OutputError(f"--plan {plan}: {folder} holds a single plan: leave it out")
        held = held_stages(folder, plan)
        return held, None if stage is None else named_stage(held, stage)
    return (read_manifest(folder), None) if stage is None else read_stage(folder, stage)


def run_stages(stages: ExportedStages, source: Path | Mapping[str, Array]) -> dict[str, Array]:
    """Run stages on a file, a folder of images, or arrays by name; return output name -> all samples.

    Arrays have the model's shape for one sample, or one more axis in front for several. Pictures are
    prepared as the scenario says, and the array `files` names them.

    Raises
    ------
    DataError
        If the input lacks an input of the model, or one has a wrong shape or type.
    """
    ends = stages.inputs, stages.outer, stages.folder
    run_input = read_run_input(source, *ends) if isinstance(source, Path) else given_run_input(source, *ends)
    names = [port.name for port in stages.outputs]
    return stacked_outputs(list(_rows(stages, run_input)), names, run_input)


def _rows(stages: ExportedStages, run_input: RunInput) -> Iterator[dict[str, Array]]:
    """Yield the outputs of each sample."""
    chain = Chain([stages.folder / s.file for s in stages.stages], Runtime())
    names = [port.name for port in stages.outputs]
    return (chain.run(feeds, names) for feeds in run_input.samples)


def _pictures_with_boxes(
    stages: ExportedStages, detector: DetectorOutputs, source: Path
) -> list[PictureBoxes]:
    """Run all stages on pictures, and return the boxes that a detector finds."""
    run_input = read_run_input(source, stages.inputs, stages.outer, stages.folder)
    placed, files = run_input.placed, run_input.files
    if placed is None:
        raise DataError(
            f"--input {source}: boxes are in a picture's own pixels, and arrays do not say how large it was; "
            "give pictures, or write .npz"
        )
    return [
        found_boxes(row, detector, placed(number), files[number])
        for number, row in enumerate(_rows(stages, run_input))
    ]


def stacked_outputs(
    rows: Sequence[Mapping[str, Array]], names: Sequence[str], run_input: RunInput
) -> dict[str, Array]:
    """Return output name -> an array over all samples, and the names of the pictures where they are some.

    Raises
    ------
    DataError
        If samples have outputs of different shapes.
    """
    arrays = {name: _stacked([row[name] for row in rows], name) for name in names}
    return arrays | _beside({FILES: run_input.files} if run_input.files else {}, names)


def answered_outputs(
    rows: Sequence[Mapping[str, Array] | None], names: Sequence[str], run_input: RunInput
) -> dict[str, Array]:
    """Return `stacked_outputs` of those samples that have outputs, and, if some have none, which have.

    Parameters
    ----------
    rows
        Of each sample; None where it has none. Where there are such, the array `samples` holds the number
        of the sample, from 0, behind each entry of the others.

    Raises
    ------
    DataError
        As `stacked_outputs`.
    """
    found = {number: row for number, row in enumerate(rows) if row is not None}
    if len(found) == len(rows):
        return stacked_outputs(list(found.values()), names, run_input)
    files = tuple(run_input.files[number] for number in found) if run_input.files else ()
    arrays = stacked_outputs(list(found.values()), names, RunInput(run_input.samples, files))
    return arrays | _beside({SAMPLES: tuple(found)}, list(arrays))


def _stacked(values: Sequence[Array], name: str) -> Array:
    if len({value.shape for value in values}) > 1:
        raise DataError(f"output {name!r} has different shapes for different samples; run them one at a time")
    return np.stack(values)


def _beside(values: Mapping[str, Sequence[object]], taken: Sequence[str]) -> dict[str, Array]:
    """Return what is told beside outputs as arrays, under names that are not taken."""
    arrays = {}
    for wanted, column in values.items():
        name = wanted
        while name in taken:
            name = f"_{name}"
        arrays[name] = np.asarray(column)
    return arrays


def check_target(path: Path, option: str = "--output") -> None:
    """Refuse, before anything runs, a place that cannot be written.

    Parameters
    ----------
    option
        What named it, for messages.

    Raises
    ------
    OutputError
        Saying why.
    """
    if path.is_dir():
        raise OutputError(f"{option} {path}: Is a directory")
    if not path.resolve().parent.is_dir():
        raise OutputError(f"{option} {path}: No such file or directory: its folder does not exist")


def check_archive_name(path: Path | None) -> None:
    """Refuse to write answers, which are arrays of any shape, under a name of another format.

    Raises
    ------
    OutputError
        Saying which name would do.
    """
    if path is not None and path.suffix.lower() not in {"", ".npz"}:
        raise OutputError(
            f"--output {path}: answers are arrays and written as .npz; write {path.with_suffix('.npz')}"
            + ", or with plan run classes as .csv" * (path.suffix.lower() != _TABLE)
        )


def refuse_same_file(target: Path, source: Path) -> None:
    """Refuse to write answers over what they are given for.

    Raises
    ------
    OutputError
        If the two are one file.
    """
    if target.exists() and source.exists() and target.samefile(source):
        raise OutputError(f"--output {target}: is the input itself, which would be lost; name another file")


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as .npz, whole or not at all.

    Raises
    ------
    OutputError
        If that fails.
    """
    try:
        with writing_aside(path) as aside, aside.open("wb") as file:
            write_npz(file, arrays)
    except OSError as exc:
        raise OutputError(f"--output {path}: {exc.strerror}") from exc


def _write_text(path: Path, text: str) -> None:
    """Write a table, whole or not at all."""
    try:
        with writing_aside(path) as aside:
            aside.write_text(text, encoding="utf-8", newline="")
    except OSError as exc:
        raise OutputError(f"--output {path}: {exc.strerror}") from exc
