"""Links as hosts measured them: what is pasted into a scenario reads as it was measured."""

from made_records import SCENARIO
from ruamel.yaml import YAML
from terminal_text import printed

from planner.plan.measured_costs import MeasuredLink
from planner.report.tables.links_table import links_table, links_yaml
from planner.scenario.link_schema import LinkSpec

LINKS = tuple(
    LinkSpec.model_validate({"from": a, "to": b, "bandwidth_mbit_per_s": speed, **more})
    for a, b, speed, more in (
        ("camera", "1e5", 1.23456789, {"latency_ms": 0.98765432, "send_nj_per_byte": 5.123456}),
        ("yes", "camera", 12345678.9, {}),
    )
)


def test_the_yaml_is_what_a_scenario_takes_and_keeps_what_was_not_measured():
    found = YAML(typ="safe").load(links_yaml(LINKS))
    assert found.keys() == {"links"}
    first, second = (LinkSpec.model_validate(link) for link in found["links"])
    assert first == LINKS[0].model_copy(update={"bandwidth_mbit_per_s": 1.235, "latency_ms": 0.9877})
    assert second.bandwidth_mbit_per_s == 12350000.0
    assert second.source == "yes"
    assert "latency_ms" not in found["links"][1]


def test_links_stand_beside_those_of_the_scenario():
    links = [LinkSpec.model_validate(link) for link in SCENARIO["links"]]
    seen = MeasuredLink(source="camera", target="server", bandwidth_mbit_per_s=3.25, latency_ms=None)
    text = printed(links_table(links, [seen]))
    rows = [line.split() for line in text.splitlines()]
    assert ["camera", "server", "3.25", "8", "-", "0"] in rows
    assert ["server", "camera", "-", "8", "-", "0"] in rows
