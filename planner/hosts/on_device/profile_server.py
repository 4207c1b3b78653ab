"""Runs on a device, in a bundle: measures it when asked over the network, until it is told to stop.

    python3 profile_server.py

It needs Python 3.9, NumPy, zenoh and the runtime of the bundle's models. Nothing that it runs
comes from the network: only the `measure.py` beside it, with the rounds and threads that were asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import threading
from pathlib import Path

_CHECK_S = 1.0


def main(folder: Path) -> int:
    """Check the bundle, listen, answer."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        from planner.hosts.on_device.profile_requests import ProfileRequests, check_bundle, read_order
        from planner.hosts.on_host.host_manifest import NETWORK, HostManifestError
        from planner.hosts.on_host.network import Network
    except ImportError as exc:
        return _tell(f"{exc}; python3 -m pip install eclipse-zenoh numpy (measure.py runs without zenoh)")
    from planner.hosts.on_device.profile_messages import PROFILES

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        order = read_order(folder)
        check_bundle(folder, order)
        requests = ProfileRequests(folder)
        network = Network(folder / NETWORK, PROFILES, order["device"])
    except (HostManifestError, OSError) as exc:
        return _tell(str(exc))
    network.serve(requests.take)
    with contextlib.suppress(OSError):
        print(f"{order['device']} serves its bundle to plan profile --host", flush=True)
    while not stop.wait(_CHECK_S):
        requests.end_abandoned()
    requests.close()
    network.close()
    return 0


def _tell(text: str) -> int:
    print(f"profile_server.py: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    BUNDLE = Path(__file__).resolve().parent
    sys.path.insert(0, str(BUNDLE))  # before another version that may be installed, and under -I and -P too
    sys.dont_write_bytecode = True  # a bundle with files that are not its own is never replaced
    sys.exit(main(BUNDLE))
