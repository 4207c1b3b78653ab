import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from profiling.latency.measure_latency import Setup, measurement_plan, variants_of
from profiling.latency.write_bundle import write_bundle
from profiling.on_device import stage_overheads as stage_overheads_module
from profiling.on_device.clock.run_clock import CPU, clock_of
from profiling.on_device.device_main import read_feeds, read_measurement_plan
from profiling.on_device.kernels import Kernel, KernelTimes, Owner, OwnerKind
from profiling.on_device.latency_record import LatencyRecord
from profiling.on_device.measured_record import Timed
from profiling.on_device.measuring_flow import measure, wire_costs
from profiling.on_device.onnx_runtime_bundle import BundleSessions
from profiling.on_device.robust_statistics import are_contended, are_noisy, relative_iqr
from profiling.on_device.stage_overheads import stage_overheads
from profiling.on_device.timing.interleaved_sessions import ChainRuns, InterleavedTimer, StageRuns
from profiling.on_device.timing.session_interference import Interference
from profiling.on_device.variant_times import time_variants
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime

ROUNDS = 4


@pytest.fixture(scope="module")
def bundle(digits, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    setup = Setup(Runtime(), ROUNDS, tuple(Precision))
    plan = measurement_plan(digits.graph, digits.calibration, setup, "board")
    variants = variants_of(digits.graph, digits.calibration, setup)
    write_bundle(variants, digits.samples[0], plan, folder)
    return folder


@pytest.fixture(scope="module")
def reports() -> list[tuple[str, int, int]]:
    return []


@pytest.fixture(scope="module")
def record(bundle, reports) -> LatencyRecord:
    plan = read_measurement_plan(bundle)
    return measure(plan, BundleSessions(bundle, plan), read_feeds(bundle), lambda *args: reports.append(args))


def test_every_precision_has_its_run_its_kernels_and_a_rest(record):
    for precision in Precision:
        wall_s, profiled_s = record.wall_s[precision], record.profiled_s[precision]
        units = sum(row.seconds for row in record.units if row.precision == precision)
        assert 0 < units <= wall_s
        assert 0 <= record.unattributed_s[precision] <= wall_s
        assert profiled_s > 0
        assert len(record.runs_s[precision]) >= ROUNDS
    assert record.samples == ROUNDS


def test_mixed_models_run_half_as_often(record, bundle):
    plan = read_measurement_plan(bundle)
    mixed = len(plan.variants) - len(Precision)
    # The fp32 model runs beside every model; what other work slowed is timed in another session, too.
    least = len(Precision) * ROUNDS + mixed * ROUNDS // 2
    assert least <= len(record.runs_s[Precision.FP32]) <= 2 * least
    assert len(record.runs_s[Precision.INT8]) in (ROUNDS, 2 * ROUNDS)


def test_costs_are_noisy_where_the_fp32_runs_are_or_where_they_shared_their_core(record):
    assert record.noisy == (are_noisy(record.runs_s["fp32"]) or are_contended(record.contended))
    assert record.spread == relative_iqr(record.runs_s["fp32"])


def test_a_record_says_by_which_clock_and_how_disturbed_runs_were(record):
    assert record.clock == CPU
    assert record.disturbed is not None
    assert record.waiting is not None
    assert 0 <= record.disturbed <= 1
    assert record.waiting >= 0


def test_progress_counts_models_and_cut_ones(record, reports, bundle):
    models = len(read_measurement_plan(bundle).variants)
    again = [phase for phase, *_ in reports if phase not in ("timing", "timing cuts")]
    assert set(again) <= {"timing again what other work slowed"}
    assert [one for one in reports if one[0] not in again] == [
        *(("timing", number, models) for number in range(1, models + 1)),
        *(("timing cuts", number, len(Precision)) for number in range(1, len(Precision) + 1)),
    ]


def test_wires_have_a_line_for_each_side(bundle):
    plan = read_measurement_plan(bundle)
    rows = wire_costs(plan, BundleSessions(bundle, plan), clock_of(1), 1e-6)
    assert {(row.wire, row.side) for row in rows} == {(wire, side) for wire, side, _ in plan.wires}
    assert all(row.start_s >= 0 and row.element_s >= 0 for row in rows)


def test_stages_of_each_precision_are_timed_in_turn_with_the_fp32_model(bundle):
    """Between runs of a whole model of their own precision they take less than verification will find."""
    plan = read_measurement_plan(bundle)
    opened = []

    class Watched(BundleSessions):
        def plain(self, variant):
            opened.append(variant)
            return super().plain(variant)

    variants = time_variants(
        plan,
        BundleSessions(bundle, plan),
        InterleavedTimer(BundleSessions(bundle, plan).plain(0), read_feeds(bundle), ROUNDS, clock_of(1)),
        read_feeds(bundle),
        lambda *args: None,
    )
    overheads = stage_overheads(plan, Watched(bundle, plan), variants, read_feeds(bundle), lambda *args: None)
    assert set(opened) == {0}
    assert [len(stages) for stages in overheads] == [len(plan.stages)] * len(plan.precisions)


class Opens:
    """Models of which nothing is run."""

    def plain(self, variant):
        return variant

    def stage(self, variant, number):
        return variant, number


def test_sessions_of_stages_that_other_work_slowed_do_not_count(bundle, monkeypatch):
    """It slows int8 kernels more than those of the fp32 model beside them."""
    plan = replace(read_measurement_plan(bundle), rounds=12)
    calm, shared = Interference.NONE, Interference.SHARED_CORE
    taken = itertools.cycle([(2.0, calm), (9.0, shared), (3.0, calm), (8.0, shared), (4.0, calm)])

    def time_chain(reference, stages, *others):
        assert reference == 0
        ratio, interference = next(taken)
        return ChainRuns([StageRuns([ratio], [1.0]) for _ in stages], interference)

    monkeypatch.setattr(stage_overheads_module, "time_chain", time_chain)
    variant = Timed(0.5, KernelTimes(()))
    overheads = stage_overheads(plan, Opens(), [variant] * len(plan.precisions), {}, lambda *args: None)
    assert overheads == [[1.5] * len(plan.stages)] * len(plan.precisions)


def test_what_no_kernel_accounts_for_is_in_units_and_not_in_cuts(bundle):
    plan = read_measurement_plan(bundle)
    units = range(len(plan.units))
    owners = [Owner(OwnerKind.UNIT, unit) for unit in units]
    kernels = KernelTimes(tuple(Kernel(owner.tag(0), "Conv", owner, 1.0) for owner in owners))
    start_s, rest_s = 0.5, 2.0
    variant = Timed(len(units) + start_s + rest_s, kernels, start_s=start_s)
    longer = 1 + rest_s / len(units)
    uncut_s = [start_s + len(stage) * longer for stage in plan.stages]
    assert variant.overheads(plan, uncut_s) == pytest.approx([0.0] * len(plan.stages))


def test_without_stages_nothing_is_cut(bundle):
    plan = replace(read_measurement_plan(bundle), stages=[])
    assert stage_overheads(plan, BundleSessions(bundle, plan), [], read_feeds(bundle), print) == []
