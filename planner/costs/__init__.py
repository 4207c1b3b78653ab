"""From profiles and noise to the numbers of a placement problem."""
