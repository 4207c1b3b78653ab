"""What a scenario is planned with: samples, and the prepared, calibrated model."""
