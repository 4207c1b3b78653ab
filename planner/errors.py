"""What can go wrong between a scenario and its plan.

PlannerError
├── UsageError      options of a command do not go together
├── ScenarioError   the scenario file is wrong; every fault at once
├── DataError       calibration or evaluation data do not fit the model
├── ProblemError    a table of costs is no placement problem
├── SolverError     the solver is missing or gave no answer
│   ├── SolverFailure    it is here, but failed, or its plan breaks a limit
│   └── OutOfTimeError   no answer within the time limit
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


class SolverFailure(SolverError):  # noqa: N818  failing is what it tells of
    """The solver is here, but failed, or its plan breaks a limit."""


class OutOfTimeError(SolverError):
    """The solver had no answer within the time limit.

    Parameters
    ----------
    what
        What was not found.
    remedy
        Where more time is given.
    """

    def __init__(self, what: str, remedy: str = "raise solver.time_limit_s in the scenario") -> None:
        super().__init__(f"{what}; {remedy}")
        self.what, self.remedy = what, remedy

    def __reduce__(self) -> tuple[type["OutOfTimeError"], tuple[str, str]]:
        return OutOfTimeError, (self.what, self.remedy)


class RebuildError(PlannerError):
    """The mixed model or a stage is not what the plan says."""


class NoPlanError(PlannerError):
    """Something was asked of a plan that was not found, or not delivered."""


class OutputError(PlannerError):
    """A plan folder cannot be written or read."""


class HostError(PlannerError):
    """A host cannot be reached, or a request has no answer."""
