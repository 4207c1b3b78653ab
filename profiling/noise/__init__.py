"""Noise per tensor and unit, and units that quantization breaks."""
