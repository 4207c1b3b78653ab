import numpy as np
import pytest

from profiling.noise.choose_ranges import calibrate_choosing
from profiling.noise.noise_power import noise_power
from profiling.on_device.create_session import Optimization
from profiling.quantization.calibration import calibrate, calibrate_ranges
from profiling.quantization.qdq_model import Scheme, quantize
from profiling.quantization.ranges_file import read_ranges, taken_method
from profiling.range_method import RangeMethod, TensorRanges
from profiling.runtime.open_session import Runtime, open_session, run_samples

BEST = TensorRanges(RangeMethod.BEST)
JUDGED = slice(None, None, -4)  # of the samples, from the last one on


def with_outliers(prepared, count: int) -> list[dict[str, np.ndarray]]:
    """Return samples most of which hold one value that is far from all others, at ever other places."""
    rng = np.random.default_rng(5)
    samples = []
    for number in range(count):
        feeds = {i: rng.normal(size=prepared.graph.tensors[i].shape) for i in prepared.graph.inputs}
        for values in feeds.values():
            values.flat[number % values.size] *= 1 + 30 * (number % 5 == 0)
        samples.append({name: values.astype(np.float32) for name, values in feeds.items()})
    return samples


def noise(prepared, ranges, method: RangeMethod, samples) -> float:
    graph = prepared.graph
    chosen = dict.fromkeys(graph.quantizable_nodes, Scheme(ranges=method))
    model = quantize(graph.model, chosen, ranges, graph.guarded_nodes)
    exact = run_samples(open_session(graph.model, Runtime()), samples)
    return noise_power(run_samples(open_session(model, Runtime(), Optimization.BASIC), samples), exact)


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_best_ranges_are_never_worse_on_samples_that_they_were_not_taken_from(
    residual, tmp_path, symmetric
):
    for number, samples in enumerate((residual.samples, with_outliers(residual, 40))):
        path = tmp_path / f"{number}.json"
        calibrate_choosing(residual.graph, samples, path, [TensorRanges(RangeMethod.BEST, symmetric)])
        if not symmetric:
            judged = samples[JUDGED]
            best = noise(residual, path, RangeMethod.BEST, judged)
            assert best <= noise(residual, path, RangeMethod.MINMAX, judged)


def test_an_outlier_that_other_samples_do_not_have_is_clipped(residual, tmp_path):
    rng = np.random.default_rng(6)
    values = rng.normal(size=(300, *residual.graph.tensors["x"].shape)).astype(np.float32)
    values[0].flat[0] = 1000.0
    samples = [{"x": value} for value in values]
    calibrate_choosing(residual.graph, samples, tmp_path / "best.json", [BEST])
    wanted = [TensorRanges(method) for method in RangeMethod if method is not RangeMethod.ENTROPY]
    counted = [feeds for number, feeds in enumerate(samples[::-1]) if number % 4][::-1]
    model, nodes = residual.graph.model, residual.graph.quantizable_nodes
    calibrate_ranges(model, nodes, counted, tmp_path / "all.json", wanted, samples[JUDGED])
    found = read_ranges(tmp_path / "best.json", BEST)
    taken = TensorRanges(taken_method(tmp_path / "best.json", BEST))
    assert found == read_ranges(tmp_path / "all.json", taken)
    assert found["x"][1] < 10 < read_ranges(tmp_path / "best.json")["x"][1]


def test_extremes_are_those_of_all_samples(residual, tmp_path):
    samples = with_outliers(residual, 9)
    calibrate_choosing(residual.graph, samples, tmp_path / "best.json", [BEST])
    calibrate(residual.graph.model, residual.graph.quantizable_nodes, samples, tmp_path / "minmax.json")
    assert read_ranges(tmp_path / "best.json") == read_ranges(tmp_path / "minmax.json")


def test_too_few_samples_leave_the_extremes(residual, tmp_path):
    for count in (1, 2):
        path = tmp_path / f"{count}.json"
        calibrate_choosing(residual.graph, residual.samples[:count], path, [BEST])
        assert read_ranges(path, BEST) == read_ranges(path)
        assert taken_method(path, BEST) is RangeMethod.MINMAX


def test_one_method_takes_its_ranges_from_all_samples(residual, tmp_path):
    mse = TensorRanges(RangeMethod.MSE)
    calibrate_choosing(residual.graph, residual.samples, tmp_path / "a.json", [mse])
    model, nodes = residual.graph.model, residual.graph.quantizable_nodes
    calibrate_ranges(model, nodes, residual.samples, tmp_path / "b.json", [mse])
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
