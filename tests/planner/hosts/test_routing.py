"""From each host's own view: every stage gets each input exactly once, and every answer comes to the sink."""

import itertools

import msgspec
import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import made_manifest

from planner.errors import OutputError
from planner.hosts.on_host.host_manifest import HostedPlan, HostedStage
from planner.hosts.routing import PlanRoutes, missing_before, next_hops, spec_of, tensor_numbers
from planner.plan.manifest import Manifest, Port, StageEntry
from planner.plan.plan_record import Cut, WireFormat


def port(name: str) -> Port:
    return Port(name=name, dtype="float32", shape=(1, 2))


def stage(number: int, device: str, reads: list[str], gives: list[str]) -> StageEntry:
    return StageEntry(
        number=number,
        device=device,
        file=f"{number}.onnx",
        sha256="",
        units=1,
        inputs=tuple(map(port, reads)),
        outputs=tuple(map(port, gives)),
    )


def cut(tensor: str, *path: str) -> Cut:
    return Cut(
        tensor=tensor,
        source=path[0],
        target=path[-1],
        wire=WireFormat.FLOAT,
        size_bytes=8,
        path=path,
        seconds=0.1,
    )


def manifest_of(inputs, outputs, stages, cuts=(), source="a", sink="a") -> Manifest:
    return msgspec.structs.replace(
        made_manifest(),
        source=source,
        sink=sink,
        inputs=tuple(map(port, inputs)),
        outputs=tuple(map(port, outputs)),
        stages=tuple(stage(number, *one) for number, one in enumerate(stages)),
        cuts=tuple(cuts),
    )


def starts(manifest: Manifest, routes: PlanRoutes) -> list[int]:
    """Return the stages that run, from each device's own view: one starts with a request's first tensor."""
    views = hosted(manifest, routes)
    there = {device: set() for device in views}
    ran: list[int] = []
    waiting = [(port.name, manifest.source) for port in manifest.inputs]
    while waiting:
        name, device = waiting.pop()
        assert name not in there[device]
        there[device].add(name)
        waiting += [(name, other) for other in views[device].tensors[name].receivers]
        for one in manifest.stages:
            ready = one.device == device and {port.name for port in one.inputs} <= there[device]
            if ready and one.number not in ran:
                ran.append(one.number)
                waiting += [(port.name, device) for port in one.outputs]
    return sorted(ran)


@pytest.mark.parametrize(
    ("stages", "crossings"),
    [
        # Nothing else comes to the device.
        ([("c", [], ["k"]), ("a", ["x"], ["y"])], {("small", "a", "b"), ("small", "b", "c")}),
        # What comes follows from the stage itself.
        ([("c", [], ["k"]), ("a", ["x", "k"], ["r"]), ("c", ["r"], ["y"])], {("small", "b", "c")}),
        # Another tensor comes anyway.
        ([("c", [], ["k"]), ("a", ["x"], ["r"]), ("c", ["r"], ["y"])], set()),
        # It is where requests come in.
        ([("a", [], ["k"]), ("c", ["x"], ["y"])], set()),
        # One is on the way to the other.
        ([("b", [], ["k"]), ("c", [], ["m"]), ("a", ["x", "m"], ["y"])], {("small", "b", "c")}),
        # Each would wait for the other.
        (
            [("b", [], ["k"]), ("c", [], ["m"]), ("c", ["k"], ["y"]), ("b", ["m"], ["z"])],
            {("small", "a", "b"), ("small", "b", "c")},
        ),
    ],
)
def test_a_stage_that_reads_nothing_starts_with_a_tensor_that_comes_in_time(stages, crossings):
    given = {name for _, _, gives in stages for name in gives}
    outputs = [name for name in ("k", "m", "y", "z") if name in given]
    manifest = manifest_of(["x", "small"], outputs, stages)
    small = msgspec.structs.replace(port("small"), shape=(1, 1))
    manifest = msgspec.structs.replace(manifest, inputs=(port("x"), small))
    routes = PlanRoutes(manifest, line("a", "b", "c"))
    assert starts(manifest, routes) == list(range(len(stages)))
    sent = {one for one in routes.crossings() if one[0] == "small"}
    assert crossings <= sent
    assert bool(sent) == bool(crossings)


def line(*devices: str) -> nx.DiGraph:
    links = nx.DiGraph()
    for one, other in itertools.pairwise(devices):
        links.add_edges_from([(one, other), (other, one)])
    return links


def hosted(manifest: Manifest, routes: PlanRoutes) -> dict[str, HostedPlan]:
    """Return each device's view."""
    views = {}
    for device in routes.devices():
        own = {
            one.number: HostedStage(
                one.number, (), tuple(map(spec_of, one.inputs)), tuple(map(spec_of, one.outputs))
            )
            for one in manifest.stages
            if one.device == device
        }
        views[device] = routes.hosted(device, "p", own)
    return views


class Simulation:
    """Hosts that see only their own view: what stages are fed, and which answers arise."""

    def __init__(self, manifest: Manifest, views: dict[str, HostedPlan]) -> None:
        self.sink, self.views = manifest.sink, views
        self.arrived: list[tuple[str, str]] = []
        self.fed: list[tuple[int, str]] = []
        self.answers: list[str] = []
        for given_port in manifest.inputs:
            if given_port.name in views[manifest.source].tensors:
                self.arrive(manifest.source, given_port.name, None)

    def arrive(self, device: str, name: str, sender: str | None) -> None:
        routed = self.views[device].tensors[name]
        assert routed.sender == sender
        assert (device, name) not in self.arrived  # no tensor comes twice to a device
        self.arrived.append((device, name))
        for number in routed.stages:
            self.fed.append((number, name))
            self.run(device, number)
        if routed.is_answer:
            assert device == self.sink
            self.answers.append(name)
        for receiver in routed.receivers:
            self.arrive(receiver, name, device)

    def run(self, device: str, number: int) -> None:
        stage = next(one for one in self.views[device].stages if one.number == number)
        if all((number, spec.name) in self.fed for spec in stage.inputs):
            for spec in stage.outputs:
                self.arrive(device, spec.name, None)


def check(manifest: Manifest, links: nx.DiGraph) -> dict[str, HostedPlan]:
    views = hosted(manifest, PlanRoutes(manifest, links))
    seen = Simulation(manifest, views)
    wanted = [(one.number, port.name) for one in manifest.stages for port in one.inputs]
    assert sorted(seen.fed) == sorted(wanted)
    assert sorted(seen.answers) == sorted(port.name for port in manifest.outputs)
    for view in views.values():
        for routed in view.tensors.values():
            assert routed.receivers or routed.stages or routed.is_answer or routed.sender is None
    return views


def test_a_device_on_the_way_forwards_and_does_nothing_else():
    stages = [("a", ["x"], ["t"]), ("c", ["t"], ["y"])]
    manifest = manifest_of(["x"], ["y"], stages, [cut("t", "a", "b", "c")], sink="c")
    views = check(manifest, line("a", "b", "c"))
    assert set(views) == {"a", "b", "c"}
    assert not views["b"].stages
    assert list(views["b"].tensors) == ["t"]


def test_a_tensor_for_two_devices_crosses_a_shared_link_once():
    stages = [("a", ["x"], ["t"]), ("b", ["t"], ["u"]), ("c", ["t", "u"], ["y"])]
    cuts = [cut("t", "a", "b"), cut("t", "a", "b", "c"), cut("u", "b", "c")]
    views = check(manifest_of(["x"], ["y"], stages, cuts, sink="c"), line("a", "b", "c"))
    assert views["a"].tensors["t"].receivers == ("b",)
    assert views["b"].tensors["t"].stages == (1,)
    assert views["b"].tensors["t"].receivers == ("c",)


def test_a_device_is_visited_again_and_an_answer_comes_back():
    stages = [("a", ["x"], ["t"]), ("b", ["t"], ["u"]), ("a", ["t", "u"], ["v"]), ("b", ["v"], ["y"])]
    cuts = [cut("t", "a", "b"), cut("u", "b", "a"), cut("v", "a", "b")]
    views = check(manifest_of(["x"], ["y"], stages, cuts), line("a", "b"))
    assert [one.number for one in views["b"].stages] == [1, 3]
    assert views["a"].tensors["y"].is_answer


def test_a_tensor_that_is_converted_for_the_link_takes_its_cuts_way():
    links = line("a", "b", "c")
    links.add_edges_from([("a", "c"), ("c", "a")])
    stages = [("a", ["x"], ["relu_quantized"]), ("c", ["relu_quantized"], ["y"])]
    manifest = manifest_of(["x"], ["y"], stages, [cut("relu", "a", "b", "c")], sink="c")
    assert check(manifest, links)["a"].tensors["relu_quantized"].receivers == ("b",)


def test_an_input_that_is_an_output_is_answered_even_elsewhere():
    manifest = manifest_of(["x"], ["x", "y"], [("a", ["x"], ["y"])], sink="b")
    views = check(manifest, line("a", "b"))
    assert views["b"].tensors["x"].is_answer


def test_a_stage_without_what_it_reads_or_without_a_way_is_refused():
    with pytest.raises(OutputError, match="'nothing'"):
        PlanRoutes(manifest_of(["x"], ["y"], [("a", ["nothing"], ["y"])]), line("a", "b"))
    with pytest.raises(OutputError, match="no way from a to c"):
        PlanRoutes(
            manifest_of(["x"], ["y"], [("a", ["x"], ["t"]), ("c", ["t"], ["y"])], sink="c"),
            nx.DiGraph([("a", "b"), ("c", "a")]),
        )
    with pytest.raises(OutputError, match="no way"):
        PlanRoutes(manifest_of(["x"], ["y"], [("c", ["x"], ["y"])], sink="c"), line("a", "b"))


@st.composite
def placed_stages(draw):
    """Draw stages that read any earlier tensors, anywhere on a ring of devices."""
    devices = [f"d{n}" for n in range(draw(st.integers(1, 5)))]
    known, stages = ["x0", "x1"], []
    for number in range(draw(st.integers(1, 6))):
        reads = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        gives = [f"t{number}_{k}" for k in range(draw(st.integers(1, 2)))]
        stages.append((draw(st.sampled_from(devices)), reads, gives))
        known += gives
    outputs = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
    source, sink = draw(st.sampled_from(devices)), draw(st.sampled_from(devices))
    links = line(*devices)
    links.add_nodes_from(devices)
    if draw(st.booleans()):
        links.add_edges_from([(devices[-1], devices[0]), (devices[0], devices[-1])])
    origins = dict.fromkeys(("x0", "x1"), source) | {
        name: device for device, _, gives in stages for name in gives
    }
    cuts = []
    for name in draw(st.lists(st.sampled_from(known), max_size=4, unique=True)):
        ways = [
            way for end in devices for way in nx.all_simple_paths(links, origins[name], end) if len(way) > 1
        ]
        if ways:
            cuts.append(cut(name, *draw(st.sampled_from(ways))))
    return manifest_of(["x0", "x1"], outputs, stages, cuts, source=source, sink=sink), links


@given(placed_stages())
def test_whatever_is_placed_wherever_every_stage_gets_its_inputs_once(drawn):
    check(*drawn)


def test_the_next_hop_is_a_neighbour_on_the_way_in_both_directions():
    hops = {("a", "b"), ("b", "c"), ("c", "d")}
    assert next_hops(hops, "a") == {"b": "b", "c": "b", "d": "b"}
    assert next_hops(hops, "d") == {"c": "c", "b": "c", "a": "c"}


def test_every_host_and_client_calls_a_tensor_by_the_same_number():
    manifest = manifest_of("xw", "yz", [("b", ["x"], ["t"]), ("a", ["t", "w"], ["y", "z"])])
    numbers = tensor_numbers(manifest)
    assert sorted(numbers) == sorted("xwtyz")
    assert sorted(numbers.values()) == list(range(5))
    routes = PlanRoutes(manifest, line("a", "b"))
    for device in "ab":
        hosted = routes.hosted(device, "p", {})
        assert hosted.numbers == numbers
        assert {name: number for number, name in hosted.names.items()} == numbers


def test_more_tensors_than_messages_can_number_are_refused():
    most = [f"t{number}" for number in range(2**16)]
    assert max(tensor_numbers(manifest_of(most, [], [])).values()) == 2**16 - 1
    with pytest.raises(OutputError, match="65537 tensors"):
        tensor_numbers(manifest_of([*most, "x"], [], []))


@pytest.mark.parametrize(
    ("device", "missing", "before"),
    [
        ("c", {"b", "c"}, "b"),
        ("d", {"b", "c", "d"}, "b"),
        ("d", {"c", "d"}, "c"),
        ("c", {"c"}, None),
        ("a", {"a", "b"}, None),
        ("b", {"a", "b"}, "a"),
        ("alone", {"alone", "b"}, None),
    ],
)
def test_a_host_behind_one_that_is_missing_may_not_be_missing_itself(device, missing, before):
    hops = {("a", "b"), ("b", "c"), ("c", "d")}
    assert missing_before(hops, "a", device, missing) == before
