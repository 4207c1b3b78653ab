"""The user's own readers and metrics: objects named FOLDER/module:name beside a scenario."""

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from planner.errors import DataError
from profiling.session import Array

Metric = Callable[[Mapping[str, Array], Sequence[Any] | None], float]
"""(output name -> arrays of all samples joined along the first axis, their labels) -> more is better."""


def import_object(target: str, where: str) -> Any:
    """Return an object of a module that lies beside the scenario.

    Parameters
    ----------
    target
        FOLDER/module:name.
    where
        The scenario key, for messages.

    Raises
    ------
    DataError
        If there is no such module or object, or the module fails.
    """
    folder, _, name = target.rpartition("/")
    module, _, name = name.partition(":")
    sys.path.insert(0, folder)
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as exc:  # a user's module may raise anything
        raise DataError(f"{where}: {module}:{name} cannot be used: {exc}") from exc
    finally:
        sys.path.remove(folder)


def load_metric(target: str | None) -> Metric | None:
    """Return a scenario's metric, which answers with a finite number or raises DataError."""
    if target is None:
        return None
    function = import_object(target, "metric")
    name = target.rpartition("/")[2]

    def metric(outputs: Mapping[str, Array], labels: Sequence[Any] | None) -> float:
        try:
            value = float(function(outputs, labels))
        except (Exception, SystemExit) as exc:
            raise DataError(f"metric: {name} failed: {type(exc).__name__}: {exc}") from exc
        if not isfinite(value):
            raise DataError(f"metric: {name} gave {value}; it must give a finite number")
        return value

    return metric
