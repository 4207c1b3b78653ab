"""What came of planning a scenario."""

from collections.abc import Mapping
from dataclasses import dataclass

from planner.deployment.built_models import BuiltModels
from planner.plan.models_record import ModelsPlan
from planner.plan.plan_record import Plan
from profiling.records.profile import Profile


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Parameters
    ----------
    built, profiles
        None and empty where there is no plan.
    failures
        Error budgets that the evaluation data broke, or that no plan can keep, as sentences.
    conflict
        If no plan keeps all budgets: which of them cannot hold together.
    """

    plan: Plan
    built: BuiltModels | None
    profiles: Mapping[str, Profile]
    failures: tuple[str, ...] = ()
    conflict: str = ""

    @property
    def is_delivered(self) -> bool:
        """Whether there is a plan that keeps its budgets on the evaluation data."""
        return self.built is not None and not self.failures


@dataclass(frozen=True, slots=True)
class ModelsOutcome:
    """What came of planning several models together.

    Parameters
    ----------
    outcomes
        Model -> what came of it; empty where there is no plan.
    failures, conflict
        As those of `Outcome`, of all models.
    """

    record: ModelsPlan
    outcomes: Mapping[str, Outcome]
    failures: tuple[str, ...] = ()
    conflict: str = ""

    @property
    def is_delivered(self) -> bool:
        """Whether there are plans that keep their budgets on the evaluation data."""
        return bool(self.outcomes) and not self.failures
