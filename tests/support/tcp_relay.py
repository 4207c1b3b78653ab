"""A link between two processes that a test can stop, cut, slow down and delay: a TCP relay."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from math import inf

_HERE = "127.0.0.1"
_CHUNK_BYTES = 2048
_BUFFER_BYTES = 4096  # what the system holds for a slow relay would else be a fast link


class TcpRelay:
    """Passes on what comes at `port` to another port here, and back; leaving it ends it.

    Attributes
    ----------
    bytes_per_s, delay_s
        What it lets through forth, and how much later each piece comes; may be changed at any time.
        Bytes back are not throttled.
    forth_bytes, back_bytes
        What has come through so far.
    """

    def __init__(self, target: int, bytes_per_s: float = inf) -> None:
        self._target = target
        self.bytes_per_s, self.delay_s = bytes_per_s, 0.0
        self.forth_bytes = self.back_bytes = 0
        self._listener = socket.socket()
        if bytes_per_s < inf:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._listener.bind((_HERE, 0))
        self._listener.listen()
        self.port: int = self._listener.getsockname()[1]
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
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._sockets += [near, far]
            forth, back = (
                (near, far, self._forth_s, self._count_forth),
                (far, near, _at_once, self._count_back),
            )
            for way in (forth, back):
                thread = threading.Thread(target=self._pass, args=way, daemon=True)
                self._threads.append(thread)
                thread.start()

    def _forth_s(self, size: int) -> float:
        return size / self.bytes_per_s

    def _count_forth(self, size: int) -> None:
        with self._lock:
            self.forth_bytes += size

    def _count_back(self, size: int) -> None:
        with self._lock:
            self.back_bytes += size

    def _pass(
        self,
        source: socket.socket,
        target: socket.socket,
        seconds: Callable[[int], float],
        count: Callable[[int], None],
    ) -> None:
        free_s = time.monotonic()  # when the link has sent what it was given
        with contextlib.suppress(OSError):
            while piece := source.recv(_CHUNK_BYTES):
                free_s = max(free_s, time.monotonic()) + self.delay_s + seconds(len(piece))
                time.sleep(max(0.0, free_s - time.monotonic()))
                self._flows.wait()
                count(len(piece))
                target.sendall(piece)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _at_once(_: int) -> float:
    return 0.0
