"""Reports as people open them: numbers against the record, a headless browser, ids, colours, size."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import models
import numpy as np
import pytest
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
from planner.report.figure_style import colours_of, ink_on, inline_svg, styled
from planner.report.graph_figure import PlacedGraph, _positions, draw_graph
from planner.run import plan_scenario
from planner.scenario.loader import load_scenario
from profiling.graph.unit_graph import build_graph
from profiling.precision import Precision
from profiling.preparation.rewrite_steps import prepare_model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
MOST_BYTES = 1_000_000
FACTORS = {"ms": 1e3, "mJ": 1e3, "s": 1.0, "KiB": 2.0**-10, "MiB": 2.0**-20, "B": 1.0, "%": 100.0, "": 1.0}


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


def test_a_page_asks_for_nothing_outside(report):
    path, _ = report
    assert path.stat().st_size <= MOST_BYTES
    elements = Elements(path.read_text()).found
    links = [
        known.pop("href") for tag, known in elements if tag == "a"
    ]  # followed only where one asks for it
    assert all((path.parent / link).exists() for link in links)
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


def in_browser(path: Path, script: str = "", tmp: Path | None = None) -> tuple[str, str]:
    """Return the page's elements after its scripts ran, and what the browser complained of."""
    if script:
        page = path.read_text().replace("</body>", f"<script>{script}</script></body>")
        path = tmp / "page.html"
        path.write_text(page)
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
            "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", f"file://{path}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )  # fmt: skip
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)


@needs_browser
def test_a_browser_opens_it_without_complaint(report):
    path, record = report
    dom, complaints = in_browser(path)
    assert complaints == ""
    assert check_numbers(dom, record) > 40
    assert dom.count('class="unit"') % 15 == 0
    assert dom.count('class="unit"') >= 15


@needs_browser
def test_complaints_of_the_browser_are_noticed(plan_folder, tmp_path):
    assert "oh dear" in in_browser(plan_folder / "report.html", "console.error('oh dear')", tmp_path)[1]
    assert "CONSOLE" in in_browser(plan_folder / "report.html", "fetch('https://a.example/b')", tmp_path)[1]


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
    assert float(re.search(r"([\d.e-]+) ms", told)[1]) == pytest.approx(own["compute_s"] * 1e3, rel=6e-3)
    assert f"{own['weight_bytes']} bytes of weights" in told


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
    assert float(re.search(r"([\d.e+-]+) ms,", told)[1]) == pytest.approx(best * 1e3, rel=6e-4)


@needs_browser
def test_on_a_phone_only_wide_things_scroll(report, tmp_path):
    script = (
        "document.body.style.width = '320px';"
        "document.title = document.documentElement.scrollWidth <= window.innerWidth"
        " && document.body.scrollWidth <= 320 ? 'fits' : 'wide ' + document.body.scrollWidth;"
    )
    assert "<title>fits</title>" in in_browser(report[0], script, tmp_path)[0]


# All elements that hold text themselves, with the size at which they are shown: a figure may be scaled.
TEXTS = """
document.body.style.width = '%dpx';
const texts = [...document.querySelectorAll('body *')].filter((element) =>
  !['SCRIPT', 'STYLE'].includes(element.tagName) && element.getClientRects().length
  && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
const size = (element) => parseFloat(getComputedStyle(element).fontSize)
  * (element.ownerSVGElement ? element.ownerSVGElement.getScreenCTM().a : 1);
"""


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_no_text_is_smaller_than_twelve_pixels(report, tmp_path, width):
    script = TEXTS % width + (
        "const small = texts.filter((element) => size(element) < 11.9);"
        "document.title = texts.length + ' texts, small: '"
        " + JSON.stringify(small.map((one) => one.textContent + ' ' + size(one)));"
    )
    dom, complaints = in_browser(report[0], script, tmp_path)
    assert complaints == ""
    found = re.search(r"<title>(\d+) texts, small: (.*?)</title>", dom)
    assert int(found[1]) > 50
    assert found[2] == "[]"


@needs_browser
@pytest.mark.parametrize("width", [390, 1280])
def test_labels_of_a_figure_do_not_cover_each_other(report, tmp_path, width):
    script = TEXTS % width + (
        "const covered = [];"
        "for (const svg of document.querySelectorAll('svg')) {"
        "  const boxes = [...svg.querySelectorAll('text')].map("
        "    (one) => [one.textContent, one.getBoundingClientRect()]);"
        "  boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {"
        "    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);"
        "    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);"
        "    if (wide > 2 && high > 4) covered.push(a + ' / ' + b);"
        "  }));"
        "}"
        "document.title = 'covered: ' + JSON.stringify(covered);"
    )
    dom, complaints = in_browser(report[0], script, tmp_path)
    assert complaints == ""
    assert re.search(r"<title>covered: (.*?)</title>", dom)[1] == "[]"


def test_figures_lie_beside_the_page(plan_folder, comparison_folder):
    names = {path.name for path in (plan_folder / "figures").iterdir()}
    assert names == {f"{name}.{kind}" for name in ("graph", "request") for kind in ("svg", "png")}
    names = {path.stem for path in (comparison_folder / "figures").iterdir()}
    plans = json.loads((comparison_folder / "compare.json").read_text())["plans"]
    assert names == {"latency", "shares", "front", *(f"graph-{n}" for n in range(len(plans)))}
    for path in (comparison_folder / "figures").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("model", [models.residual, models.branches, models.join])
def test_every_unit_has_a_place_of_its_own(model):
    graph = build_graph(prepare_model(model()))
    spots, _ = _positions(graph)
    assert len(set(spots)) == len(graph.units)
    assert all(abs(a[0] - b[0]) + abs(a[1] - b[1]) > 0.5 for a, b in combinations(spots, 2))


def test_a_picture_has_every_unit_in_its_devices_colour():
    graph = build_graph(prepare_model(models.branches()))
    devices = ["one" if unit.index % 2 else "two" for unit in graph.units]
    precisions = [Precision.INT8 if unit.index % 3 else Precision.FP32 for unit in graph.units]
    svg = inline_svg(
        draw_graph(graph, PlacedGraph(devices, precisions, (), "one", "two"), ["one", "two"]), "g", "a<b"
    )
    colours = colours_of(["one", "two"])
    assert 'aria-label="a&lt;b"' in svg
    for unit in graph.units:
        own = re.search(rf'id="g-unit-{unit.index}".*?</g>', svg, re.DOTALL)[0]
        assert colours[devices[unit.index]] in own


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


def test_a_dollar_sign_in_a_name_is_no_formula():
    graph = build_graph(prepare_model(models.residual()))
    count = len(graph.units)
    first = graph.inputs[0]
    names = {first: "a$b$c^", "device": "d$\\frac$"}
    with styled():
        placed = PlacedGraph(
            (names["device"],) * count, (Precision.FP32,) * count, (), names["device"], names["device"]
        )
        figure = draw_graph(graph, placed, [names["device"]])
        figure.suptitle(names[first])
    svg = inline_svg(figure, "figure", names[first])
    assert "a$b$c^" in svg
    assert "d$\\frac$" in svg
