"""From a source model to one that can be quantized, with the same numbers."""
