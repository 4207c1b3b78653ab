"""Requests and hosts in a terminal of 80 columns: every number is readable."""

import msgspec
import pytest
from terminal_text import printed

from planner.plan.host_status import HostStatus, LinkStatus
from planner.plan.requests_record import PartTimes, Percentiles, RequestsRecord
from planner.report.tables.requests_table import hosts_table, requests_table

LONG = "model/block_12/expanded_conv/project/BatchNorm/FusedBatchNormV3:0_quantized_nhwc"


def times(p50_s: float) -> Percentiles:
    return Percentiles(p50_s=p50_s, p90_s=1.1 * p50_s, p99_s=2 * p50_s)


RECORD = RequestsRecord(
    deployment="ab" * 16,
    plan="quickstart",
    requests=203,
    answered=200,
    retried=7,
    failures={"server: it has gone": 3},
    seconds=4.0,
    requests_per_s=50.0,
    latency=times(0.0217),
    predicted_latency_s=0.02,
    predicted_per_s=61.3,
    round_trip=times(0.0321),
    overhead=times(0.0019),
    message_bytes=58,
    incomplete_events=2,
    parts=(
        PartTimes(part="compute", way=("camera",), predicted_s=0.004, measured=times(0.005)),
        PartTimes(
            part=LONG,
            way=("camera", "gateway", "server"),
            predicted_s=0.01,
            message_s=0.00094,
            measured=times(0.0111),
        ),
        PartTimes(part="y", way=("server", "camera"), predicted_s=None, measured=times(0.0012)),
    ),
)
LINK = LinkStatus(
    there=True,
    messages=1234,
    bytes=987_654_321,
    bytes_per_s=1.25e6,
    round_trip_s=0.00153,
    clock_offset_s=3600.5,
    queue=3,
)
GONE = msgspec.structs.replace(
    LINK, there=False, messages=0, bytes=0, bytes_per_s=None, round_trip_s=None, clock_offset_s=None, queue=0
)
STATUS = HostStatus(
    device="camera",
    deployment="ab" * 16,
    plans=("quickstart",),
    stages=2,
    up_s=12.0,
    open=3,
    ready=1,
    answered=200,
    failed=4,
    refused=5,
    memory_mib=78.4,
    links={"gateway": LINK, "server": GONE},
)


@pytest.mark.parametrize("width", [80, 200])
def test_requests_are_told_beside_the_plan(width):
    text = printed(requests_table(RECORD), width)
    assert all(len(row) <= width for row in text.splitlines())
    for number in ("20.00", "21.70", "23.87", "43.40", "+8.5%", "5.00", "+25.0%", "11.10", "+11.0%", "1.20"):
        assert number in text
    assert "1.90" in text.partition("overhead")[2]
    assert "200 of 203 requests answered, 50.0 per second; 7 were sent again" in text
    assert "61.3 per second" in text
    assert "3 failed: server: it has gone" in text
    told = " ".join(text.split())
    assert "a message has 58 bytes beside its tensor, which predictions leave out: 0.94 ms" in told
    assert "hosts did not tell everything of 2 of them" in told


def test_requests_without_an_answer_have_no_times():
    none = RequestsRecord(
        deployment="", plan="p", requests=2, answered=0, retried=0, failures={"late": 2}, seconds=0.0,
        requests_per_s=0.0, latency=None, predicted_latency_s=None, predicted_per_s=None, round_trip=None,
    )  # fmt: skip
    assert "2 failed: late" in printed(requests_table(none), 80)


@pytest.mark.parametrize("width", [80, 200])
def test_hosts_are_told_with_their_connections(width):
    text = printed(hosts_table([("camera", STATUS), ("cellar", None)], "camera"), width)
    assert all(len(row) <= width for row in text.splitlines())
    for word in ("not reached", "78", "10.0", "1.53", "3600500.00", "gone", "200", "1234"):
        assert word in text


def test_answers_are_counted_at_the_source_only():
    gateway = msgspec.structs.replace(STATUS, device="gateway", answered=0, failed=0)
    text = printed(hosts_table([("camera", STATUS), ("gateway", gateway)], "camera"), 80)
    rows = [row.split() for row in text.partition("connections")[0].splitlines() if row.strip()]
    cells = {row[0]: row[4:6] for row in rows}
    assert cells["camera"] == ["200", "4"]
    assert cells["gateway"] == ["-", "-"]
