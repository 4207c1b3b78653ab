"""Profiles: a model's seconds and noise, measured on this machine as one of a scenario's devices."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import OutputError
from planner.formatting import MILLI, counted
from profiling.progress import Progress
from splitquant._arguments import path_of, progress_of
from splitquant._calls import naming_parameters, public_call
from splitquant._scenarios import ScenarioSource, scenario_of
from splitquant._tables import data_frame, heading, html_table, paragraph

if TYPE_CHECKING:
    import pandas as pd

    from profiling.records.profile import Profile


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class ProfileResult:
    """What was measured of a model on a device; from `profile`.

    Parameters
    ----------
    profile
        The record: everything that the profile's file holds, under the same names.
    """

    profile: "Profile"

    @property
    def device(self) -> str:
        """The device that this machine stood for."""
        return self.profile.device

    @property
    def wall_s(self) -> dict[str, float]:
        """Precision -> median seconds of a run of the whole model."""
        return {str(precision): s for precision, s in self.profile.latency.wall_s.items()}

    def table(self) -> "pd.DataFrame":
        """Return a row per unit and precision: `unit`, `precision`, `seconds`, `spread`.

        `spread` is the width of the middle half of its runs over their median.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = ("unit", "precision", "seconds", "spread")
        rows = self.profile.latency.units
        return data_frame(columns, [(row.unit, str(row.precision), row.seconds, row.spread) for row in rows])

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the profile's file, which a scenario's device can name, and return its path.

        Raises
        ------
        OutputError
            If that fails.
        """
        from profiling.records.json_files import save_json

        target = path_of("path", path)
        try:
            save_json(self.profile, target)
        except OSError as exc:
            raise OutputError(f"{target}: {exc.strerror}") from exc
        return target

    def __repr__(self) -> str:
        walls = ", ".join(f"{name} {s * MILLI:.4g} ms" for name, s in self.wall_s.items())
        return f"<ProfileResult of {self.device}, as this machine: {walls}>"

    def _repr_html_(self) -> str:
        latency = self.profile.latency
        rows = [(name, s * MILLI) for name, s in self.wall_s.items()]
        noisy = "; costs are noisy: better measure again when less else runs" if latency.noisy else ""
        counts = f"{counted(latency.threads, 'thread')}, {counted(latency.samples, 'run')}"
        about = f"{latency.processor}, {counts}{noisy}"
        table = html_table(("precision", "whole run ms"), rows)
        return heading(f"Profile of {self.device}, measured on this machine") + table + paragraph(about)


def profile(
    scenario: ScenarioSource,
    device: str | None = None,
    *,
    model: str | None = None,
    progress: Progress | None = None,
) -> ProfileResult:
    """Measure a scenario's model on this machine as one of its devices.

    That is so whatever the device's `profile` in the scenario: a file of its own measurements is not read.

    Parameters
    ----------
    device
        Default: the scenario's source.
    model
        Which of the scenario's models, if there are several.
    progress
        As of `plan`.

    Raises
    ------
    ScenarioError
        If the scenario is wrong, or has no such device.
    UsageError
        If there are several models and none of them is named.
    ModelError, DataError, QuantizeError
        If the model cannot be measured on its data.

    Examples
    --------
    >>> measured = profile("scenario.yaml", "camera")
    >>> sorted(measured.wall_s)
    ['fp32', 'int8']
    """
    chosen = scenario_of(scenario).of_one(model)
    report = progress_of(progress)

    from planner.profile_device import profile_here

    with public_call(), naming_parameters():
        return ProfileResult(profile_here(chosen, device or chosen.source, report))
