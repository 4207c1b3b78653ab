"""A link between two processes that a test can stop, cut, slow down and delay: a TCP relay."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

_HERE = "127.0.0.1"
_CHUNK_BYTES, _POLL_S = 16384, 0.02


class TcpRelay:
    """Passes on what comes at `port` to another port here, and back; leaving it ends it.

    Attributes
    ----------
    bytes_per_s, delay_s
        What it lets through, and how much later; may be changed at any time.
    forth_bytes, back_bytes
        What has come through so far.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.bytes_per_s, self.delay_s = float("inf"), 0.0
        self.forth_bytes = self.back_bytes = 0
        self._listener = socket.create_server((_HERE, 0))
        self.port = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._is_cut = self._is_closed = False
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> "TcpRelay":
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self._flows.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._drop()
        for thread in self._threads:
            thread.join(5)

    def stall(self) -> None:
        """Let nothing through; both ends believe that they are connected."""
        self._flows.clear()

    def cut(self) -> None:
        """End all connections, and refuse new ones."""
        self._is_cut = True
        self._drop()

    def mend(self) -> None:
        """Let everything through again."""
        self._is_cut = False
        self._flows.set()

    def _drop(self) -> None:
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._is_cut:
                    raise ConnectionRefusedError
                far = socket.create_connection((_HERE, self._target), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._sockets += [near, far]
            for ends in ((near, far, self._count_forth), (far, near, self._count_back)):
                thread = threading.Thread(target=self._pass, args=ends, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _count_forth(self, size: int) -> None:
        with self._lock:
            self.forth_bytes += size

    def _count_back(self, size: int) -> None:
        with self._lock:
            self.back_bytes += size

    def _pass(self, source: socket.socket, target: socket.socket, count: Callable[[int], None]) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(_CHUNK_BYTES):
                time.sleep(self.delay_s + len(piece) / self.bytes_per_s)
                self._flows.wait()
                count(len(piece))
                target.sendall(piece)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
