"""What can go wrong between a scenario and its plan.

PlannerError
├── UsageError      options of a command do not go together
├── ScenarioError   the scenario file is wrong; every fault at once
├── DataError       calibration or evaluation data do not fit the model
├── ProblemError    a table of costs is no placement problem
├── SolverError     the solver is missing or gave no answer
├── RebuildError    the mixed model or a stage is not what the plan says
├── NoPlanError     something was asked of a plan that was not found, or not delivered
├── OutputError     a plan folder cannot be written or read
└── HostError       a host cannot be reached, or a request has no answer
"""

from profiling.errors import SplitquantError


class PlannerError(SplitquantError):
    """Base of every error that `planner` raises on purpose."""


class UsageError(PlannerError):
    """Options of a command do not go together."""


class ScenarioError(PlannerError):
    """The scenario file is wrong."""


class DataError(PlannerError):
    """Calibration or evaluation data do not fit the model."""


class ProblemError(PlannerError):
    """A table of costs is no placement problem."""


class SolverError(PlannerError):
    """The solver is missing or gave no answer."""


class RebuildError(PlannerError):
    """The mixed model or a stage is not what the plan says."""


class NoPlanError(PlannerError):
    """Something was asked of a plan that was not found, or not delivered."""


class OutputError(PlannerError):
    """A plan folder cannot be written or read."""


class HostError(PlannerError):
    """A host cannot be reached, or a request has no answer."""
