"""Units, and the options of each: where and in which precision it can run."""

from dataclasses import dataclass

from planner.problem.tensors import FLOAT


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a unit.

    Parameters
    ----------
    device, format
        Indices into the problem's devices, and into its formats: that of the tensors which the unit asks for.
    precision
        What the user calls it.
    seconds, noise_power, joules
        What the unit itself costs; joules beyond the device's watts.
    weight_bytes, activation_bytes
        Weights held on the device, and the unit's inputs and outputs while it runs.
    """

    device: int
    format: int = FLOAT
    seconds: float = 0.0
    noise_power: float = 0.0
    weight_bytes: float = 0
    activation_bytes: float = 0
    precision: str = "fp32"
    joules: float = 0.0

    @property
    def quantized(self) -> bool:
        """Whether it asks for quantized tensors."""
        return self.format != FLOAT


@dataclass(frozen=True, slots=True)
class Vertex:
    """A unit, or the fixed place where an input arises or an output is due.

    Parameters
    ----------
    is_terminal
        True for the source and the sink: they compute nothing and belong to no stage.
    kernel_forced
        True if the runtime computes it in integers wherever all the tensors that it would quantize are
        quantized, even if it does not ask for that (formulation.md, family absorb).
    coupled_with
        Vertices that have to ask for the same format on the same device if this one asks for one that the
        runtime has integer kernels for (formulation.md, family within).
    model
        The model of which it is a part.
    """

    name: str
    options: tuple[Option, ...]
    is_terminal: bool = False
    kernel_forced: bool = False
    coupled_with: tuple[int, ...] = ()
    model: int = 0
