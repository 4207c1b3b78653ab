"""Which signals ask a run to end."""

import signal


def interrupts() -> tuple[signal.Signals, ...]:
    """Return them; a terminal's hang-up is none of them where `nohup` has it ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
