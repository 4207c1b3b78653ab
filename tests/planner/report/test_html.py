"""Reports as people open them: numbers against the record, a headless browser, ids, colours, size."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
from headless_browser import evaluate, in_browser, needs_browser
from made_graphs import transformer_graph
from made_records import CUT, made_plan
from matplotlib.figure import Figure
from measured_scenarios import quickstart_basis
from repository import ROOT

from planner.comparison.bandwidth_and_budget_sweep import CompareRequest, compare
from planner.comparison.bandwidth_traces import uniform_log
from planner.comparison.bandwidth_values import parse_bandwidths
from planner.comparison.plan_set import PlanSetRequest
from planner.comparison.sweep_points import Sweep
from planner.output.comparison_folder import write_comparison
from planner.output.plan_folder import write_outcome
from planner.problem.quantities import CostMetric
from planner.report.figure_style import colours_of, ink_on, inline_svg
from planner.report.plan_html import plan_page
from planner.run import plan_scenario
from planner.scenario.loader import load_scenario

MOST_BYTES = 1_000_000
FACTORS = {
    "µs": 1e6,
    "ms": 1e3,
    "mJ": 1e3,
    "s": 1.0,
    "KiB": 2.0**-10,
    "MiB": 2.0**-20,
    "B": 1.0,
    "%": 100.0,
    "/s": 1.0,
    "": 1.0,
}


@pytest.fixture(scope="module")
def plan_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "plan"
    settings = ["profiling.rounds=3", "profiling.noise_samples=8"]
    scenario = load_scenario(ROOT / "scenarios" / "quickstart.yaml", settings)
    write_outcome(plan_scenario(scenario), folder)
    return folder


@pytest.fixture(scope="module")
def comparison_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "comparison"
    basis = quickstart_basis()
    sweep = Sweep(parse_bandwidths("0.05..1000", ("all",), basis.scenario))
    axes = (CostMetric.LATENCY, CostMetric.NOISE)
    order = PlanSetRequest(2, uniform_log(0.05, 1000), 0.1)
    write_comparison(compare(basis, sweep, CompareRequest(2, axes, 4, order, trials=True)), folder)
    return folder


@pytest.fixture(params=["plan", "comparison"])
def report(request) -> tuple[Path, dict]:
    """Return a page and the record that it is of."""
    folder = request.getfixturevalue(f"{request.param}_folder")
    record = {"plan": "plan.json", "comparison": "compare.json"}[request.param]
    return folder / "report.html", json.loads((folder / record).read_text())


class Elements(HTMLParser):
    """Every element's attributes, and the text of those with a number."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.numbers: list[tuple[list, object, str]] = []
        self._open: tuple[list, object] | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.found.append((tag, known))
        if "data-path" in known:
            self._open = json.loads(known["data-path"]), json.loads(known["data-value"])

    def handle_data(self, data):
        if self._open:
            self.numbers.append((*self._open, data))
            self._open = None


def check_numbers(text: str, record: dict) -> int:
    """Hold every number of a page against its record, whole and as it is shown."""
    numbers = Elements(text).numbers
    for path, value, shown in numbers:
        own = record
        for step in path:
            own = own[step]
        assert own == value, path
        if isinstance(value, str):
            assert shown == value
            continue
        number, unit = re.fullmatch(r"(-?[\d.]+(?:e[+-]?\d+)?) ?(\S*)", shown).groups()
        digits = len(number.split("e")[0].partition(".")[2])
        exponent = int(number.partition("e")[2] or 0)
        exact = value * FACTORS[unit]
        room = max(0.51 * 10.0 ** (exponent - digits), abs(exact) * 6e-4)
        assert abs(float(number) - exact) <= room, (path, shown, value)
    return len(numbers)


def test_every_number_is_the_records(report):
    path, record = report
    assert check_numbers(path.read_text(), record) > 40


def test_the_main_figures_of_a_plan_are_there(plan_folder):
    paths = {tuple(path) for path, _, _ in Elements((plan_folder / "report.html").read_text()).numbers}
    plan = json.loads((plan_folder / "plan.json").read_text())
    for wanted in (
        ("predicted", "latency_s"),
        ("predicted", "noise_relative_rms"),
        ("measured", "noise_relative_rms"),
        ("measured", "accuracy"),
        ("measured", "latency_ratio_to_fp32"),
        ("objective", "gap"),
        ("cuts", 0, "bytes"),
    ):
        assert wanted in paths
    for n in range(len(plan["assignments"])):
        assert ("assignments", n, "compute_s") in paths


def test_units_of_a_plan_sum_to_what_its_devices_compute(plan_folder):
    plan = json.loads((plan_folder / "plan.json").read_text())
    for device, seconds in plan["predicted"]["compute_s"].items():
        own = sum(a["compute_s"] for a in plan["assignments"] if a["device"] == device)
        assert own <= seconds * (1 + 1e-9)  # the rest is switches and the stage


def test_the_trace_beside_a_plan_takes_as_long_as_a_request_and_has_each_stage_as_measured(plan_folder):
    plan = json.loads((plan_folder / "plan.json").read_text())
    events = json.loads((plan_folder / "trace.json").read_text())["traceEvents"]
    groups = {e["args"]["name"]: e["pid"] for e in events if e["name"] == "process_name"}
    spans = [e for e in events if e["ph"] == "X"]
    predicted = [e for e in spans if e["pid"] == groups["predicted"]]
    ends = [e["ts"] + e["dur"] for e in predicted]
    assert max(ends) / 1e6 == pytest.approx(plan["predicted"]["latency_s"])
    measured = [e["name"] for e in spans if e["pid"] == groups["measured"]]
    assert measured == [e["name"] for e in predicted if e["name"].startswith("stage")]
    # The middle of several sessions' sums is not the sum of the middles, yet near it.
    ratios = plan["measured"]["stage_ratios_to_fp32"]
    assert sum(ratios) == pytest.approx(plan["measured"]["chain_ratio_to_fp32"], rel=0.3)


def test_a_page_asks_for_nothing_outside(report):
    path, _ = report
    assert path.stat().st_size <= MOST_BYTES
    elements = Elements(path.read_text()).found
    links = [known.pop("href") for tag, known in elements if tag == "a"]  # followed where one asks for it
    ids = {known.get("id") for _, known in elements}
    assert all(link[1:] in ids if link[0] == "#" else (path.parent / link).exists() for link in links)
    for tag, known in elements:
        for key in ("src", "href", "xlink:href", "action", "data", "poster"):
            if key in known:
                assert known[key].startswith(("#", "data:")), (tag, known)
    policy = next(known["content"] for tag, known in elements if known.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert not re.search(r"@import|url\((?!#)", path.read_text())


def test_ids_are_there_once_and_references_lead_somewhere(report):
    elements = Elements(report[0].read_text()).found
    ids = [known["id"] for _, known in elements if "id" in known]
    assert len(set(ids)) == len(ids)
    for _, known in elements:
        for key, value in known.items():
            for name in re.findall(r"url\(#([^)]+)\)", value or ""):
                assert name in ids
            if key in ("xlink:href", "href") and value.startswith("#"):
                assert value[1:] in ids


def test_what_is_seen_is_also_said(report):
    elements = Elements(report[0].read_text()).found
    tags = [tag for tag, _ in elements]
    assert ("html", {"lang": "en"}) in elements
    assert tags.count("caption") == tags.count("table") > 0
    assert tags.count("h1") == tags.count("main") == 1
    assert all(known.get("aria-label") for tag, known in elements if tag == "svg")
    assert all(known.get("scope") == "col" for tag, known in elements if tag == "th")
    names = [known["for"] for tag, known in elements if tag == "label"]
    assert all(known["id"] in names for tag, known in elements if tag == "input")


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_can_be_read_on_light_and_dark_ground(report):
    styles = re.findall(r":root \{([^}]*)\}", report[0].read_text())
    assert len(styles) == 2
    for style in styles:
        colours = dict(re.findall(r"--(\w+): (#\w{6})", style))
        for ink in ("ink", "soft", "mark"):
            for ground in ("ground", "card"):
                assert contrast(colours[ink], colours[ground]) >= 4.5
        for own in colours_of([str(n) for n in range(6)]).values():
            assert contrast(ink_on(own), own) >= 4.5
            assert contrast(own, colours["card"]) >= 2


@needs_browser
def test_a_browser_opens_it_without_complaint(report):
    path, record = report
    dom, complaints = in_browser(path)
    assert complaints == ""
    assert check_numbers(dom, record) > 40
    units = re.findall(r'<g id="(\w+)-unit-\d+"[^>]*class="unit"', dom)
    assert {units.count(key) for key in units} == {15}


@needs_browser
def test_complaints_of_the_browser_are_noticed(plan_folder, tmp_path):
    assert "oh dear" in in_browser(plan_folder / "report.html", "console.error('oh dear')", tmp_path)[1]
    assert "CONSOLE" in in_browser(plan_folder / "report.html", "fetch('https://a.example/b')", tmp_path)[1]


def seconds_in(text: str) -> float:
    """Return the first time that a text names."""
    value, unit = re.search(r"([\d.]+) (s|ms|µs)\b", text).groups()
    return float(value) / FACTORS[unit]


@needs_browser
@pytest.mark.parametrize("event", ["focus", "mouseenter", "click"])
def test_a_unit_tells_what_it_is(plan_folder, tmp_path, event):
    plan = json.loads((plan_folder / "plan.json").read_text())
    script = f"document.getElementById('plan-unit-3').dispatchEvent(new Event('{event}'))"
    dom, complaints = in_browser(plan_folder / "report.html", script, tmp_path)
    told = re.search(r"<output[^>]*>([^<]*)</output>", dom)[1]
    own = plan["assignments"][3]
    assert complaints == ""
    assert told.startswith(f"3: {own['unit']}")
    assert f"{own['device']}, {own['precision']}" in told
    seconds = seconds_in(told)
    assert seconds == pytest.approx(own["compute_s"], rel=6e-3)
    assert "of weights" in told


@needs_browser
@pytest.mark.parametrize("place", [0, 300, 1000])
def test_the_slider_tells_the_plan_of_a_bandwidth(comparison_folder, tmp_path, place):
    found = json.loads((comparison_folder / "compare.json").read_text())
    move = "s.dispatchEvent(new Event('input'))"
    script = f"const s = document.getElementById('bandwidth'); s.value = {place}; {move}"
    dom, complaints = in_browser(comparison_folder / "report.html", script, tmp_path)
    told = re.search(r'<output id="at-bandwidth"[^>]*>([^<]*)</output>', dom)[1]
    low, high = found["pieces"][0]["low"], found["pieces"][-1]["high"]
    value = low * (high / low) ** (place / 1000)
    best = min(plan["fixed_s"] + plan["link_s"] / value for plan in found["plans"])
    assert complaints == ""
    assert float(told.split()[0]) == pytest.approx(value, rel=6e-3)
    assert seconds_in(told) == pytest.approx(best, rel=6e-4)


@pytest.fixture(scope="module")
def large_folder(tmp_path_factory) -> Path:
    """Return the page of a plan of 557 units, with a block that is on two devices."""
    graph = transformer_graph()
    plan = made_plan(tuple(unit.name for unit in graph.units))
    assignments = tuple(
        msgspec.structs.replace(a, device="camera" if n < 300 else "server")
        for n, a in enumerate(plan.assignments)
    )
    plan = msgspec.structs.replace(
        plan, assignments=assignments, cuts=(msgspec.structs.replace(CUT, tensor="t299"),)
    )
    folder = tmp_path_factory.mktemp("page")
    (folder / "report.html").write_text(plan_page(plan, graph))
    return folder


@pytest.fixture(params=["plan", "comparison", "large"])
def page(request) -> Path:
    return request.getfixturevalue(f"{request.param}_folder") / "report.html"


@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_is_as_light_or_dark_as_its_reader_likes(page, tmp_path, dark):
    ground, complaints = evaluate(
        page, "getComputedStyle(document.body).backgroundColor", tmp_path, dark=dark
    )
    assert complaints == ""
    assert (max(map(int, re.findall(r"\d+", ground))) < 100) == dark


# All elements that hold text themselves and are seen, those in closed parts too, with the size at which they
# are shown: a figure may be scaled.
TEXTS = """(() => {
document.querySelectorAll('details').forEach((one) => { one.open = true; });
const texts = [...document.querySelectorAll('body *')].filter((element) =>
  !['SCRIPT', 'STYLE'].includes(element.tagName) && element.getClientRects().length
  && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
const size = (element) => parseFloat(getComputedStyle(element).fontSize)
  * (element.ownerSVGElement ? element.ownerSVGElement.getScreenCTM().a : 1);
%s })()"""


@needs_browser
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_text_is_twelve_pixels_high_covers_no_other_and_only_wide_things_scroll(page, tmp_path, width, dark):
    script = (
        TEXTS
        % """
    const small = texts.filter((one) => size(one) < 11.9).map((one) => one.textContent + ' ' + size(one));
    const covered = [];
    for (const svg of document.querySelectorAll('svg')) {
      const boxes = [...svg.querySelectorAll('text')].map(
        (one) => [one.textContent, one.getBoundingClientRect()]);
      boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
        const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
        const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
        if (wide > 2 && high > 4) covered.push(a + ' / ' + b);
      }));
    }
    return [texts.length, small, covered, innerWidth, document.documentElement.scrollWidth];"""
    )
    (count, small, covered, window, page_width), complaints = evaluate(
        page, script, tmp_path, width, dark=dark
    )
    assert complaints == ""
    assert count > 50
    assert small == []
    assert covered == []
    assert window == width
    assert page_width <= width


@needs_browser
def test_a_label_lies_in_its_box_and_boxes_of_a_drawing_lie_apart(page, tmp_path):
    script = (
        TEXTS
        % """
    const wrong = [];
    let count = 0;
    for (const svg of document.querySelectorAll('svg.drawing')) {
      const boxes = [...svg.querySelectorAll('g')].map((box) => {
        const own = box.querySelector('rect:not(.behind)').getBoundingClientRect();
        for (const text of box.querySelectorAll('text')) {
          const label = text.getBoundingClientRect();
          if (label.left < own.left || label.right > own.right) wrong.push('wide ' + text.textContent);
          count += 1;
        }
        return [box.textContent, own];
      });
      boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
        const apart = p.right <= q.left || q.right <= p.left || p.bottom <= q.top || q.bottom <= p.top;
        if (!apart) wrong.push(a + ' / ' + b);
      }));
    }
    return [count, wrong];"""
    )
    (count, wrong), _ = evaluate(page, script, tmp_path)
    assert count >= 30
    assert wrong == []


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_drawings_window_ends_between_its_boxes(page, tmp_path, width):
    script = """(() => {
    const closed = [...document.querySelectorAll('details')];
    closed.forEach((one) => { one.open = true; });
    closed.forEach((one) => { one.dispatchEvent(new Event('toggle')); });
    const cut = [];
    for (const pan of document.querySelectorAll('.pan')) {
      const end = pan.getBoundingClientRect().top + pan.clientTop + pan.clientHeight;
      for (const box of pan.querySelectorAll('g')) {
        const {top, bottom} = box.querySelector('rect:not(.behind)').getBoundingClientRect();
        if (top < end - 1 && end + 1 < bottom) cut.push(box.textContent);
      }
    }
    return [document.querySelectorAll('.pan').length, cut]; })()"""
    (count, cut), _ = evaluate(page, script, tmp_path, width)
    assert count >= 1
    assert cut == []


# What the middle of the first drawing shows, as a share of the drawing, and how large it is.
ZOOM = """(() => {
const pan = document.querySelector('.pan'), svg = pan.firstElementChild;
const seen = () =>
  [svg.getBoundingClientRect().width / svg.viewBox.baseVal.width, pan.scrollLeft, pan.scrollTop];
const all = [seen()];
%s
return all; })()"""


@needs_browser
@pytest.mark.parametrize(
    "act",
    [
        "document.querySelector('[data-zoom=in]').click();",
        "pan.dispatchEvent(new KeyboardEvent('keydown', {key: '+'}));",
        "pan.dispatchEvent(new WheelEvent('wheel', {deltaY: -67, ctrlKey: true, cancelable: true}));",
        """const touch = (n, x) => new Touch({identifier: n, target: pan, clientX: x, clientY: 300});
        for (const [kind, apart] of [['touchstart', 80], ['touchmove', 100]])
          pan.dispatchEvent(new TouchEvent(kind,
            {touches: [touch(0, 200 - apart), touch(1, 200 + apart)], cancelable: true}));""",
    ],
    ids=["button", "key", "wheel", "pinch"],
)
def test_a_drawing_is_zoomed(large_folder, tmp_path, act):
    (before, after), complaints = evaluate(
        large_folder / "report.html", ZOOM % f"{act} all.push(seen());", tmp_path, 390
    )
    assert complaints == ""
    assert before[0] == pytest.approx(1)
    assert after[0] == pytest.approx(1.25, rel=0.01)


@needs_browser
def test_the_whole_drawing_is_shown_and_then_again_at_its_size(large_folder, tmp_path):
    script = (
        ZOOM
        % """
    document.querySelector('[data-zoom=fit]').click();
    const box = svg.getBoundingClientRect();
    all.push(seen(), [box.height - pan.clientHeight < 1, box.width - pan.clientWidth < 1]);
    document.querySelector('[data-zoom=reset]').click();
    all.push(seen());"""
    )
    (_, _, fits, again), _ = evaluate(large_folder / "report.html", script, tmp_path, 390)
    assert fits == [True, True]
    assert again[0] == pytest.approx(1)


@needs_browser
def test_a_drawing_is_dragged_and_a_plain_wheel_scrolls(large_folder, tmp_path):
    script = (
        ZOOM
        % """
    const drag = (kind, y) => pan.dispatchEvent(
      new PointerEvent(kind, {pointerType: 'mouse', clientX: 99, clientY: y, bubbles: true}));
    drag('pointerdown', 300); drag('pointermove', 260); drag('pointerup', 260); drag('pointermove', 0);
    all.push(seen());
    const wheel = new WheelEvent('wheel', {deltaY: 90, cancelable: true});
    pan.dispatchEvent(wheel);
    all.push(wheel.defaultPrevented);"""
    )
    (before, after, prevented), _ = evaluate(large_folder / "report.html", script, tmp_path)
    assert after[2] - before[2] == 40
    assert not prevented


@needs_browser
def test_a_click_on_a_block_opens_the_drawing_of_its_units(large_folder, tmp_path):
    script = """(() => {
    const links = [...document.querySelectorAll('#plan-graph a')];
    const event = new MouseEvent('click', {bubbles: true, cancelable: true});
    links[3].dispatchEvent(event);
    return [links.length, document.querySelectorAll('details[open]').length,
      document.querySelector('details[open] summary').textContent, links[3].textContent]; })()"""
    (links, opened, title, label), complaints = evaluate(large_folder / "report.html", script, tmp_path, 390)
    assert complaints == ""
    assert links >= 12
    assert opened == 1
    assert title.split(":")[0].split("/")[-1] in label


def test_figures_lie_beside_the_page(plan_folder, comparison_folder):
    names = {path.name for path in (plan_folder / "figures").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("graph", "request") for kind in ("svg", "png")}
    names = {path.stem for path in (comparison_folder / "figures").iterdir()}
    plans = json.loads((comparison_folder / "compare.json").read_text())["plans"]
    assert names == {"latency", "shares", "front", *(f"graph-{n}" for n in range(len(plans)))}
    for path in (comparison_folder / "figures").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


def test_names_that_look_like_markup_are_text(comparison_folder, tmp_path):
    basis = quickstart_basis()
    odd = "</script><b>&"
    scenario = basis.scenario.model_copy(update={"model": f"{odd}.onnx"})
    found = compare(basis, Sweep(None, {"noise_relative_rms": (0.05,)}))
    renamed = replace(basis, prepared=replace(basis.prepared, scenario=scenario))
    write_comparison(replace(found, measured=renamed), tmp_path / "o")
    text = (tmp_path / "o" / "report.html").read_text()
    assert odd not in text
    assert "&lt;b&gt;&amp;.onnx" in text


def test_a_figure_is_the_same_each_time():
    figure = Figure()
    figure.add_subplot().plot(np.arange(3))
    assert inline_svg(figure, "a", "x") == inline_svg(figure, "a", "x")


def test_texts_of_a_figure_keep_their_digits():
    figure = Figure()
    figure.add_subplot().text(0.12345, 0.5, "0.00723 Mbit/s")
    assert "0.00723 Mbit/s" in inline_svg(figure, "a", "x")
