"""What a plan rests on: a prepared scenario, its measured profiles and noise, and models built on demand."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial

import msgspec

from planner.costs.block_costs import costs_of_graph
from planner.costs.device_costs import DeviceCosts, device_costs, noise_of
from planner.costs.device_profiles import profile_devices
from planner.costs.noise_corrections import FittedNoise
from planner.costs.noise_profiles import fitted_noise, noise_profiles
from planner.costs.noise_saturation import NoiseModel
from planner.costs.noise_trials import TrialSetup
from planner.costs.placement_names import check_placement_names
from planner.costs.unit_options import pattern_exceptions
from planner.costs.whole_model import single_device_scenario
from planner.deployment.build import build
from planner.deployment.built_models import BuiltModels, VerificationTarget, verification_target
from planner.inputs.prepared_scenario import Prepared
from planner.plan.configuration import Configuration, configuration_of
from planner.plan.plan_record import Metrics, NoisyCosts
from planner.problem.placement_problem import Choice, PlacementProblem
from planner.refinement.noise_limit_search import NoiseLimitSearch
from planner.refinement.plan_timings import plan_timings
from planner.refinement.planning_problem import PlanningProblem
from planner.scenario.schema import Scenario
from planner.solver.solver_options import SolverOptions
from planner.verification.measure_errors import measure_errors
from planner.verification.noisy_costs import noisy_costs_of
from profiling.latency.plan_timing import PlanTiming
from profiling.progress import Progress, silent
from profiling.quantization.qdq_model import Scheme
from profiling.records.profile import FORMAT as PROFILE_FORMAT
from profiling.records.profile import LatencyProfile, NoiseProfile, Profile
from profiling.runtime_names import TENSORFLOW

log = logging.getLogger(__name__)

SOLVING = "solving and trying out plans"  # what progress says


@dataclass(frozen=True, slots=True)
class MeasuredScenario:
    """Everything that was measured of a scenario.

    Parameters
    ----------
    latency
        Device name -> its profile, of devices that are not scaled from others.
    fitted_noise
        What `noise`, which was measured of single sources, becomes in company.
    build
        Returns a plan's models; the last two are kept.
    """

    prepared: Prepared
    latency: Mapping[str, LatencyProfile]
    noise: Mapping[Scheme, NoiseProfile]
    fitted_noise: FittedNoise
    build: Callable[[Configuration], BuiltModels]

    @property
    def scenario(self) -> Scenario:
        """The scenario that was measured."""
        return self.prepared.scenario

    @property
    def noise_model(self) -> NoiseModel:
        """How the summed noise of sources becomes noise at the outputs."""
        return self.fitted_noise.law

    @property
    def noisy_costs(self) -> tuple[NoisyCosts, ...]:
        """Devices whose costs are noisy."""
        return noisy_costs_of(self.latency)

    @property
    def options(self) -> SolverOptions:
        """How its problems are solved."""
        spec = self.scenario.solver
        return SolverOptions(spec.name, spec.time_limit_s, spec.gap)

    def planning_problem(self, latency: Mapping[str, LatencyProfile]) -> PlanningProblem:
        """Return what is to be solved under the measured profiles, or what a plan's own run made of them."""
        prepared = self.prepared
        return PlanningProblem(
            self.scenario,
            prepared.models.graph,
            prepared.schemes,
            prepared.subject.samples,
            self.costs(latency),
            self.noise_model,
            prepared.converted_from,
            prepared.tried_precisions,
            prepared.calibration_choices,
        )

    def costs(self, latency: Mapping[str, LatencyProfile]) -> dict[str, DeviceCosts]:
        """Return device -> its costs with some seconds, and with the noise that sources make in company."""
        alone = _costs(self.prepared, latency, self.noise)
        return {name: self.fitted_noise.factors.applied(own) for name, own in alone.items()}

    def held_back_errors(self, configuration: Configuration) -> Metrics:
        """Return the errors of a plan on the held-back data: it is built and run."""
        prepared = self.prepared
        target = verification_target(prepared, self.build(configuration))
        errors = measure_errors(target, prepared.held_back, prepared.runtime, prepared.metric)
        # That no index was wrong is chance, but for a plan that rounds nothing.
        return msgspec.structs.replace(errors, noise_standard_error=0.0) if configuration.is_exact else errors

    def calibration_errors(self, target: VerificationTarget, progress: Progress = silent) -> Metrics:
        """Return the errors of a plan on the calibration samples on which noise is measured: it is run."""
        prepared = self.prepared
        samples = prepared.subject.calibration.spread(self.scenario.profiling.noise_samples)
        return measure_errors(target, samples, prepared.runtime, progress=progress)

    def timings(self, configuration: Configuration, progress: Progress = silent) -> dict[str, PlanTiming]:
        """Return what a plan takes on the devices that this machine stands for; empty if there are none."""
        progress("timing the plan", 0, 1)
        timings = plan_timings(self.prepared, self.latency, self.build, configuration)
        progress(SOLVING, 0, 1)  # what follows, whatever the timing showed
        return timings

    def profiles(self, latency: Mapping[str, LatencyProfile]) -> dict[str, Profile]:
        """Return device -> its profile with the costs under which a plan was solved."""
        scenario, schemes = self.scenario, self.prepared.schemes
        return {
            name: Profile(PROFILE_FORMAT, name, profile, noise_of(scenario, schemes[name], self.noise))
            for name, profile in latency.items()
        }

    @property
    def noise_limit_search(self) -> NoiseLimitSearch:
        """How the limit on noise is searched under which the best plan keeps the error budgets."""

        def errors_of(problem: PlacementProblem, choice: Choice) -> Metrics:
            return self.held_back_errors(configuration_of(problem, choice))

        return NoiseLimitSearch(self.scenario.budget, self.options, errors_of, self.noise_model)


def _quantizing_device(scenario: Scenario) -> str | None:
    """Return the source, or the first device that quantizes if TensorFlow runs there, which does not."""
    names = [scenario.source, *(device.name for device in scenario.devices)]
    return next((n for n in names if scenario.runtime_of(scenario.device(n)) != TENSORFLOW), None)


def _costs(
    prepared: Prepared, latency: Mapping[str, LatencyProfile], noise: Mapping[Scheme, NoiseProfile]
) -> dict[str, DeviceCosts]:
    scenario = prepared.scenario
    own = device_costs(scenario, latency, noise, prepared.schemes)
    return costs_of_graph(own, prepared.models.graph, scenario)


def measure_scenario(
    prepared: Prepared, progress: Progress = silent, known: Mapping[str, LatencyProfile] | None = None
) -> MeasuredScenario:
    """Profile a prepared scenario: seconds and noise; what is in the cache is not measured again.

    Parameters
    ----------
    known
        The seconds of every device that is not scaled from another, if they are not to be measured.

    Raises
    ------
    ScenarioError
        If the placement names what the model does not have.
    """
    scenario, subject = prepared.scenario, prepared.subject
    check_placement_names(scenario, prepared.models.graph)
    for exception in pattern_exceptions(scenario, subject.graph):
        log.warning("%s", exception)
    latency = profile_devices(prepared, progress) if known is None else known
    noise = noise_profiles(scenario, subject, prepared.calibrations, progress)
    costs = _costs(prepared, latency, noise)
    tried, fitted = _quantizing_device(scenario), FittedNoise()
    if tried is not None:
        trial = TrialSetup(prepared.calibration(tried), prepared.level(tried))
        alone = single_device_scenario(scenario, scenario.device(tried))
        fitted = fitted_noise(alone, subject, trial, costs[tried], progress)
    # One of the last plans that are tried out is the one that is delivered.
    return MeasuredScenario(prepared, latency, noise, fitted, lru_cache(maxsize=2)(partial(build, prepared)))
