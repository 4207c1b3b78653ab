"""What TensorFlow's and Keras' exceptions say, in one line."""


def first_line(exc: BaseException) -> str:
    """Return the first line that says something, without the frames that frameworks put around it."""
    lines = [line.strip() for line in str(exc).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Traceback", "File ", "~", "^"))]
    return (said[0] if said else type(exc).__name__).rstrip(".:")
