"""Which operators compute on integers: ONNX's own, and those that ONNX Runtime fuses or offers besides."""

# MatMulNBits, QMoE and the like only keep their weights in integers.
_PREFIXES = (
    "DynamicQuantizeLSTM",
    "DynamicQuantizeMatMul",
    "QAttention",
    "QEmbedLayerNormalization",
    "QGemm",
    "QLinear",
    "QOrdered",
)


def is_integer_operator(op_type: str) -> bool:
    """Return whether an operator computes on integers; one that only changes the format does not.

    Examples
    --------
    >>> is_integer_operator("QLinearConv"), is_integer_operator("MatMulIntegerToFloat")
    (True, True)
    >>> is_integer_operator("QuantizeLinear"), is_integer_operator("Conv")
    (False, False)
    """
    return op_type.startswith(_PREFIXES) or "Integer" in op_type
