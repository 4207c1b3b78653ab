"""Scenarios: what is planned, from a file, a mapping, or another scenario with changes."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.errors import ScenarioError, UsageError
from planner.scenario import schema
from planner.scenario.changes import changes_of
from planner.scenario.loader import dump_scenario, ready_models
from planner.scenario.model_paths import expanded
from planner.scenario.several_models import SeveralModels, scenario_of_one
from splitquant._arguments import described
from splitquant._tables import heading, html_table, paragraph

_NAME = "scenario"


@dataclass(frozen=True, slots=True, repr=False)
class Scenario:
    """A model, the data it is judged on, the devices and links it may use, and what must hold.

    It is checked, and the files that it names were there. `load_scenario` makes one.

    Parameters
    ----------
    name
        Of its file, without the ending; `scenario` where it is no file's.
    """

    name: str
    _content: "schema.Scenario | SeveralModels" = field(compare=True)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models; empty where it has one, which has no name."""
        return self._content.names if isinstance(self._content, SeveralModels) else ()

    @property
    def devices(self) -> tuple[str, ...]:
        """The names of its devices."""
        return tuple(device.name for device in self._shared.devices)

    @property
    def links(self) -> tuple[str, ...]:
        """The names of its links, `FROM-TO` where they have no own."""
        return tuple(link.name for link in self._shared.links)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys and values of a scenario of one model, its paths absolute.

        Raises
        ------
        UsageError
            If it has several models.

        Examples
        --------
        >>> load_scenario("scenario.yaml").to_dict()["source"]
        'camera'
        """
        content: dict[str, Any] = json.loads(dump_scenario(one_model(self, "to_dict is of one")))
        return content

    def of_one(self, model: str | None) -> "schema.Scenario":
        """Return the content for a scenario of one model, or for one of several that is named."""
        return scenario_of_one(self._content, model, self.name)

    def of_several(self) -> SeveralModels | None:
        """Return the content of a scenario of several models, if it is one."""
        return self._content if isinstance(self._content, SeveralModels) else None

    @property
    def _shared(self) -> "schema.Scenario":
        return self._content.shared if isinstance(self._content, SeveralModels) else self._content

    def __repr__(self) -> str:
        models = f"models {', '.join(self.models)}" if self.models else self._shared.model
        return f"<Scenario {self.name}: {models} on {', '.join(self.devices)}>"

    def _repr_html_(self) -> str:
        devices = [
            (
                one.name,
                f"{one.speedup or 1.0:g} x {one.scaled_from}" if one.scaled_from else one.profile or "",
            )
            for one in self._shared.devices
        ]
        links = [(one.name, one.bandwidth_mbit_per_s, one.latency_ms) for one in self._shared.links]
        budget = self._shared.budget.model_dump(exclude_unset=True)
        kept = ", ".join(f"{key} {value}" for key, value in budget.items())
        return "".join(
            (
                heading(f"Scenario {self.name}"),
                paragraph(", ".join(self.models) or self._shared.model),
                html_table(("device", "seconds from"), devices),
                html_table(("link", "Mbit/s", "latency ms"), links) if links else "",
                paragraph(f"budget: {kept}") if kept else "",
            )
        )


ScenarioSource = Scenario | Mapping[str, Any] | str | os.PathLike[str]
"""What stands for a scenario: a Scenario, the path of its file, or its keys and values."""


def load_scenario(source: ScenarioSource, /, **changes: object) -> Scenario:
    """Return a scenario of a file, or of keys and values as a file would have them, checked.

    Paths in it lead from its file's folder, or from the working directory; `${NAME}` stands for an
    environment variable.

    Parameters
    ----------
    source
        The path of a YAML or JSON file, a mapping, or a scenario of one model.
    changes
        Values in place of the source's, as `--set` of the command: keys within keys are joined by two
        underscores, or by dots. A list's entries are counted from 0. Numbers of NumPy, paths and tuples
        are taken.

    Raises
    ------
    ScenarioError
        With one line per fault, a missing file among them: where it is, and what would be right.

    Examples
    --------
    >>> slow = load_scenario("scenario.yaml", links__0__bandwidth_mbit_per_s=1)
    >>> slow.to_dict()["links"][0]["bandwidth_mbit_per_s"]
    1.0
    >>> load_scenario("scenario.yaml", **{"budget.latency_ms": 50}).devices
    ('camera', 'server')
    """
    return _scenario(source, changes)


def scenario_of(source: ScenarioSource) -> Scenario:
    """Return the scenario that an argument stands for."""
    return source if isinstance(source, Scenario) else _scenario(source, {})


def one_model(source: ScenarioSource, instead: str) -> "schema.Scenario":
    """Return the content of a scenario of one model.

    Raises
    ------
    UsageError
        If it has several; `instead` says what takes these.
    """
    scenario = scenario_of(source)
    if scenario.models:
        raise UsageError(f"{scenario.name} has several models, {', '.join(scenario.models)}: {instead}")
    return scenario.of_one(None)


def _scenario(source: ScenarioSource, changes: Mapping[str, object]) -> Scenario:
    if isinstance(source, Scenario):
        name, given = source.name, source.to_dict()
        return Scenario(name, ready_models(given, changes_of(changes)))
    if isinstance(source, Mapping):
        return Scenario(_NAME, ready_models(source, changes_of(changes)))
    if not isinstance(source, str | os.PathLike):
        instead = "; solve takes it" if type(source).__name__ == "Problem" else ""
        raise ScenarioError(
            f"{_NAME}: {described(source)} is none{instead}; give a Scenario, the path of its file, or its "
            "keys and values"
        )
    path = expanded(source)
    return Scenario(path.stem, ready_models(path, changes_of(changes)))
