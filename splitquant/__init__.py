"""Plan at which precision and on which device each part of a neural network runs, from Python.

The names in `__all__` are the public interface: they, their parameters and their attributes stay as they are
from one version to the next, or change with a notice in CHANGELOG.md. Everything else, in `planner` and
`profiling` as well, may change in any version.

Numbers are SI: seconds, bytes, joules. Only scenario keys carry the units that people write, such as
`bandwidth_mbit_per_s`. Everything that fails on purpose raises a `SplitquantError`, with the message of the
command `plan`, in which options have the names of parameters; a full disk is an OSError, a package that is
not installed an ImportError.

The command runs in a process of its own, and survives crashes of native code; these functions run in yours.

Examples
--------
>>> import splitquant as sq
>>> result = sq.plan("scenario.yaml")
>>> result.is_delivered
True
>>> str(result.save("plans/first"))
'plans/first'
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planner.errors import (
        DataError,
        HostError,
        NoPlanError,
        OutputError,
        ProblemError,
        RebuildError,
        ScenarioError,
        SolverError,
        UsageError,
    )
    from planner.plan.plan_record import Plan
    from profiling.errors import ModelError, ProfileError, QuantizeError, SplitquantError
    from splitquant._comparisons import Breakpoint, Comparison, compare
    from splitquant._hosts import Answer, AsyncRequestClient, RequestClient
    from splitquant._plans import ModelsResult, PlanResult, load_plan, plan, plan_models, run
    from splitquant._problem_parts import (
        Device,
        End,
        Format,
        Limit,
        Link,
        ModelRate,
        Option,
        QuantizedTensor,
        SolverOptions,
        Tensor,
        Term,
        Unit,
        Wire,
    )
    from splitquant._problems import Problem, Solution, load_problem, solve
    from splitquant._profiles import ProfileResult, profile
    from splitquant._scenarios import Scenario, load_scenario

__all__ = [
    "Answer",
    "AsyncRequestClient",
    "Breakpoint",
    "Comparison",
    "DataError",
    "Device",
    "End",
    "Format",
    "HostError",
    "Limit",
    "Link",
    "ModelError",
    "ModelRate",
    "ModelsResult",
    "NoPlanError",
    "Option",
    "OutputError",
    "Plan",
    "PlanResult",
    "Problem",
    "ProblemError",
    "ProfileError",
    "ProfileResult",
    "QuantizeError",
    "QuantizedTensor",
    "RebuildError",
    "RequestClient",
    "Scenario",
    "ScenarioError",
    "Solution",
    "SolverError",
    "SolverOptions",
    "SplitquantError",
    "Tensor",
    "Term",
    "Unit",
    "UsageError",
    "Wire",
    "compare",
    "load_plan",
    "load_problem",
    "load_scenario",
    "plan",
    "plan_models",
    "profile",
    "run",
    "solve",
]

__version__ = version("splitquant")

# Module -> the public names in it. They are imported when they are first asked for: the runtime, the solver
# and the plotting library take seconds to load, and hardly any program needs all of them.
_HOMES = {
    "planner.errors": (
        "DataError",
        "HostError",
        "NoPlanError",
        "OutputError",
        "ProblemError",
        "RebuildError",
        "ScenarioError",
        "SolverError",
        "UsageError",
    ),
    "planner.plan.plan_record": ("Plan",),
    "profiling.errors": ("ModelError", "ProfileError", "QuantizeError", "SplitquantError"),
    "splitquant._comparisons": ("Breakpoint", "Comparison", "compare"),
    "splitquant._hosts": ("Answer", "AsyncRequestClient", "RequestClient"),
    "splitquant._plans": ("ModelsResult", "PlanResult", "load_plan", "plan", "plan_models", "run"),
    "splitquant._problem_parts": (
        "Device",
        "End",
        "Format",
        "Limit",
        "Link",
        "ModelRate",
        "Option",
        "QuantizedTensor",
        "SolverOptions",
        "Tensor",
        "Term",
        "Unit",
        "Wire",
    ),
    "splitquant._problems": ("Problem", "Solution", "load_problem", "solve"),
    "splitquant._profiles": ("ProfileResult", "profile"),
    "splitquant._scenarios": ("Scenario", "load_scenario"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # which would take every name for one that is there

    def __getattr__(name: str) -> object:
        """Return a public name, imported when it is first asked for."""
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__", "__doc__"])
