"""Placement problems built in code or loaded, and their solutions: the planner's core alone."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from planner.errors import OutputError, ProblemError, ScenarioError
from planner.formatting import MILLI
from planner.scenario.changes import plain_value
from planner.scenario.model_paths import expanded
from splitquant._arguments import described, path_of, real
from splitquant._calls import naming_parameters
from splitquant._problem_parts import (
    Device,
    End,
    Format,
    Limit,
    Link,
    ModelRate,
    SolverOptions,
    Tensor,
    Term,
    Unit,
)
from splitquant._tables import data_frame, heading, html_table

if TYPE_CHECKING:
    import pandas as pd

    from planner.problem_io.schema import ProblemSpec
    from planner.problem_io.solution import Answer

_NAME = "problem"
_PARTS: Mapping[str, type[msgspec.Struct]] = {
    "devices": Device,
    "links": Link,
    "ends": End,
    "formats": Format,
    "models": ModelRate,
    "units": Unit,
    "tensors": Tensor,
    "limits": Limit,
    "objective": Term,
}
_CUTS = ("tensor", "from", "to", "path", "wire", "bytes", "seconds")


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A placement problem: which device and precision each unit gets, under limits, at the least objective.

    It holds what PROBLEM.json does, and is checked when it is made, saved or solved. `replace` gives another
    one with some parts changed.

    Parameters
    ----------
    devices, links, ends
        Where units may run, what connects these, and where tensors arise and are due.
    units, tensors
        What is placed, and what it hands on.
    limits
        Budgets.
    objective
        Terms whose sum is minimised; default: latency.
    formats, precisions
        Quantized formats of tensors; precision of an option -> the format for which its units ask.
    models
        Where there are several.
    together, apart
        Groups of units on one device; pairs of units on different devices.

    Raises
    ------
    ProblemError
        With one line per fault: which key, and what would be right.

    Examples
    --------
    >>> from splitquant import Device, End, Link, Option, Tensor, Unit
    >>> problem = Problem(
    ...     devices=[Device("camera"), Device("server")],
    ...     links=[Link("camera", "server", bytes_per_s=1e6), Link("server", "camera")],
    ...     ends=[End("lens", "camera"), End("screen", "camera")],
    ...     units=[
    ...         Unit("features", [Option("camera", 0.004), Option("server", 0.001)]),
    ...         Unit("classes", [Option("camera", 0.020), Option("server", 0.002)]),
    ...     ],
    ...     tensors=[
    ...         Tensor("picture", "lens", ["features"], bytes=60_000),
    ...         Tensor("map", "features", ["classes"], bytes=3_000),
    ...         Tensor("answer", "classes", ["screen"], bytes=40),
    ...     ],
    ... )
    >>> solution = solve(problem)
    >>> solution.devices
    {'features': 'camera', 'classes': 'server'}
    >>> round(solution.latency_s, 6)
    0.009
    """

    devices: Sequence[Device]
    links: Sequence[Link] = ()
    ends: Sequence[End] = ()
    formats: Sequence[Format] = (Format("uint8"), Format("uint16", ("uint8",)))
    precisions: Mapping[str, str] = msgspec.field(
        default_factory=lambda: {"fp32": "float", "fp16": "float", "int8": "uint8", "int16": "uint16"}
    )
    models: Sequence[ModelRate] = ()
    units: Sequence[Unit]
    tensors: Sequence[Tensor] = ()
    limits: Sequence[Limit] = ()
    objective: Sequence[Term] = (Term("latency"),)
    together: Sequence[Sequence[str]] = ()
    apart: Sequence[Sequence[str]] = ()
    solver: SolverOptions = SolverOptions()
    version: int = 1

    def __post_init__(self) -> None:
        for field, part in _PARTS.items():
            values = getattr(self, field)
            odd = [one for one in values if not isinstance(one, part)] if isinstance(values, Sequence) else []
            if odd and not isinstance(values, str):
                raise ProblemError(
                    f"{_NAME}: {field} holds {described(odd[0])}: give {part.__name__}(...); load_problem "
                    "takes keys and values"
                )
        _checked(self)

    def replace(self, **changes: Any) -> "Problem":
        """Return the problem with other values of some fields.

        Raises
        ------
        ProblemError
            If it would be none, or there is no such field.

        Examples
        --------
        >>> from splitquant import Device, Limit, Option, Unit
        >>> problem = Problem(devices=[Device("a")], units=[Unit("u", [Option("a", 0.01)])])
        >>> problem.replace(limits=[Limit("latency", 0.02)]).limits[0].at_most
        0.02
        """
        unknown = sorted(changes.keys() - set(self.__struct_fields__))
        if unknown:
            fields = ", ".join(self.__struct_fields__)
            raise ProblemError(f"{_NAME}: {unknown[0]} is no field; there are {fields}")
        return msgspec.structs.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as PROBLEM.json holds it; what has its default is left out."""
        return _content(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write PROBLEM.json for `plan solve`, and return its path.

        Raises
        ------
        OutputError
            If that fails.
        ProblemError
            If a list in it was changed to what is no problem.
        """
        _checked(self)
        target = path_of("path", path)
        try:
            target.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        except OSError as exc:
            raise OutputError(f"{target}: cannot be written: {exc.strerror or exc}") from exc
        return target

    def __repr__(self) -> str:
        return f"<Problem: {len(self.units)} units on {', '.join(device.name for device in self.devices)}>"

    def _repr_html_(self) -> str:
        rows = [
            (name, len(getattr(self, name))) for name in ("units", "tensors", "devices", "links", "limits")
        ]
        terms = " + ".join(map(_term_text, self.objective))
        return heading(f"Problem: minimise {terms}") + html_table(("", "count"), rows)


def _term_text(term: Term) -> str:
    of = term.of or term.model
    name = term.measure + (f" of {of}" if of else "")
    return name if term.weight == 1 else f"{term.weight:g} {name}"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Solution:
    """The answer to a problem, or why there is none.

    Parameters
    ----------
    answer
        The record: everything that `plan solve --json` prints, under the same names.
    reason
        Which limits cannot hold together; empty where there is an answer.
    """

    answer: "Answer"
    reason: str = ""

    @property
    def status(self) -> str:
        """`optimal`, `feasible` or `infeasible`."""
        return self.answer.status

    @property
    def objective(self) -> float | None:
        """The value that was minimised; None where there is no answer."""
        return self.answer.objective.value

    @property
    def bound(self) -> float | None:
        """What no answer can be below, as it was proved."""
        return self.answer.objective.bound

    @property
    def gap(self) -> float | None:
        """The relative distance between the two."""
        return self.answer.objective.gap

    @property
    def latency_s(self) -> float | None:
        """Seconds of one request, of several models their mean; None where there is no answer."""
        return None if self.answer.costs is None else self.answer.costs.latency_s

    @property
    def period_s(self) -> float | None:
        """Seconds between requests in a pipeline; None where there is no answer."""
        return None if self.answer.costs is None else self.answer.costs.period_s

    @property
    def energy_j(self) -> dict[str, float]:
        """Device -> joules of a request; empty where there is no answer."""
        return {} if self.answer.costs is None else dict(self.answer.costs.energy_j)

    @property
    def memory_bytes(self) -> dict[str, float]:
        """Device -> bytes that it holds; empty where there is no answer."""
        return {} if self.answer.costs is None else dict(self.answer.costs.memory_bytes)

    @property
    def traffic_bytes(self) -> dict[str, float]:
        """Link -> bytes of a request; empty where there is no answer."""
        return {} if self.answer.costs is None else dict(self.answer.costs.traffic_bytes)

    @property
    def stages(self) -> tuple[str, ...]:
        """The devices of the stages in running order; empty without an answer, and of several models."""
        return self.answer.stages

    @property
    def devices(self) -> dict[str, str]:
        """Unit -> device; empty where there is no answer."""
        return {placed.unit: placed.device for placed in self.answer.assignments}

    @property
    def precisions(self) -> dict[str, str]:
        """Unit -> precision; empty where there is no answer."""
        return {placed.unit: placed.precision for placed in self.answer.assignments}

    def table(self) -> "pd.DataFrame":
        """Return a row per unit: `unit`, `device`, `precision`, and `model` where there are several.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = ("unit", "device", "precision", *(("model",) if self.answer.models else ()))
        return data_frame(
            columns, [[getattr(row, key) for key in columns] for row in self.answer.assignments]
        )

    def cuts_table(self) -> "pd.DataFrame":
        """Return a row per tensor that crosses links: from and to which device, its form, bytes and seconds.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return data_frame(_CUTS, self._cut_rows())

    def limits_table(self) -> "pd.DataFrame":
        """Return a row per limit: `measure`, `of`, `model`, what is `used` and what it allows, `at_most`.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        columns = ("measure", "of", "model", "used", "at_most")
        return data_frame(columns, [[getattr(use, key) for key in columns] for use in self.answer.limits])

    def _cut_rows(self) -> list[tuple[object, ...]]:
        return [
            (cut.tensor, cut.source, cut.target, " > ".join(cut.path), cut.wire, cut.size_bytes, cut.seconds)
            for cut in self.answer.cuts
        ]

    def __repr__(self) -> str:
        return f"<Solution: {self._in_words()}>"

    def _in_words(self) -> str:
        if self.objective is None or self.latency_s is None:
            return self.reason or self.status
        goal = self.answer.objective
        reached = f"{self.status}, {goal.name} {goal.amount_text(float(f'{self.objective:.6g}'))}"
        return reached if goal.name == "latency" else f"{reached}, latency {self.latency_s * MILLI:.6g} ms"

    def _repr_html_(self) -> str:
        units = [(row.unit, row.device, row.precision) for row in self.answer.assignments]
        cuts = html_table(_CUTS, self._cut_rows()) if self.answer.cuts else ""
        table = html_table(("unit", "device", "precision"), units) if units else ""
        return heading(self._in_words()) + table + cuts


ProblemSource = Problem | Mapping[str, Any] | str | os.PathLike[str]
"""What stands for a problem: a Problem, the path of PROBLEM.json, or its keys and values."""


def load_problem(source: str | os.PathLike[str] | Mapping[str, Any], /) -> Problem:
    """Return the problem of a PROBLEM.json, or of keys and values as it has them.

    Raises
    ------
    ProblemError
        With one line per fault: the file, which key, and what would be right.

    Examples
    --------
    >>> load_problem({"devices": [{"name": "a"}], "units": []})
    Traceback (most recent call last):
    planner.errors.ProblemError: problem: units needs at least 1 entry
    """
    content = _checked(source).model_dump(mode="json", by_alias=True, exclude_unset=True)
    return msgspec.convert(content, Problem)


def solve(
    problem: ProblemSource,
    *,
    solver: str | None = None,
    time_limit_s: float | None = None,
    gap: float | None = None,
) -> Solution:
    """Solve a placement problem whose costs come from elsewhere.

    Parameters
    ----------
    problem
        A `Problem`, the path of a PROBLEM.json, or its keys and values.
    solver
        highs, cbc, or gurobi, cplex, scip where they are installed; default: the problem's.
    time_limit_s
        Seconds for the answer, or for why there is none; default: the problem's.
    gap
        Stop when the answer is within this fraction of the best; default: the problem's.

    Returns
    -------
    The answer; where no answer keeps all limits, `reason` says which cannot hold together.

    Raises
    ------
    ProblemError
        If it is no problem.
    UsageError
        If there is no such solver, or a number is out of range.
    SolverError
        If the solver is missing, or ran out of time without an answer.
    """
    from planner.problem_io.solution import conflict_line
    from planner.problem_io.solve_file import SolverChanges, solve_spec

    with naming_parameters():
        changes = SolverChanges(
            solver,
            None if time_limit_s is None else real("time_limit_s", time_limit_s),
            None if gap is None else real("gap", gap),
        )
        answer = solve_spec(_checked(problem), changes)
    return Solution(answer, conflict_line(answer) if answer.is_infeasible else "")


def _checked(source: ProblemSource) -> "ProblemSpec":
    """Return a problem in whatever form it is given, checked."""
    from planner.problem_io.loader import load_spec, parse_spec

    if isinstance(source, Problem | Mapping):
        return parse_spec(json.dumps(_content(source)).encode(), _NAME)
    if not isinstance(source, str | os.PathLike):
        instead = "; plan takes it" if type(source).__name__ == "Scenario" else ""
        raise ProblemError(
            f"{_NAME}: {described(source)} is none{instead}; give a Problem, the path of a PROBLEM.json, or "
            "its keys and values"
        )
    return load_spec(expanded(source))


def _content(problem: Problem | Mapping[str, Any]) -> dict[str, Any]:
    """Return a problem as JSON has it."""
    try:
        plain = problem if isinstance(problem, Mapping) else msgspec.to_builtins(problem, enc_hook=_plain)
        content: dict[str, Any] = {str(key): plain_value(value, str(key)) for key, value in plain.items()}
    except (ScenarioError, NotImplementedError, TypeError) as exc:
        raise ProblemError(f"{_NAME}: {exc}") from exc
    return content


def _plain(value: Any) -> Any:
    return plain_value(value, "a value")
