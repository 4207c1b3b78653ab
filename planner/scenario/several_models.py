"""A scenario of several models -> one scenario per model, and what they share."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from planner.errors import UsageError
from planner.scenario.models_schema import NEEDS_RATES, ModelBudgetSpec, ModelSpec, ModelsSpec, check_models
from planner.scenario.schema import Scenario
from planner.scenario.validation import read_scenario
from planner.scenario.validation_messages import Fault

MODELS = "models"
_ONLY_HERE = ("name", "requests_per_s", "weight", "profiles")  # keys that a scenario of one model has not
_OWN = tuple(key for key in ModelSpec.model_fields if key not in (*_ONLY_HERE, "budget"))
RESERVED = ("models.json", "report.html")  # files beside the models' folders


@dataclass(frozen=True, slots=True)
class ModelScenario:
    """One of several models.

    Parameters
    ----------
    share
        Of the requests of all models.
    scenario
        Of this model alone, with its own budgets only.
    """

    name: str
    share: float
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class SeveralModels:
    """Several models that share devices and links.

    Parameters
    ----------
    shared
        The first model's scenario with the budgets on what all models share, in place of its own.
    requests_per_s
        Of all models; None if only their weights are known.
    utilisation
        Most of its time for which a device or link may work; needs `requests_per_s`.
    """

    models: tuple[ModelScenario, ...]
    shared: Scenario
    requests_per_s: float | None = None
    utilisation: float = 1.0

    def mapped(self, change: Callable[[Scenario], Scenario]) -> "SeveralModels":
        """Return the same with every scenario changed."""
        models = tuple(replace(one, scenario=change(one.scenario)) for one in self.models)
        return replace(self, models=models, shared=change(self.shared))

    def at_requests_per_s(self, total: float) -> "SeveralModels":
        """Return the same models at another number of requests, of which each has its share."""
        return replace(self, requests_per_s=total)

    def scenario_of(self, name: str | None) -> Scenario:
        """Return a model's scenario.

        Raises
        ------
        UsageError
            If it is not named, or is none of the models.
        """
        for one in self.models:
            if one.name == name:
                return one.scenario
        wrong = "which model?" if name is None else f"{name}: no such model;"
        raise UsageError(f"--model {wrong} models are {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(one.name for one in self.models)


def scenario_of_one(loaded: Scenario | SeveralModels, model: str | None, name: str) -> Scenario:
    """Return a scenario of one model, or the one of several that is named.

    Parameters
    ----------
    name
        Of the scenario, for messages.

    Raises
    ------
    UsageError
        If one of several is not named, or there are not several.
    """
    if isinstance(loaded, SeveralModels):
        return loaded.scenario_of(model)
    if model is not None:
        raise UsageError(f"--model {model}: {name} holds one model")
    return loaded


def read_models(content: Mapping[str, Any]) -> tuple[SeveralModels | None, tuple[Fault, ...]]:
    """Return the models that a scenario's content describes, and every fault; None if its keys are wrong."""
    misplaced = [key for key in content if key in _OWN]
    faults = [
        Fault((key,), "is of one model: `models` holds it for each of several; give one or the other")
        for key in misplaced
    ]
    shared = {key: value for key, value in content.items() if key not in misplaced}
    spec, faults_of_keys = check_models(json.dumps(shared, default=str))
    faults += faults_of_keys
    if spec is None:
        return None, tuple(faults)
    faults += _faults_of_models(spec)
    alone = []
    for number in range(len(spec.models)):
        _, own_faults = read_scenario(json.dumps(_content(shared, number, all_budgets=True), default=str))
        scenario, _ = read_scenario(json.dumps(_content(shared, number, all_budgets=False), default=str))
        faults += (moved_fault(fault, number) for fault in own_faults)
        alone.append(scenario)
    budget = _shared_budget(shared)
    first, _ = read_scenario(
        json.dumps(_content(shared, 0, all_budgets=False) | {"budget": budget}, default=str)
    )
    weights = [model.requests_per_s or model.weight or 1.0 for model in spec.models]
    models = tuple(
        ModelScenario(model.name, weight / sum(weights), scenario)
        for model, weight, scenario in zip(spec.models, weights, alone, strict=True)
    )
    rates = [model.requests_per_s for model in spec.models if model.requests_per_s is not None]
    most = 1.0 if spec.budget.utilisation is None else spec.budget.utilisation
    return SeveralModels(models, first, sum(rates) if rates else None, most), tuple(faults)


def _shared_budget(content: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (content.get("budget") or {}).items() if key != "utilisation"}


def _content(content: Mapping[str, Any], number: int, *, all_budgets: bool) -> dict[str, Any]:
    """Return the scenario of one model, with its own budgets, or with the shared ones as well."""
    entry = content[MODELS][number]
    shared = {key: value for key, value in content.items() if key not in (MODELS, "budget")}
    own = {key: value for key, value in entry.items() if key not in (*_ONLY_HERE, "budget")}
    profiles = entry.get("profiles") or {}
    devices = [
        device | ({"profile": profiles[device["name"]]} if device["name"] in profiles else {})
        for device in content["devices"]
    ]
    budget = (_shared_budget(content) if all_budgets else {}) | (entry.get("budget") or {})
    return {**shared, **own, "devices": devices, "budget": budget}


def moved_fault(fault: Fault, number: int) -> Fault:
    """Return a fault of one model's scenario where it stands in that of several."""
    key, *rest = fault.key_path or ("",)
    own_budget = key == "budget" and bool(rest) and rest[0] in ModelBudgetSpec.model_fields
    return replace(fault, key_path=(MODELS, number, *fault.key_path)) if key in _OWN or own_budget else fault


def _faults_of_models(spec: ModelsSpec) -> Iterator[Fault]:
    """Yield what is wrong between the models: names, rates, profiles."""
    names = [model.name for model in spec.models]
    devices = [device.name for device in spec.devices]
    rated = [model.requests_per_s is not None for model in spec.models]
    for number, model in enumerate(spec.models):
        key_path = (MODELS, number)
        if names.index(model.name) != number:
            yield Fault((*key_path, "name"), f"{model.name!r} is already taken")
        if model.name in RESERVED:
            yield Fault(
                (*key_path, "name"), f"{model.name!r} is the name of a file beside the models' folders"
            )
        if any(rated) and not rated[number]:
            yield Fault((*key_path, "requests_per_s"), "is required, since other models have one")
        for name in model.profiles:
            if name not in devices:
                yield Fault(
                    (*key_path, "profiles", name), f"names no device; devices are {', '.join(devices)}"
                )
    if spec.budget.utilisation is not None and not all(rated):
        yield Fault(("budget", "utilisation"), NEEDS_RATES)
