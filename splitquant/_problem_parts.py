"""What a placement problem is made of, under the names of PROBLEM.json; numbers are SI.

Sequences may be lists or tuples. A part is checked once it is in a `Problem`.
"""

from collections.abc import Mapping, Sequence

import msgspec


class _Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of the parts: a value whose defaults are those of PROBLEM.json."""


class Device(_Part, frozen=True):
    """A place to compute, or one that only forwards: then no unit has an option there.

    Parameters
    ----------
    start_s
        Seconds of its stage besides its units, once a request.
    active_w, idle_w
        Watts while it computes, and during the rest of a request.
    price_per_s
        Money per second of computing.
    transfers_block
        Whether transfers count in its load (period), and in its stages (makespan).
    visits
        How many stages it may run per request; None: any number, its units in any order (makespan: at once).

    Examples
    --------
    >>> Device("camera", active_w=3.0, idle_w=1.0).active_w
    3.0
    """

    name: str
    start_s: float = 0.0
    active_w: float = 0.0
    idle_w: float = 0.0
    price_per_s: float = 0.0
    transfers_block: bool = False
    visits: int | None = 1


class Link(_Part, frozen=True, rename={"source": "from", "target": "to"}):
    """A one-way link between devices; a message takes message_s + bytes / bytes_per_s.

    Parameters
    ----------
    source, target
        Devices; `from` and `to` in PROBLEM.json.
    name
        Default: FROM-TO.
    bytes_per_s
        None: bytes take no time.
    """

    source: str
    target: str
    name: str | None = None
    bytes_per_s: float | None = None
    message_s: float = 0.0
    send_j_per_byte: float = 0.0
    send_j_per_message: float = 0.0
    receive_j_per_byte: float = 0.0
    receive_j_per_message: float = 0.0
    price_per_byte: float = 0.0


class End(_Part, frozen=True):
    """A fixed place where tensors arise or are due: a sensor, a screen.

    Parameters
    ----------
    model
        One of the problem's models, where there are several.
    """

    name: str
    device: str
    model: str | None = None


class Option(_Part, frozen=True):
    """One way to run a unit.

    Parameters
    ----------
    noise_power
        Of its weights, relative to the outputs' power.
    activation_bytes
        Its inputs and outputs while it runs.
    joules
        Beyond the device's watts.
    """

    device: str
    seconds: float
    precision: str = "fp32"
    noise_power: float = 0.0
    weight_bytes: float = 0.0
    activation_bytes: float = 0.0
    joules: float = 0.0


class Unit(_Part, frozen=True):
    """What is placed as a whole, and its options."""

    name: str
    options: Sequence[Option]
    model: str | None = None


class QuantizedTensor(_Part, frozen=True):
    """A tensor in a quantized format.

    Parameters
    ----------
    noise_power
        Counted once, however many units quantize it.
    quantize_s, dequantize_s
        Device -> seconds from float, and back.
    """

    bytes: float
    noise_power: float = 0.0
    quantize_s: Mapping[str, float] = {}
    dequantize_s: Mapping[str, float] = {}


class Wire(_Part, frozen=True):
    """Another form in which the float tensor may cross links.

    Parameters
    ----------
    encode_s, decode_s
        Device -> seconds before sending, and after receiving.
    """

    name: str
    bytes: float
    noise_power: float = 0.0
    encode_s: Mapping[str, float] = {}
    decode_s: Mapping[str, float] = {}


class Tensor(_Part, frozen=True, rename={"source": "from", "targets": "to"}):
    """What one unit or end writes and others read.

    Parameters
    ----------
    source, targets
        Units and ends; `from` and `to` in PROBLEM.json.
    bytes
        In float.
    quantized_by
        Units that quantize it if they compute so.
    formats
        Format -> the tensor in it.
    inherits
        Whether its unit, quantized, hands on its input's scale.
    private
        Whether it may not leave the device on which it arises.
    as_it_arose
        Whether it crosses links as it arose; receivers quantize it.
    leave_s, enter_s
        Device -> seconds of a stage that ends, or begins, here.
    """

    name: str
    source: str
    targets: Sequence[str]
    bytes: float
    quantized_by: Sequence[str] = ()
    formats: Mapping[str, QuantizedTensor] = {}
    inherits: bool = False
    wires: Sequence[Wire] = ()
    private: bool = False
    as_it_arose: bool = False
    leave_s: Mapping[str, float] = {}
    enter_s: Mapping[str, float] = {}


class Format(_Part, frozen=True):
    """A quantized format of tensors.

    Parameters
    ----------
    suits
        Coarser formats with which its units are content, too.
    """

    name: str
    suits: Sequence[str] = ()


class ModelRate(_Part, frozen=True):
    """One of several models that are placed together, and how often it is asked.

    Parameters
    ----------
    requests_per_s
        Of all models or none: then no device or link may be asked for more than it can do.
    weight
        Its requests beside the others'; default: 1.
    """

    name: str
    requests_per_s: float | None = None
    weight: float | None = None


class Limit(_Part, frozen=True):
    """A budget.

    Parameters
    ----------
    measure
        latency, makespan, period (seconds), energy (joules), memory, traffic (bytes), noise or money.
    of
        A device (energy, memory) or link (traffic); None: of all.
    model
        Of one model's requests (latency, makespan, noise); None: the mean over all requests.
    """

    measure: str
    at_most: float
    of: str | None = None
    model: str | None = None


class Term(_Part, frozen=True):
    """A part of the objective: weight times what a `Limit` names so."""

    measure: str
    weight: float = 1.0
    of: str | None = None
    model: str | None = None


class SolverOptions(_Part, frozen=True):
    """How a problem is solved.

    Parameters
    ----------
    name
        highs, cbc, or gurobi, cplex, scip where they are installed.
    time_limit_s
        For the answer, or for why there is none.
    gap
        Stop when the answer is within this fraction of the best.
    """

    name: str = "highs"
    time_limit_s: float = 60.0
    gap: float = 1e-6
