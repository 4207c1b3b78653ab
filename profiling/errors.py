"""What can go wrong while a model is read, quantized or measured.

SplitquantError         also the base of `planner.errors.PlannerError`
└── ProfilingError
    ├── ModelError      the model file cannot be read, is invalid, or is not supported
    ├── QuantizeError   the runtime's quantization tool cannot do what was asked
    └── ProfileError    a profile file is unreadable or belongs to another model
"""

from collections.abc import Iterator
from contextlib import contextmanager


class SplitquantError(Exception):
    """Base of every error that this tool raises on purpose; each argument is a line for the user."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class ProfilingError(SplitquantError):
    """Base of every error that `profiling` raises on purpose."""


class ModelError(ProfilingError):
    """The model file cannot be read, is invalid, or is not supported."""


class QuantizeError(ProfilingError):
    """The runtime's quantization tool cannot do what was asked."""


class ProfileError(ProfilingError):
    """A profile file is unreadable, or was made for something else."""


@contextmanager
def naming_runtime_errors() -> Iterator[None]:
    """Raise what ONNX Runtime raises in the block as a ModelError: its own share no public base class."""
    try:
        yield
    except Exception as exc:
        if not type(exc).__module__.startswith("onnxruntime"):
            raise
        raise ModelError(f"ONNX Runtime fails on this model and data: {exc}") from exc
