"""How a connection ends."""

import json
import socket

import pytest

pytest.importorskip("zenoh", reason="needs the extra: pip install 'splitquant[hosts]'")

from planner.hosts.endpoints import Endpoint
from planner.hosts.on_host.network import Network
from planner.hosts.zenoh_config import host_config


def test_leaving_a_neighbour_that_neither_answers_nor_hangs_up_is_no_error(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config = host_config("camera", None, [Endpoint("127.0.0.1", mute.getsockname()[1])], 0, None)
        # Longer than the engine takes to close, as it happens by chance where it tries again meanwhile.
        config["transport"]["unicast"] = {"open_timeout": 60_000}
        (tmp_path / "zenoh.json5").write_text(json.dumps(config))
        network = Network(tmp_path / "zenoh.json5", "d", "camera")
        neighbour, _ = mute.accept()
        with neighbour:
            network.close()
