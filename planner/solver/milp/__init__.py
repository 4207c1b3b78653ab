"""The mixed-integer linear program of a placement problem."""
