"""Makes a problem smaller before it is solved: merged units, stage windows, symmetric devices."""
