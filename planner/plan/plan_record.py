"""The answer: which device and precision each unit gets, what crosses links, what it costs."""

from enum import StrEnum

import msgspec

from planner.conversion.provenance import ConvertedFrom
from planner.devices.calibration_choices import CalibrationChoice
from planner.devices.tried_precisions import TriedPrecision
from planner.json_record import Record, Unbounded, restore_infinite
from planner.metrics.output_form import DetectorOutputs
from profiling.precision import Precision

FORMAT = 3


class Objective(Record, frozen=True, kw_only=True):
    """What was minimised, and how good the answer is.

    Values are seconds for `latency`, joules for `energy`, and without unit for a weighted sum.
    """

    name: str
    value: float | None
    bound: float | None
    gap: float | None


class SolverRun(Record, frozen=True, kw_only=True):
    """Which solver found the plan, how large the program was, and what the process held at most.

    No variables: the relaxation alone proved the plan, or the program was never needed.
    """

    name: str
    runtime_s: float
    variables: int
    constraints: int
    peak_mib: float | None = None


class Assignment(Record, frozen=True, kw_only=True):
    """The device and precision of one unit, and what it costs there.

    Parameters
    ----------
    compute_s
        Seconds of the unit alone; switches and stages are not in it.
    noise_power
        Of its weights, in the sum that the noise law takes.
    weight_bytes, compressed_bytes
        Of its weights in that precision; compressed only where the scenario counts them so.
    """

    unit: str
    nodes: tuple[str, ...]
    device: str
    precision: Precision
    compute_s: float = 0.0
    noise_power: float = 0.0
    weight_bytes: int = 0
    compressed_bytes: int | None = None


class WireFormat(StrEnum):
    """In which form a tensor crosses a link."""

    FLOAT = "float"  # as the model computes it, in float32
    UINT8 = "uint8"  # cut at its QuantizeLinear, or a float tensor that is quantized for the link
    INT8 = "int8"  # the same, where activations are symmetric
    UINT16 = "uint16"  # the same between units in int16
    INT16 = "int16"
    FLOAT16 = "float16"  # a float tensor, cast for the link, or one that the model computes so
    RAW = "raw"  # an input as it arose (`inputs.NAME.wire_bytes`)
    # What the model itself computes in other types crosses as it is, under NumPy's name of the type.
    BOOL = "bool"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT64 = "float64"
    BFLOAT16 = "bfloat16"


CODED = frozenset(
    {WireFormat.UINT8, WireFormat.INT8, WireFormat.UINT16, WireFormat.INT16, WireFormat.FLOAT16}
)  # forms that a stage brings float tensors into, or back from


class Cut(Record, frozen=True, kw_only=True):
    """A tensor that crosses from one device to another; `path` names the devices on the way."""

    tensor: str
    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    wire: WireFormat
    size_bytes: int = msgspec.field(name="bytes")
    path: tuple[str, ...]
    seconds: float


class Predicted(Record, frozen=True, kw_only=True):
    """What the measured costs say of the plan; energy only where the scenario says what devices draw.

    `latency_ratio_to_fp32` is of the whole mixed model on the source, None where its profile lacks a
    precision that only other devices use; `chain_ratio_to_fp32` of the stages, each beside the fp32 model
    on its own device, transfers left out; `fp32_s` is that model's time on each device that computes, where
    it is known. `makespan_s` is a request's time if stages overlap, `throughput_per_s` what a pipeline of
    them handles; bytes per link and money per request.
    `latency_standard_error_s` is how far `latency_s` errs because the runs spread that devices' seconds were
    measured in; None in plans of older versions.
    `weight_bytes` are each device's, `compressed_bytes` the same where the scenario counts them compressed.
    """

    latency_s: float
    latency_standard_error_s: float | None = None
    latency_ratio_to_fp32: float | None
    chain_ratio_to_fp32: float
    compute_s: dict[str, float]
    fp32_s: dict[str, float] = msgspec.field(default_factory=dict)
    transfer_s: float
    energy_j: float | None
    energy_device_j: dict[str, float] = msgspec.field(default_factory=dict)
    noise_relative_rms: float
    memory_bytes: dict[str, int]
    weight_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    compressed_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    makespan_s: float | None = None
    throughput_per_s: float | None = None
    traffic_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    money: float = 0.0


class Metrics(Record, frozen=True, kw_only=True):
    """How far outputs are from the fp32 model's, over `samples` samples.

    `top1_agreement` is None where the first output names no class (detections, a map, a single measure).
    `metric` is the scenario's own function, on the plan's outputs and on the fp32 model's;
    `noise_standard_error` says how far the noise of other samples as many may be from that of these, and
    `metric_drop_standard_error` the same of `metric_fp32` - `metric`, from groups of the samples;
    None if not known. `noise_quantiles` are relative RMS errors that those of all such samples do not exceed
    with a certainty of 0.1, 0.5, 1, 2.5, 5, 10, ... 95, 97.5, 99, 99.5 and 99.9 %; empty if not known.
    `answers_lost` and `answers_won` count samples that only the fp32 model, or only the plan, answers right.
    `detector` says how the outputs of a detector were read.
    `noise_relative_rms` is the relative RMS error of all outputs together, `output_relative_rms` of each.
    Beside outputs of floats those of whole numbers do not count there. `equal_values` says of each output
    of whole numbers which share of them equals the fp32 model's. Where no output has floats, the error is
    that of `indices` numbers, each of which is right or wrong; else that is 0.
    Errors are null in JSON where they are infinite: an output is, or is no number, and the fp32 model's is.
    """

    noise_relative_rms: Unbounded
    noise_standard_error: float = 0.0
    noise_quantiles: tuple[float, ...] = ()
    output_relative_rms: dict[str, Unbounded] = msgspec.field(default_factory=dict)
    equal_values: dict[str, float] = msgspec.field(default_factory=dict)
    indices: int = 0
    max_abs_error: Unbounded
    top1_agreement: float | None
    accuracy: float | None
    accuracy_fp32: float | None
    answers_lost: int | None = None
    answers_won: int | None = None
    metric: float | None = None
    metric_fp32: float | None = None
    metric_drop_standard_error: float | None = None
    detector: DetectorOutputs | None = None
    samples: int

    def __post_init__(self) -> None:
        restore_infinite(self, "noise_relative_rms", "output_relative_rms", "max_abs_error")

    @property
    def errors_by_output(self) -> tuple[tuple[str, float], ...]:
        """The relative RMS error of each output by name, where there are several."""
        several = len(self.output_relative_rms) > 1
        return tuple(self.output_relative_rms.items()) if several else ()


class ChainCheck(Record, frozen=True, kw_only=True):
    """How the chain of stages compares with the whole mixed-precision model.

    Parameters
    ----------
    basic_bit_equal, default_bit_equal
        Whether every output bit agrees, at basic and at default graph optimization.
    default_relative_difference
        ||chain - whole|| / ||whole|| at default optimization; null in JSON where it is infinite.
    integer_kernels, integer_kernels_whole
        Kernels that compute on integers, in all stages and in the whole model.
    added_transposes
        Layout transposes of the stages beyond those of the whole model.
    """

    samples: int
    basic_bit_equal: bool
    default_bit_equal: bool
    default_relative_difference: Unbounded
    integer_kernels: int
    integer_kernels_whole: int
    added_transposes: int

    def __post_init__(self) -> None:
        restore_infinite(self, "default_relative_difference")


class StagePercentiles(Record, frozen=True, kw_only=True):
    """How the runs of a stage spread: percentiles of its seconds over the median of the fp32 model's."""

    p50: float
    p90: float
    p99: float
    runs: int


class Measured(Metrics, frozen=True, kw_only=True):
    """What running the exported stages on the evaluation data showed; ratios as in `Predicted`, all here.

    `stage_ratios_to_fp32` are of each stage, in running order; `chain_ratio_spread` is the least and the
    greatest `chain_ratio_to_fp32` of several sessions, and `chain_ratio_interval` the interval of 95 % of
    their median, which of fewer than nine sessions is the spread; `stage_percentiles` says how the runs of
    each stage spread, None where a runtime tells medians alone; all are empty in plans of older versions.
    `samples_note` is what the reader of the evaluation data says of itself, such as that they are made up;
    `class_names` are those of the evaluation data, where labels are names.
    """

    latency_ratio_to_fp32: float
    chain_ratio_to_fp32: float
    stage_ratios_to_fp32: tuple[float, ...] = ()
    chain_ratio_spread: tuple[float, ...] = ()
    chain_ratio_interval: tuple[float, ...] = ()
    stage_percentiles: tuple[StagePercentiles | None, ...] = ()
    samples_note: str = ""
    class_names: tuple[str, ...] = ()
    chain: ChainCheck


class Round(Record, frozen=True, kw_only=True):
    """One plan tried out: under which noise limit, what it predicted, what the held-back data showed."""

    noise_budget_rms: float | None
    predicted_noise_rms: float
    latency_s: float
    held_back: Metrics
    broken: tuple[str, ...]
    delivered: bool = False


class LoopRound(Record, frozen=True, kw_only=True):
    """One plan that was built and timed in place on a device of this machine.

    Ratios are of the whole mixed model's seconds, and of those of all stages, to the fp32 model's;
    `objective` is the plan's with the costs that timing showed; `delivered` marks the plan that is written.
    """

    objective: float
    device: str
    predicted_ratio_to_fp32: float | None
    measured_ratio_to_fp32: float
    predicted_chain_ratio_to_fp32: float
    measured_chain_ratio_to_fp32: float
    changed_units: int
    delivered: bool = False


class SingleDevice(Record, frozen=True, kw_only=True):
    """What all units on one device would cost, in the precisions that are best there.

    Parameters
    ----------
    precision
        Of its units; those that lack it there are in fp32. None if precisions are mixed.
    units
        Precision -> how many units are in it.
    objective
        With the costs of the plan, in the unit of its objective.
    broken
        Budgets that it breaks: "memory of camera".
    exceeded_by
        Of these, by which fraction of the limit, noise as relative RMS; none of a limit of 0.
    """

    device: str
    precision: Precision | None
    objective: float
    latency_s: float
    broken: tuple[str, ...]
    exceeded_by: dict[str, float] = msgspec.field(default_factory=dict)
    units: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def precision_text(self) -> str:
        """Say in which precisions its units are: "int8", "83 fp32 + 67 int8"."""
        if self.precision is not None:
            return self.precision.value
        return " + ".join(f"{count} {name}" for name, count in self.units.items())

    @property
    def broken_text(self) -> str:
        """Say which budgets it breaks, and by how much: "memory of camera by 28%"."""
        parts = (
            f"{name} by {_percent(self.exceeded_by[name])}" if name in self.exceeded_by else name
            for name in self.broken
        )
        return ", ".join(parts) or "nothing"


def _percent(fraction: float) -> str:
    return f"{fraction:.0%}" if fraction >= 0.1 else f"{100 * fraction:.2g}%"  # noqa: PLR2004


class TooFewSamples(Record, frozen=True, kw_only=True):
    """A budget that so few samples cannot show to hold for a plan that changes hardly anything.

    Parameters
    ----------
    data
        `calibration`, of which a quarter is held back and judged, or `evaluation`.
    samples
        That were judged.
    measured, with_margin
        What such a plan shows, and what that counts as: of budgets on answers one that has lost one answer
        counts, of others the plan that was nearest to its budget.
    needed
        Samples of `data` in all with which that would hold.
    refused
        How many plans were tried out and not taken for it.
    """

    budget: str
    limit: float
    data: str
    samples: int
    measured: Unbounded
    with_margin: Unbounded
    needed: int
    refused: int = 0

    def __post_init__(self) -> None:
        restore_infinite(self, "measured", "with_margin")


class BudgetVerdict(Record, frozen=True, kw_only=True):
    """Whether evaluation samples keep an error budget, and how sure that is of all such samples.

    Parameters
    ----------
    value
        What the samples show; null in JSON where it is infinite or no number.
    kept
        Whether the value is within the limit: what the exit code says.
    certainty
        With which that holds for all such samples, `kept` or not; None where the samples do not tell.
    low, high
        Where the value of all such samples lies with 95 % confidence; None where the samples do not tell.
    samples
        That were judged.
    more_samples
        How many more would make the certainty 95 %, if they showed the same; None where it is no less, or
        where no number would.
    beyond_share
        Of a budget on a largest error that is kept: the share of all such samples that may break it, at most,
        with 95 % confidence.
    """

    budget: str
    limit: float
    value: Unbounded
    kept: bool
    certainty: float | None = None
    low: float | None = None
    high: float | None = None
    samples: int
    more_samples: int | None = None
    beyond_share: float | None = None

    def __post_init__(self) -> None:
        restore_infinite(self, "value")


class CostDoubt(Record, frozen=True, kw_only=True):
    """The built stages took another time than predicted, by more than their timings tell.

    Parameters
    ----------
    predicted, measured
        Seconds of all stages over the fp32 model's.
    low, high
        The ends of the interval of 95 % of the median that was measured; in plans of older versions, the
        least and the greatest.
    difference
        `measured` / `predicted` - 1.
    """

    predicted: float
    measured: float
    low: float
    high: float
    difference: float


class NoisyCosts(Record, frozen=True, kw_only=True):
    """A device whose costs are noisy: the runs that they were measured with spread far.

    Parameters
    ----------
    spread
        Width of the middle half of the fp32 model's runs over their median, by the clock.
    clock, disturbed, waiting, contended
        As in the device's profile.
    """

    device: str
    spread: float
    clock: str
    disturbed: float | None = None
    waiting: float | None = None
    contended: float | None = None


class Tie(Record, frozen=True, kw_only=True):
    """Other plans may cost a little less, but less than the costs can tell: this one is the simplest.

    Parameters
    ----------
    gap
        As in `objective`: by which fraction of it another plan may be better.
    resolution
        Which fraction of the objective the costs cannot tell.
    changes
        How often tensors of the plan change their precision or device.
    """

    gap: float
    resolution: float
    changes: int


class PartOf(Record, frozen=True, kw_only=True):
    """One of several models that were planned together: `objective` and `solver` are of all of them."""

    model: str
    models: tuple[str, ...]
    share: float
    requests_per_s: float | None = None


class Plan(Record, frozen=True, kw_only=True):
    """Everything that rebuild, split and report need.

    `quantization` names each device's scheme; `scenario` is the resolved scenario; `calibration_sha256`
    is a hash of the samples that chose the ranges, since other samples would give other models.
    `single_device` has a row for each device that can run the whole model, to compare the plan with; of
    several models there is none.
    `too_few_samples` says what more samples would allow: `status` speaks of what these could show.
    `budget_verdicts` says of each error budget whether the evaluation samples keep it, and how sure that is.
    `cost_doubt` says where the built stages took another time than predicted: `status`, `objective` and
    `predicted` speak of costs that are in doubt then. `noisy_costs` says whose costs are noisy, and how far.
    `tie` says that other plans may be better, but by less than the costs can tell. `costs_of`
    names the earlier plan whose costs were taken (`--reproduce`); then no device was profiled.
    `tried_precisions` says what was tried where a scenario names no precisions, and why some are left out:
    `scenario` names those that are not. `calibration_choices` says what calibration samples chose of what a
    scenario leaves to them.
    """

    format: int
    status: str
    objective: Objective
    solver: SolverRun
    quantization: dict[str, str]
    model_sha256: str
    calibration_sha256: str
    assignments: tuple[Assignment, ...]
    cuts: tuple[Cut, ...]
    predicted: Predicted | None
    rounds: tuple[Round, ...]
    loop: tuple[LoopRound, ...] = ()
    measured: Measured | None
    single_device: tuple[SingleDevice, ...] = ()
    too_few_samples: tuple[TooFewSamples, ...] = ()
    budget_verdicts: tuple[BudgetVerdict, ...] = ()
    cost_doubt: CostDoubt | None = None
    noisy_costs: tuple[NoisyCosts, ...] = ()
    tie: Tie | None = None
    costs_of: str = ""
    tried_precisions: tuple[TriedPrecision, ...] = ()
    calibration_choices: tuple[CalibrationChoice, ...] = ()
    converted_from: ConvertedFrom | None = None
    part_of: PartOf | None = None
    scenario: msgspec.Raw

    def devices(self) -> dict[str, str]:
        """Return unit -> device."""
        return {a.unit: a.device for a in self.assignments}

    def precisions(self) -> dict[str, Precision]:
        """Return unit -> precision."""
        return {a.unit: a.precision for a in self.assignments}

    @property
    def is_exact(self) -> bool:
        """Whether the plan is the fp32 model in parts: nothing is rounded, on no device and on no link."""
        is_fp32 = all(a.precision is Precision.FP32 for a in self.assignments)
        return is_fp32 and not any(cut.wire in CODED for cut in self.cuts)
