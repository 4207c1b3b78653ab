"""Tells what a file is that was given instead of a scenario, and which command takes it."""

import json
from pathlib import Path

from planner.errors import ScenarioError
from planner.scenario.model_paths import APPLICATION, is_object

SCENARIO_SUFFIXES = (".yaml", ".yml")
_MODELS = (".onnx", ".ort", ".keras", ".h5", ".hdf5", ".tflite", ".pb")
_ARRAYS = (".npz", ".npy")
_IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_MOST_BYTES = 2**24  # of a JSON file that is looked into


def refuse_other_than_scenario(path: Path) -> None:
    """Refuse what is known to be something else than a scenario: a model, data, a plan, a table of costs.

    Raises
    ------
    ScenarioError
        That says what it is and which command takes it.
    """
    other_kind = _describe_folder(path) if path.is_dir() else _describe_file(path)
    if other_kind:
        what, advice = other_kind
        raise ScenarioError(f"{path} is {what}, not a scenario: {advice}")


def _describe_file(path: Path) -> tuple[str, str] | None:
    suffix = path.suffix.lower()
    if suffix in _MODELS or str(path).startswith(APPLICATION) or is_object(str(path)):
        return _describe_model(path)
    if suffix in _ARRAYS:
        return "an archive of arrays", "give a scenario, whose data.calibration.npz names it"
    if suffix in _IMAGES:
        return "a picture", "give a scenario, whose data.calibration.images names its folder"
    return _describe_json(path) if suffix == ".json" else None


def _describe_model(path: Path) -> tuple[str, str]:
    return "a model", f"give a scenario (`plan init {path}` writes one), or `plan inspect {path}`"


def _describe_folder(path: Path) -> tuple[str, str]:
    if (path / "saved_model.pb").is_file():
        return _describe_model(path)
    if (path / "plan.json").is_file() or (path / "models.json").is_file():
        return "a plan's folder", f"give a scenario, or `plan verify {path}`"
    scenarios = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return (
        "a folder",
        f"give a scenario file, such as {scenarios[0] if scenarios else path / 'scenario.yaml'}",
    )


def _describe_json(path: Path) -> tuple[str, str] | None:
    """Return what a JSON file is by its keys; a scenario may be JSON as well."""
    try:
        keys = set(json.loads(path.read_bytes())) if path.stat().st_size <= _MOST_BYTES else set()
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    if {"assignments", "model_sha256"} <= keys:
        return "a plan", f"give a scenario, or `plan export {path} --out DIR`"
    if {"latency", "noise"} <= keys:
        return "a profile", "give a scenario, in which devices.N.profile names it"
    if "units" in keys and "model" not in keys:
        return "a table of costs", f"give a scenario, or `plan solve {path}`"
    return None
