"""A detector that also segments, of the size of today's largest ones, with random weights, as ONNX.

Every convolution is scaled from what it computes of a few pictures, as a folded batch normalization would be.
So numbers neither vanish nor grow, however deep the network is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from profiling.runtime.open_session import Runtime, open_session

Array = npt.NDArray[np.float32]

_OPSET = 17
_BINS = 16  # of the distribution that each side of a box has
_CLASSES = 80
_MASKS = 32
_PRIOR = 256  # places
_PICTURES = 4  # that scale the network
_WIDTH = 64  # of an attention head's values; its queries and keys have half


@dataclass(frozen=True)
class Size:
    """How large a detector is.

    Parameters
    ----------
    side
        Of the picture: a multiple of 32.
    widths
        Channels at a half, a quarter, an eighth, a sixteenth and a thirty-second of the side.
    depth
        Bottlenecks in a block, and attention layers.
    inner
        Convolution pairs in each bottleneck that is a block itself; 0 for plain bottlenecks.
    head
        Channels of the class branches; boxes and mask coefficients have half, prototypes as many.
    """

    side: int
    widths: tuple[int, int, int, int, int]
    depth: int
    inner: int
    head: int


TINY = Size(64, (8, 8, 16, 16, 64), 1, 0, 16)
SMALL = Size(640, (16, 32, 64, 128, 192), 1, 2, 64)
LARGE = Size(640, (80, 160, 320, 640, 768), 2, 3, 320)


def detector(size: Size) -> onnx.ModelProto:
    """Return the model: `images` 1 x 3 x side x side, from 0 to 1, to `boxes` and `prototypes`.

    `boxes` is 1 x (4 + 80 + 32) x cells: distances to a cell's box in cells, class probabilities and mask
    coefficients. `prototypes` is 1 x 32 x side / 4 x side / 4. Batches are fixed at 1.
    """
    net = _Network(size)
    boxes, prototypes = _heads(net, size, _neck(net, size, _backbone(net, size)))
    return net.model({"boxes": boxes, "prototypes": prototypes})


def pictures(size: Size, count: int, seed: int = 1) -> Array:
    """Return pictures of overlapping coloured rectangles and noise: count x 1 x 3 x side x side, 0 to 1."""
    rng = np.random.default_rng(seed)
    found = np.empty((count, 1, 3, size.side, size.side), np.float32)
    for picture in found:
        picture[:] = rng.random((3, 1, 1))
        for _ in range(24):
            top, left = rng.integers(0, size.side, 2)
            height, width = rng.integers(size.side // 16, size.side // 2, 2)
            picture[0, :, top : top + height, left : left + width] = rng.random((3, 1, 1))
        picture += rng.normal(0, 0.03, picture.shape)
    return found.clip(0, 1)


@dataclass(frozen=True)
class _Flow:
    """A tensor of the network, with its values on each picture that scales it."""

    name: str
    values: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values[0].shape

    @property
    def channels(self) -> int:
        return self.shape[1]


class _Network:
    """Nodes and weights as they are added; each node is computed at once, so that the next can be scaled."""

    def __init__(self, size: Size) -> None:
        self._rng = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[TensorProto] = []
        self._size = size
        self.images = _Flow("images", tuple(pictures(size, _PICTURES, seed=0)))

    def constant(self, values: npt.NDArray[np.float32 | np.int64]) -> str:
        """Return the name of a new weight."""
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(values, name))
        return name

    def add(
        self, op_type: str, flows: Sequence[_Flow], weights: Sequence[str] = (), **given: object
    ) -> _Flow:
        """Add a node and compute it."""
        return self.add_all(op_type, 1, flows, weights, **given)[0]

    def add_all(
        self, op_type: str, outputs: int, flows: Sequence[_Flow], weights: Sequence[str] = (), **given: object
    ) -> list[_Flow]:
        """Add a node with several outputs and compute it."""
        number = len(self._nodes)
        names = [f"{op_type.lower()}{number}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        inputs = [*(flow.name for flow in flows), *weights]
        node = helper.make_node(op_type, inputs, names, name=f"{op_type}_{number}", **given)
        self._nodes.append(node)
        return [_Flow(*pair) for pair in zip(names, self._computed(node, flows), strict=True)]

    def _computed(self, node: onnx.NodeProto, flows: Sequence[_Flow]) -> list[tuple[Array, ...]]:
        read = {flow.name: flow.values for flow in flows}  # each once
        graph = helper.make_graph(
            [node],
            "one",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, v[0].shape) for n, v in read.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in node.output],
            [weight for weight in self._weights if weight.name in node.input],
        )
        session = open_session(_as_model(graph), Runtime(threads=2))
        feeds = ({name: values[i] for name, values in read.items()} for i in range(_PICTURES))
        return list(zip(*(session.run(None, each) for each in feeds), strict=True))

    def conv(self, flow: _Flow, channels: int, side: int = 1, stride: int = 1, groups: int = 1) -> _Flow:
        """Add a convolution whose outputs have a random mean and spread per channel."""
        shape = (channels, flow.channels // groups, side, side)
        raw = self._rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)
        shift = np.zeros(channels, np.float32)
        weights = [self.constant(raw), self.constant(shift)]
        given = {
            "kernel_shape": [side] * 2,
            "strides": [stride] * 2,
            "pads": [side // 2] * 4,
            "group": groups,
        }
        found = self.add("Conv", [flow], weights, **given)
        values = np.concatenate(found.values)
        mean, variance = (each(values, axis=(0, 2, 3)) for each in (np.mean, np.var))
        places = values[:, 0].size
        # Few places say little of a channel's spread: that of all channels counts as so many more.
        variance += (values.var() - variance) * np.float32(_PRIOR / (places + _PRIOR))
        gain = self._rng.uniform(0.6, 1.4, channels).astype(np.float32) / np.sqrt(variance + np.float32(1e-9))
        shift = self._rng.normal(0, 0.4, channels).astype(np.float32) - gain * mean
        for name, values in zip(weights, (raw * gain[:, None, None, None], shift), strict=True):
            self._weights[int(name[1:])] = numpy_helper.from_array(values, name)
        scaled = (each * gain[:, None, None] + shift[:, None, None] for each in found.values)
        return _Flow(found.name, tuple(scaled))

    def act(self, flow: _Flow, channels: int, side: int = 1, stride: int = 1, groups: int = 1) -> _Flow:
        """Add a convolution and SiLU."""
        convolved = self.conv(flow, channels, side, stride, groups)
        return self.add("Mul", [convolved, self.add("Sigmoid", [convolved])])

    def join(self, flows: Sequence[_Flow], axis: int = 1) -> _Flow:
        """Add a concatenation."""
        return self.add("Concat", flows, axis=axis)

    def reshape(self, flow: _Flow, *shape: int) -> _Flow:
        """Add a reshape."""
        return self.add("Reshape", [flow], [self.constant(np.array(shape, np.int64))])

    def halves(self, flow: _Flow) -> list[_Flow]:
        """Add a split of the channels into two equal parts."""
        parts = self.constant(np.array([flow.channels // 2] * 2, np.int64))
        return self.add_all("Split", 2, [flow], [parts], axis=1)

    def larger(self, flow: _Flow) -> _Flow:
        """Add a resize to twice the side."""
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        modes = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
        return self.add("Resize", [flow], ["", scales], **modes)

    def model(self, outputs: dict[str, _Flow]) -> onnx.ModelProto:
        """Return the model that computes some tensors, under names of their own."""
        nodes = list(self._nodes)
        for name, flow in outputs.items():
            nodes.append(helper.make_node("Identity", [flow.name], [name], name=name))
        shapes = {"images": self.images.shape} | {n: flow.shape for n, flow in outputs.items()}
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()]
        return _as_model(helper.make_graph(nodes, "detector", ends[:1], ends[1:], self._weights))


def _as_model(graph: onnx.GraphProto) -> onnx.ModelProto:
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", _OPSET)])


def _bottleneck(net: _Network, flow: _Flow, inner: int) -> _Flow:
    """Add two convolutions and a shortcut; with `inner`, that many of them between two branches."""
    if not inner:
        return net.add("Add", [flow, net.act(net.act(flow, flow.channels // 2, 3), flow.channels, 3)])
    half = flow.channels // 2
    deep, straight = net.act(flow, half), net.act(flow, half)
    for _ in range(inner):
        deep = net.add("Add", [deep, net.act(net.act(deep, half, 3), half, 3)])
    return net.act(net.join([deep, straight]), flow.channels)


def _block(net: _Network, flow: _Flow, channels: int, depth: int, inner: int) -> _Flow:
    """Add a cross-stage block: one half of the channels passes bottlenecks, and all steps are joined."""
    parts = net.halves(net.act(flow, channels))
    for _ in range(depth):
        parts.append(_bottleneck(net, parts[-1], inner))
    return net.act(net.join(parts), channels)


def _pyramid_pooling(net: _Network, flow: _Flow) -> _Flow:
    """Add three poolings in a row whose inputs and outputs are joined."""
    steps = [net.act(flow, flow.channels // 2)]
    for _ in range(3):
        steps.append(net.add("MaxPool", [steps[-1]], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
    return net.act(net.join(steps), flow.channels)


def _attention(net: _Network, flow: _Flow, depth: int) -> _Flow:
    """Add attention layers over all places of one half of the channels."""
    straight, deep = net.halves(net.act(flow, flow.channels))
    for _ in range(depth):
        deep = net.add("Add", [deep, _attended(net, deep)])
        deep = net.add("Add", [deep, net.conv(net.act(deep, 2 * deep.channels), deep.channels)])
    return net.act(net.join([straight, deep]), flow.channels)


def _attended(net: _Network, flow: _Flow) -> _Flow:
    """Add one self-attention, with the values' places encoded by a depthwise convolution."""
    _, channels, *sides = flow.shape
    heads, places = max(1, channels // _WIDTH), sides[0] * sides[1]
    width = channels // heads
    keys = width // 2
    mixed = net.reshape(net.conv(flow, heads * (2 * keys + width)), 1, heads, 2 * keys + width, places)
    lengths = net.constant(np.array([keys, keys, width], np.int64))
    query, key, value = net.add_all("Split", 3, [mixed], [lengths], axis=2)
    scale = net.constant(np.float32(keys**-0.5))
    product = net.add("MatMul", [net.add("Transpose", [query], perm=[0, 1, 3, 2]), key])
    shares = net.add("Softmax", [net.add("Mul", [product], [scale])], axis=-1)
    read = net.add("MatMul", [value, net.add("Transpose", [shares], perm=[0, 1, 3, 2])])
    read, placed = (net.reshape(each, 1, channels, *sides) for each in (read, value))
    return net.conv(net.add("Add", [read, net.conv(placed, channels, 3, groups=channels)]), channels)


def _backbone(net: _Network, size: Size) -> list[_Flow]:
    """Add everything down to a thirty-second of the side; return the three smallest scales."""
    first, second, *rest = size.widths
    flow = net.act(net.act(net.images, first, 3, 2), second, 3, 2)
    # The first blocks see the most places, and have plain bottlenecks.
    flow = _block(net, flow, rest[0], size.depth, 0)
    scales = []
    for number, channels in enumerate(rest):
        flow = net.act(flow, channels, 3, 2)
        flow = _block(net, flow, rest[min(number + 1, 2)], size.depth, size.inner if number else 0)
        scales.append(flow)
    scales[-1] = _attention(net, _pyramid_pooling(net, flow), size.depth)
    return scales


def _neck(net: _Network, size: Size, scales: Sequence[_Flow]) -> list[_Flow]:
    """Add the way up and down again, in which each scale reads what the others know."""
    fine, middle, coarse = scales
    widths = size.widths[2:]
    middle_up = _block(net, net.join([net.larger(coarse), middle]), widths[1], size.depth, size.inner)
    fine_up = _block(net, net.join([net.larger(middle_up), fine]), widths[0], size.depth, size.inner)
    down = net.act(fine_up, widths[0], 3, 2)
    middle_down = _block(net, net.join([down, middle_up]), widths[1], size.depth, size.inner)
    down = net.act(middle_down, widths[1], 3, 2)
    coarse_down = _block(net, net.join([down, coarse]), widths[2], size.depth, size.inner)
    return [fine_up, middle_down, coarse_down]


def _heads(net: _Network, size: Size, scales: Sequence[_Flow]) -> tuple[_Flow, _Flow]:
    """Add the branches of every scale, joined over all cells, and the mask prototypes."""
    branches = [_cells(net, size, flow) for flow in scales]
    sides, classes, masks = (net.join(of_scales, axis=2) for of_scales in zip(*branches, strict=True))
    cells = sides.shape[2]
    bins = net.add("Transpose", [net.reshape(sides, 1, 4, _BINS, cells)], perm=[0, 1, 3, 2])
    steps = net.constant(np.arange(_BINS, dtype=np.float32)[:, None])
    distances = net.reshape(net.add("MatMul", [net.add("Softmax", [bins], axis=-1)], [steps]), 1, 4, cells)
    boxes = net.join([distances, net.add("Sigmoid", [classes]), masks])
    flow = net.act(scales[0], size.head, 3)
    flow = net.act(net.act(net.larger(flow), size.head, 3), _MASKS)
    return boxes, flow


def _cells(net: _Network, size: Size, flow: _Flow) -> list[_Flow]:
    """Add a scale's branches: 1 x 4 bins, classes and mask coefficients x its cells."""
    half = max(size.head // 2, 8)
    sides = net.conv(net.act(net.act(flow, half, 3), half, 3), 4 * _BINS)
    classes = flow
    for _ in range(2):
        classes = net.act(net.act(classes, classes.channels, 3, groups=classes.channels), size.head)
    masks = net.act(net.act(flow, half, 3), half, 3)
    ends = [sides, net.conv(classes, _CLASSES), net.conv(masks, _MASKS)]
    return [net.reshape(end, 1, end.channels, end.shape[2] * end.shape[3]) for end in ends]
