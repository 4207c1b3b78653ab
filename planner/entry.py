"""Where the command begins: an interrupt is answered even while libraries are still loading."""

import sys


def main() -> None:
    """Load the command line and run it."""
    try:
        from planner.cli import main as run
    except (KeyboardInterrupt, ImportError) as exc:
        # Some libraries turn an interrupt during their import into an ImportError.
        if isinstance(exc, ImportError) and not isinstance(exc.__context__, KeyboardInterrupt):
            raise
        print("interrupted", file=sys.stderr)  # noqa: T201
        sys.exit(130)
    run()
