"""What a file is that is given where a scenario is wanted, and which command takes it."""

import json
from pathlib import Path

from planner.errors import ScenarioError
from planner.scenario.model_paths import APPLICATION, is_object

_MODELS = (".onnx", ".ort", ".keras", ".h5", ".hdf5", ".tflite", ".pb")
_ARRAYS = (".npz", ".npy")
_PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
_MOST_BYTES = 2**24  # of a JSON file that is looked into


def refuse_other_than_scenario(path: Path) -> None:
    """Refuse what is known to be something else than a scenario: a model, data, a plan, a table of costs.

    Raises
    ------
    ScenarioError
        That says what it is and which command takes it.
    """
    found = _folder(path) if path.is_dir() else _file(path)
    if found:
        what, advice = found
        raise ScenarioError(f"{path} is {what}, not a scenario: {advice}")


def _file(path: Path) -> tuple[str, str] | None:
    suffix = path.suffix.lower()
    if suffix in _MODELS or str(path).startswith(APPLICATION) or is_object(str(path)):
        return _model(path)
    if suffix in _ARRAYS:
        return "an archive of arrays", "give a scenario, whose data.calibration.npz names it"
    if suffix in _PICTURES:
        return "a picture", "give a scenario, whose data.calibration.images names its folder"
    return _json(path) if suffix == ".json" else None


def _model(path: Path) -> tuple[str, str]:
    return "a model", f"give a scenario, or `plan inspect {path}`"


def _folder(path: Path) -> tuple[str, str]:
    if (path / "saved_model.pb").is_file():
        return _model(path)
    if (path / "plan.json").is_file():
        return "a plan's folder", f"give a scenario, or `plan verify {path}`"
    inside = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return "a folder", f"give a scenario file, such as {inside[0] if inside else path / 'scenario.yaml'}"


def _json(path: Path) -> tuple[str, str] | None:
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
