"""Which signals ask a run to end."""

import signal


def interrupts() -> tuple[signal.Signals, ...]:
    """Return them; a terminal's hang-up is none of them where `nohup` has it ignored."""
    always = (signal.SIGINT, signal.SIGTERM)
    if not hasattr(signal, "SIGHUP"):  # Windows
        return always
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return always if ignored else (*always, signal.SIGHUP)
