"""`quantize_static` and what is mended around it; the only door to the quantization tool."""
