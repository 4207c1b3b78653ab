"""What can go wrong while a model is read, quantized or measured.

ProfilingError
├── ModelError      the model file cannot be read, is invalid, or is not supported
├── QuantizeError   ONNX Runtime's quantization tool cannot do what was asked
└── ProfileError    a profile file is unreadable or belongs to another model
"""


class ProfilingError(Exception):
    """Base of every error that `profiling` raises on purpose."""


class ModelError(ProfilingError):
    """The model file cannot be read, is invalid, or is not supported."""


class QuantizeError(ProfilingError):
    """ONNX Runtime's quantization tool cannot do what was asked."""


class ProfileError(ProfilingError):
    """A profile file is unreadable, or was made for something else."""
