"""The plans that a comparison meets, each registered once under a number."""

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from planner.comparison.comparison_record import PlanSummary
from planner.comparison.sweep_points import SweepPoints
from planner.formatting import names_text, short_name, size_text
from planner.plan.configuration import Configuration, configuration_of, unit_options
from planner.plan.plan_record import Cut
from planner.problem.cost_evaluation import Cost, evaluate
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.refinement.plan_assembly import busy_of, cuts_of, memory_of
from planner.scenario.schema import Scenario
from profiling.precision import Precision

_MOST_CUTS = 2  # that a summary names


class PlanRegistry:
    """Plans in the order in which they were registered; a plan's number is its place in it."""

    def __init__(self, points: SweepPoints) -> None:
        self._points = points
        self._numbers: dict[Configuration, int] = {}
        self._choices: list[Choice] = []
        self._summed: list[float] = []
        self.lines: list[PlanSummary] = []

    @property
    def choices(self) -> Sequence[Choice]:
        """What each plan chooses."""
        return self._choices

    @property
    def chosen(self) -> Sequence[Configuration]:
        """What each plan's models follow from."""
        return list(self._numbers)

    def summed_noise(self, plan: int) -> float:
        """Return the sum of a plan's noise powers, which `NoiseModel.predict` takes."""
        return self._summed[plan]

    def discard(self, since: int) -> None:
        """Forget the plans from a number on."""
        for chosen in list(self._numbers)[since:]:
            del self._numbers[chosen]
        for rows in (self._choices, self._summed, self.lines):
            del rows[since:]

    def renumber(self, order: Sequence[int]) -> dict[int, int]:
        """Give plans the numbers 0, 1 ... in an order, those not named in it last; return old -> new."""
        old = list(dict.fromkeys((*order, *range(len(self.lines)))))
        configurations = list(self._numbers)
        self._numbers = {configurations[number]: place for place, number in enumerate(old)}
        self._choices = [self._choices[number] for number in old]
        self._summed = [self._summed[number] for number in old]
        self.lines = [replace(self.lines[number], number=place) for place, number in enumerate(old)]
        return {number: place for place, number in enumerate(old)}

    def register(
        self, problem: PlacementProblem, choice: Choice, scenario: Scenario, *, is_timed: bool = False
    ) -> PlanSummary:
        """Return the plan of a choice, registered if it is new.

        Parameters
        ----------
        scenario
            The one that the problem was made of: its bandwidths are in the costs.
        is_timed
            Whether the plan showed these costs itself.
        """
        chosen = configuration_of(problem, choice)
        if chosen not in self._numbers:
            number = self._numbers[chosen] = len(self.lines)
            self._choices.append(choice)
            line = self._line(number, chosen, problem, choice, scenario)
            self.lines.append(replace(line, timed=is_timed))
        return self.lines[self._numbers[chosen]]

    def latency_line(self, cost: Cost, scenario: Scenario) -> tuple[float, float]:
        """Return (fixed_s, link_s) of a cost that was priced in a scenario.

        Latency at a bandwidth b of the links that vary is fixed_s + link_s / b.
        """
        bandwidths = self._points.sweep.bandwidths
        if bandwidths is None:
            return cost.latency_s, 0.0
        fixed_s = cost.latency_s - bandwidths.seconds_on(scenario, cost.traffic_bytes)
        at_one = bandwidths.scenario_at(self._points.basis.scenario, 1.0)
        return fixed_s, bandwidths.seconds_on(at_one, cost.traffic_bytes)

    def _line(
        self,
        number: int,
        chosen: Configuration,
        problem: PlacementProblem,
        choice: Choice,
        scenario: Scenario,
    ) -> PlanSummary:
        basis = self._points.basis
        cost = evaluate(problem, choice)
        self._summed.append(cost.noise_power)
        graph = basis.prepared.models.graph
        cuts, precisions = cuts_of(problem, cost, graph.tensors), graph.counted_precisions(chosen.precisions)
        fixed_s, link_s = self.latency_line(cost, scenario)
        return PlanSummary(
            number=number,
            summary=summary_text(chosen.devices, precisions, cuts),
            devices=chosen.devices,
            precisions=precisions,
            cuts=cuts,
            fixed_s=fixed_s,
            link_s=link_s,
            compute_s=busy_of(problem, cost),
            unit_s=tuple(option.seconds for option in unit_options(problem, choice)),
            noise_relative_rms=basis.noise_model.predict(cost.noise_power) ** 0.5,
            energy_j=sum(cost.energy_j) if basis.scenario.knows_energy else None,
            memory_bytes=memory_of(problem, cost),
        )


def summary_text(devices: Sequence[str], precisions: Sequence[Precision], cuts: Sequence[Cut]) -> str:
    """Return what a person calls a plan, given what each unit is on and in."""
    counts = Counter(precisions)
    mix = " + ".join(f"{count} {precision}" for precision, count in sorted(counts.items(), key=_largest))
    used = list(dict.fromkeys(devices))
    ends = [f"{short_name(cut.tensor)} ({cut.wire}, {size_text(cut.size_bytes)})" for cut in cuts]
    crossing = f", over the links {names_text(ends, _MOST_CUTS)}" if ends else ""
    where = " > ".join(used) if len(used) > 1 else f"all on {used[0]}"
    return f"{where}{crossing}; {mix}"


def _largest(entry: tuple[str, int]) -> tuple[int, str]:
    return -entry[1], entry[0]
