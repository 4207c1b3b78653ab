import itertools
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from profiling.latency.measure_latency import Setup, measurement_plan, variants_of
from profiling.latency.write_bundle import write_bundle
from profiling.on_device.clock.run_clock import RunClock, clock_of
from profiling.on_device.device_main import read_feeds, read_measurement_plan
from profiling.on_device.kernels import Kernel, KernelTimes, Owner, OwnerKind
from profiling.on_device.measured_record import Timed
from profiling.on_device.onnx_runtime_bundle import BundleSessions
from profiling.on_device.timing.interleaved_sessions import InterleavedTimer
from profiling.on_device.variant_times import time_variants
from profiling.precision import Precision
from profiling.runtime.open_session import Runtime

ROUNDS = 4


@pytest.fixture(scope="module")
def bundle(digits, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("bundle")
    setup = Setup(Runtime(), ROUNDS, tuple(Precision))
    plan = measurement_plan(digits.graph, digits.calibration, setup, "board")
    variants = variants_of(digits.graph, digits.calibration, setup)
    write_bundle(variants, digits.samples[0], plan, folder)
    return folder


@pytest.fixture(scope="module")
def timed(bundle) -> list[Timed]:
    return times_of(bundle, BundleSessions)


def times_of(folder: Path, opens: type[BundleSessions], clock: RunClock | None = None) -> list[Timed]:
    plan = read_measurement_plan(folder)
    models = opens(folder, plan)
    timer = InterleavedTimer(models.plain(0), read_feeds(folder), plan.rounds, clock or clock_of(1))
    return time_variants(plan, models, timer, read_feeds(folder), lambda *_: None)


def test_each_variant_has_seconds_of_its_own_units(timed, digits):
    units = set(range(len(digits.graph.units)))
    for variant in timed:
        assert set(variant.profiled.of(OwnerKind.UNIT)) <= units
        assert 0 < variant.kernels.attributed_s <= variant.kernels.total_s


def test_kernels_of_a_variant_fit_into_its_own_run(timed):
    for variant in timed:
        run_s = max(0.0, variant.wall_s - variant.start_s)
        assert variant.kernels.total_s <= max(run_s, variant.profiled.total_s) * (1 + 1e-9)
        if variant.profiled.total_s > run_s:
            assert variant.kernels.total_s == pytest.approx(run_s)


def test_the_fp32_model_has_the_runs_beside_all_others(timed):
    own = len(timed[0].runs_s) - sum(len(variant.runs_s) for variant in timed[1:])
    assert own in (ROUNDS, 2 * ROUNDS)  # in a second session if other work slowed the first


@pytest.mark.parametrize(("waited", "sessions"), [(itertools.repeat(0.0), 1), (itertools.count(), 2)])
def test_a_variant_has_another_session_where_other_work_slowed_all(bundle, waited, sessions):
    opened = Counter()

    class Counting(BundleSessions):
        def traced(self, variant, *paths):
            opened[variant] += 1
            return super().traced(variant, *paths)

    clock = replace(clock_of(1), waited=partial(next, waited), core=None)
    timed = times_of(bundle, Counting, clock)
    assert opened == dict.fromkeys(range(len(timed)), sessions)
    assert len(timed[1].runs_s) == sessions * ROUNDS


@pytest.mark.parametrize(("in_row", "traced"), [(1, (2, 1)), (3, (3, 2)), (8, (4, 2))])
def test_half_of_the_runs_are_under_the_profiler_or_all_in_a_row(bundle, monkeypatch, in_row, traced):
    monkeypatch.setattr("profiling.on_device.variant_times.rounds_in_row", lambda _: in_row)
    taken = []

    class Recording(InterleavedTimer):
        def __call__(self, session, rounds=0):
            taken.append(rounds)
            return super().__call__(session, rounds)

    plan = read_measurement_plan(bundle)
    models = BundleSessions(bundle, plan)
    clock = replace(clock_of(1), waited=lambda: 0.0, core=None)
    timer = Recording(models.plain(0), read_feeds(bundle), plan.rounds, clock)
    time_variants(plan, models, timer, read_feeds(bundle), lambda *_: None)
    of_others, of_mixed = traced
    others, mixed = len(plan.precisions) - 1, len(plan.variants) - len(plan.precisions)
    assert taken == [ROUNDS] + [of_others, ROUNDS] * others + [of_mixed, ROUNDS // 2] * mixed


def test_what_takes_long_is_timed_under_the_profiler_alone(bundle, monkeypatch):
    class OpensFp32(BundleSessions):
        def plain(self, variant):
            assert variant == 0
            return super().plain(variant)

    monkeypatch.setattr("profiling.on_device.variant_times.is_slow", lambda _: True)
    timed = times_of(bundle, OpensFp32)
    assert all(len(variant.runs) in (ROUNDS, 2 * ROUNDS) for variant in timed[1 : len(Precision)])
    assert all(0 < variant.kernels.attributed_s <= variant.wall_s for variant in timed)


def test_kernels_fit_into_the_run_without_its_start():
    kernels = KernelTimes(tuple(Kernel(str(i), "Op", Owner(OwnerKind.UNIT, i), 3.0) for i in range(2)))
    assert Timed(5.0, kernels, (), 1.0).kernels.total_s == pytest.approx(4.0)
    assert Timed(9.0, kernels, (), 1.0).kernels == kernels
    assert Timed(1.0, kernels, (), 2.0).kernels.total_s == 0  # hardly anything but the start
