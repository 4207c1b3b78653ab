"""A TCP relay on loopback that lets bytes through at a bounded rate, as a slow link does."""

import contextlib
import socket
import threading
import time

_CHUNK_BYTES = 2048
_BUFFER_BYTES = 4096  # what the system holds for the relay would else be a fast link


class ThrottledRelay:
    """Takes connections on a free port and relays them; `bytes_per_s` of bytes forth may change at any time.

    Bytes back are not throttled.
    """

    def __init__(self, target_port: int, bytes_per_s: float) -> None:
        self.bytes_per_s, self._target_port = bytes_per_s, target_port
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
        self._sockets = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut every connection and take no more."""
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port))
            except OSError:  # it does not listen yet
                near.close()
                continue
            self._sockets += [near, far]
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._forth, args=(near, far), daemon=True).start()
            threading.Thread(target=self._back, args=(far, near), daemon=True).start()

    def _forth(self, near: socket.socket, far: socket.socket) -> None:
        free_s = time.monotonic()  # when the link has sent what it was given
        while data := _received(near):
            free_s = max(free_s, time.monotonic()) + len(data) / self.bytes_per_s
            time.sleep(max(0.0, free_s - time.monotonic()))
            if not _sent(far, data):
                return

    def _back(self, far: socket.socket, near: socket.socket) -> None:
        while data := _received(far):
            if not _sent(near, data):
                return


def _received(one: socket.socket) -> bytes:
    try:
        return one.recv(_CHUNK_BYTES)
    except OSError:
        return b""


def _sent(one: socket.socket, data: bytes) -> bool:
    try:
        one.sendall(data)
    except OSError:
        return False
    return True
