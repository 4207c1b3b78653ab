"""Serve this folder's stages: `python serve.py`, until it is told to stop."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
_WAKE_S = 0.5


def main() -> int:
    """Check the folder, open its stages, take requests."""
    options = _arguments()
    try:
        from planner.hosts.on_host.host import Host
        from planner.hosts.on_host.host_manifest import NETWORK, HostManifestError, read_host_manifest
        from planner.hosts.on_host.network import Network
        from planner.hosts.on_host.stage_runtime import (
            StageRuntime,
            open_stages,
            paced_stages,
            version_difference,
        )
    except ImportError as exc:
        print(f"serve.py: {exc}; {sys.executable} -m pip install -r requirements.txt", file=sys.stderr)
        return 1
    logging.basicConfig(level=logging.INFO if options.verbose else logging.WARNING, format="%(message)s")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        manifest = read_host_manifest(_FOLDER)
        stages: Mapping[tuple[int, int], StageRuntime] = {}
        if manifest.runtime is not None:
            difference = version_difference(manifest.runtime)
            if difference is not None and not options.any_version:
                raise HostManifestError(f"{difference}, or start with --any-version")
            stages = open_stages(_FOLDER, manifest.plans, manifest.runtime)
            if options.paced:
                stages = paced_stages(stages, manifest.plans)
        host = Host(manifest, Network(_FOLDER / NETWORK, manifest.deployment, manifest.device), stages)
    except (HostManifestError, OSError) as exc:
        print(f"serve.py: {exc}", file=sys.stderr)
        return 1
    host.start()
    # Whoever reads it may be gone, or the disk full: that keeps no host from serving.
    with contextlib.suppress(OSError):
        count = "1 stage" if len(stages) == 1 else f"{len(stages)} stages"
        print(f"{manifest.device} serves {count} of deployment {manifest.deployment[:12]}", flush=True)
    # A signal that another thread was given is seen when this one wakes.
    while not stop.wait(_WAKE_S):
        pass
    host.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbose", action="store_true", help="tell who comes and goes")
    parser.add_argument(
        "--any-version", action="store_true", help="run with another version of the runtime than was planned"
    )
    parser.add_argument(
        "--paced",
        action="store_true",
        help="take as long as the planned device would, where that is slower (to try a plan on one machine)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    try:
        code = main()
    except Exception:  # noqa: BLE001  whatever it is, the engine's threads would keep the process
        traceback.print_exc()
        code = 1
    if sys.stdout is not None:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    # At once: a stage may still run, and the interpreter would end its thread inside the runtime.
    os._exit(code)
