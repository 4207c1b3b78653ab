import pytest

from planner.comparison.bandwidth_traces import parse_distribution, read_trace, uniform_log
from planner.errors import ScenarioError


def test_a_distribution_is_weighed():
    found = parse_distribution("1:1, 5:3")
    assert found.values == (1, 5)
    assert found.shares == (0.25, 0.75)


def test_a_range_has_every_magnitude_alike():
    found = uniform_log(0.1, 1000)
    assert found.values[0] == pytest.approx(0.1)
    assert found.values[-1] == pytest.approx(1000)
    assert sum(found.shares) == pytest.approx(1)
    assert sum(value < 10 for value in found.values) == len(found.values) / 2


@pytest.mark.parametrize("header", ["", "seconds,mbit_per_s\n"])
def test_a_bandwidth_of_a_trace_holds_until_the_next(tmp_path, header):
    path = tmp_path / "walk.csv"
    path.write_text(f"{header}0,8\n1,4\n\n4,2\n6,1\n")
    found = read_trace(path)
    assert found.values == (8, 4, 2, 1)
    assert found.shares == pytest.approx((1 / 8, 3 / 8, 2 / 8, 2 / 8))
    assert found.in_time
    assert found.source == "the trace walk.csv"


TRACES = {
    "": "needs two lines of SECONDS,BANDWIDTH at least",
    "seconds,mbit\n0,1\n": "needs two lines of SECONDS,BANDWIDTH at least",
    "0,1\n1,\n2,1\n": "line 2 has no bandwidth: fill the gap, or cut the trace there",
    "0,1\n1,2\n2,3\n50,1\n": "line 4: a gap of 48 s where 1 s is usual; fill it, or cut the trace there",
    "0,1\n1,nan\n": "line 2: '1,nan' are not two numbers",
    "0,1\n1,fast\n": "line 2: '1,fast' are not two numbers",
    "0,1\n1,0\n": "line 2: 0 is no bandwidth; no plan helps while a link is down",
    "0,1\n1,-2\n": "line 2: -2 is no bandwidth",
    "0,1\n2,1\n1,1\n": "line 3: 1 s is not after the line before",
    "-1.7e308,1\n1.7e308,2\n": "its times are too far apart to add up",
    "0,1\n" + "x" * 200_000 + ",1\n": "is no text",
    "0,1\n0,1\n": "line 2: 0 s is not after the line before",
    "0,1\n1,2,3\n": "line 2 has 3 values; write SECONDS,BANDWIDTH",
}


@pytest.mark.parametrize("text", TRACES)
def test_a_bad_trace_is_told_with_its_line(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ScenarioError) as told:
        read_trace(path)
    assert str(told.value).startswith(f"--trace {path}: {TRACES[text]}")


def test_a_trace_that_is_none(tmp_path):
    with pytest.raises(ScenarioError, match="No such file"):
        read_trace(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="is no text"):
        read_trace(tmp_path / "b.csv")


@pytest.mark.parametrize(
    ("text", "told"),
    {
        "1": "write BANDWIDTH:WEIGHT",
        "a:1": "write BANDWIDTH:WEIGHT",
        "1:0": "1:0 has a number that is not above 0",
        "-1:1": "-1:1 has a number that is not above 0",
        "1:inf": "1:inf has a number that is not above 0",
        "5:1,1:1": "1 comes after 5; write each once, ascending",
        "1:1e308,2:1e308": "the weights are too large to add up",
        "1:1,1:2": "1 comes after 1; write each once, ascending",
    }.items(),
)
def test_a_bad_distribution_is_told(text, told):
    with pytest.raises(ScenarioError) as found:
        parse_distribution(text)
    assert str(found.value).startswith(f"--distribution {text}: {told}")
