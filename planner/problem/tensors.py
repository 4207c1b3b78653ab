"""Tensors: the formats in which they exist, and what moving and converting them costs."""

from dataclasses import dataclass, replace
from math import inf

FLOAT = 0  # the number of the format of tensors that no unit quantizes


@dataclass(frozen=True, slots=True)
class Format:
    """A representation of tensors; a problem's first one is floating point, the others are quantized.

    Parameters
    ----------
    accepts
        Numbers of the formats that a unit asking for this one can read instead: its own and coarser ones.
    has_integer_kernel
        Whether the runtime has integer kernels for it, and turns a unit between such tensors into one.
    """

    name: str
    accepts: tuple[int, ...] = ()
    has_integer_kernel: bool = True


FORMATS = (Format("float"), Format("uint8", (1,)))


@dataclass(frozen=True, slots=True)
class WireForm:
    """A form in which a tensor crosses links.

    Parameters
    ----------
    format
        That of the tensor that can cross so.
    size_bytes
        Bytes that a crossing puts on each link of its route.
    link_s, link_j
        Link -> seconds; link -> joules of its source and of its target, empty if none.
    routes
        From device -> to device -> links, None if no links lead there. The routes from one device form a
        tree, so that a link that several receivers share is used once.
    encode_s, decode_s
        Device -> seconds to bring it into this form and back; empty if it crosses as it is.
    noise_power
        Added once if it crosses so.
    """

    name: str
    format: int
    size_bytes: float
    link_s: tuple[float, ...]
    routes: tuple[tuple[tuple[int, ...] | None, ...], ...]
    link_j: tuple[tuple[float, float], ...] = ()
    encode_s: tuple[float, ...] = ()
    decode_s: tuple[float, ...] = ()
    noise_power: float = 0.0

    def without_links(self) -> "WireForm":
        """Return the form of a tensor that may not leave the device on which it arises."""
        devices = range(len(self.routes))
        return replace(self, routes=tuple(tuple(() if a == b else None for b in devices) for a in devices))

    def seconds(self, source: int, target: int) -> float:
        """Return the seconds from device to device; infinite if no links lead there.

        Examples
        --------
        >>> form = WireForm("uint8", 1, 1000, (0.5, 0.25), (((), (0, 1)), (None, ())))
        >>> form.seconds(0, 1), form.seconds(1, 0), form.seconds(1, 1)
        (0.75, inf, 0)
        """
        route = self.routes[source][target]
        return inf if route is None else sum(self.link_s[link] for link in route)


@dataclass(frozen=True, slots=True)
class Flow:
    """A tensor: which vertex writes it, which ones read it, and what moving and converting it costs.

    Parameters
    ----------
    producer, consumers
        Indices into `PlacementProblem.vertices`.
    quantizers
        Those of its vertices whose option decides its format: it is quantized if one of them asks for that.
        Empty if it is always float.
    forms
        One per format, in their order, or the first alone if nothing quantizes it; then other
        forms (wires) of the float tensor. All its crossings take the same.
    noise_power
        Format -> noise of quantizing it, counted once; the first is 0.
    inherits
        True if its producer, quantized, hands on its own input's scale (MaxPool, Reshape): then
        quantizing it adds no noise to what its input already has.
    quantize_s, dequantize_s
        Format -> device -> seconds to bring it there from what its producer asks for (float, or a finer
        format), and back into what a consumer asks for.
    leave_s, enter_s
        Format -> device -> seconds that a stage there loses because it ends or begins at this tensor;
        empty if none.
    converts_at_consumer
        True if it always crosses a link as it arose (a compressed image), so that each receiver
        quantizes it for itself.
    """

    name: str
    producer: int
    consumers: tuple[int, ...]
    forms: tuple[WireForm, ...]
    quantizers: tuple[int, ...] = ()
    noise_power: tuple[float, ...] = (0.0,)
    quantize_s: tuple[tuple[float, ...], ...] = ()
    dequantize_s: tuple[tuple[float, ...], ...] = ()
    converts_at_consumer: bool = False
    inherits: bool = False
    leave_s: tuple[tuple[float, ...], ...] = ()
    enter_s: tuple[tuple[float, ...], ...] = ()

    @property
    def formats(self) -> range:
        """The formats in which it can exist."""
        return range(len(self.noise_power) if self.quantizers else 1)

    @property
    def wires(self) -> range:
        """The numbers of the forms that are not simply its format."""
        return range(len(self.noise_power), len(self.forms))
