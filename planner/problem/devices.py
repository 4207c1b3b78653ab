"""Where units run, and what carries tensors between them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """A place to compute.

    Parameters
    ----------
    start_s
        Seconds that a stage takes besides its units, once a request. Changing a tensor's format at the source
        or the sink is a stage, too.
    active_w, idle_w
        Watts while it computes, and during the rest of a request.
    price_per_s
        Money per second of computing.
    transfers_block
        Whether sending and receiving keep it from computing: then they count in its load, and in its stages.
    contiguous
        Whether its units make one stage: a path that left it may not come back. If not, each of its units
        may run beside the others.
    visit_of
        The device of which this is another visit, with its memory and its load; None if it is a device.
    model
        The model whose stage it runs; another model's stage there is another visit of the device.
    """

    name: str
    start_s: float = 0.0
    active_w: float = 0.0
    idle_w: float = 0.0
    price_per_s: float = 0.0
    transfers_block: bool = False
    contiguous: bool = True
    visit_of: int | None = None
    model: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A one-way connection of two devices."""

    name: str
    source: int
    target: int
    price_per_byte: float = 0.0
