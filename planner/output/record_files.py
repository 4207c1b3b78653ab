"""JSON records of a folder that the planner wrote: read, and checked for their format."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from planner.errors import OutputError
from planner.json_record import Record
from planner.plan.plan_record import FORMAT, Plan
from planner.scenario.file_kind import SCENARIO_SUFFIXES
from profiling.input_files import read_input

T = TypeVar("T")

PLANS, FLEET = "plans.json", "fleet.json"  # of a comparison's folder
# File -> which folder has it, for those who give another one.
_OF_ONE_PLAN = ("plan.json", "manifest.json")
_FOLDER_OF = {
    "plan.json": "of a plan",
    "manifest.json": "of a plan",
    "models.json": "of a plan for several models",
    PLANS: "that `plan compare --plans K` wrote",
    "deploy.json": "that `plan deploy` wrote",
}
_MOST_BYTES = 2**26  # of a JSON file, which is in memory several times while it is read


class _Format(Record, frozen=True, kw_only=True):
    format: int


class _HeldPlan(Record, frozen=True, kw_only=True):
    plan: int


class _HeldPlans(Record, frozen=True, kw_only=True):
    plans: tuple[_HeldPlan, ...]
    scenario: msgspec.Raw = msgspec.Raw(b"null")


def _held_plans(folder: Path) -> _HeldPlans | None:
    """Return what a comparison's folder says of the plans that it holds; None of a damaged one."""
    for file in (PLANS, FLEET):
        with suppress(OSError, msgspec.MsgspecError, RecursionError):
            return msgspec.json.decode(read_input(folder / file, _MOST_BYTES), type=_HeldPlans)
    return None


def held_scenario(folder: Path) -> bytes | None:
    """Return the scenario, as JSON, of the plans that a comparison's folder holds, if it holds some."""
    held = _held_plans(folder)
    return None if held is None else bytes(held.scenario)


def _comparison_hint(folder: Path) -> str:
    """Return what to type instead of a command on one plan, for a comparison's folder."""
    plans, place = _held_plans(folder), shlex.quote(str(folder))
    numbers = [one.plan for one in plans.plans] if plans is not None else []
    held = (
        f"it holds plans {', '.join(map(str, numbers))}: `plan run {place} --plan {numbers[0]}` runs one, "
        f"`plan deploy {place} --out DEPLOY` takes all; "
        if numbers
        else ""
    )
    return (
        f"{folder} is a comparison, not one plan: {held}`plan SCENARIO --out DIR`, with the bandwidth of one "
        "in its links, writes that one"
    )


def read_record(path: Path, record_type: type[T], readable_format: int = FORMAT) -> T:
    """Return what a JSON file of a plan folder holds.

    Raises
    ------
    OutputError
        If it cannot be read, or is something else or of another format.
    """
    if path.suffix.lower() in SCENARIO_SUFFIXES:
        raise OutputError(f"{path} is a scenario: give the folder of its plan, which `plan {path}` writes")
    try:
        text = read_input(path, _MOST_BYTES)
    except OSError as exc:
        kind = _FOLDER_OF.get(path.name)
        hint = f": {path.parent} is no folder {kind}" if kind and path.parent.is_dir() else ""
        if path.name in _OF_ONE_PLAN and (path.parent / "compare.json").is_file():
            raise OutputError(_comparison_hint(path.parent)) from exc
        raise OutputError(f"{path}: {exc.strerror}{hint}") from exc
    format_number = decoded(text, _Format, path, record_type).format
    if format_number != readable_format:
        raise OutputError(f"{path}: format {format_number}, this version reads {readable_format}; plan again")
    return decoded(text, record_type, path, record_type)


def decoded(text: bytes, record_type: type[T], path: Path, expected_type: type = Plan) -> T:
    """Return what JSON text of a file says; messages name what the file should hold."""
    try:
        return msgspec.json.decode(text, type=record_type)
    except RecursionError as exc:
        raise OutputError(
            f"{path}: is not a {expected_type.__name__.lower()}: it is nested too deep"
        ) from exc
    except msgspec.MsgspecError as exc:
        raise OutputError(f"{path}: is not a {expected_type.__name__.lower()}: {exc}") from exc
