"""What a scenario calls its model, and the paths in it made absolute."""

import os
import re
from pathlib import Path

from planner.scenario.schema import ConversionSpec

IMAGENET = "imagenet"
APPLICATION = "keras:"
_OBJECT = re.compile(r"^(.*/)?[A-Za-z_][\w.]*:[A-Za-z_]\w*$")


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with the home folder for a leading ~; where it names no user, it is the file's own."""
    given = Path(path)
    try:
        return given.expanduser()
    except RuntimeError:
        return given


def located_model(model: str, folder: Path) -> str:
    """Return a model's name with its path, if it has one, made absolute from a folder."""
    if model.startswith(APPLICATION):
        return model
    if _OBJECT.match(model):
        return model if "/" in model else f"{folder}/{model}"
    return str(folder / expanded(model))


def is_object(model: str) -> bool:
    """Return whether a model is named as an object of a module, and is no file of such a name."""
    return not model.startswith(APPLICATION) and bool(_OBJECT.match(model)) and not Path(model).exists()


def located_conversion(conversion: ConversionSpec, folder: Path) -> ConversionSpec:
    """Return how to convert, with the paths in it made absolute from a folder."""
    changes = {}
    if conversion.weights not in (None, IMAGENET):
        changes["weights"] = str(folder / expanded(str(conversion.weights)))
    if conversion.custom_objects is not None and "/" not in conversion.custom_objects:
        changes["custom_objects"] = f"{folder}/{conversion.custom_objects}"
    return conversion.model_copy(update=changes)
