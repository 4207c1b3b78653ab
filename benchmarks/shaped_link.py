"""A link between two network namespaces with a rate of its own each way: a TCP relay with one foot in each.

A kernel's token bucket wakes some 0.2 ms late on a virtual machine and loses what it could have sent
meanwhile, unless its bucket is so large that small tensors pass for nothing. A relay knows when the last
byte of each piece has to leave, so its delays do not add up.
"""

import contextlib
import ctypes
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

_OWN, _NAMESPACES = Path("/proc/thread-self/ns/net"), Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_PIECE_BYTES, _CONNECT_S, _END_S = 2**14, 5.0, 5.0


class ShapedLink:
    """Passes on connections to an address of one namespace from the same address in another; leaving ends it.

    Parameters
    ----------
    near, far
        The namespaces: who connects, and who listens.
    address, port
        Where `far` listens, and where `near` finds it.
    """

    def __init__(self, near: str, far: str, address: str, port: int) -> None:
        self._far, self._to = far, (address, port)
        self._forth, self._back = _Direction(), _Direction()
        self._lock, self._is_over = threading.Lock(), False
        self._sockets: list[socket.socket] = []
        with _inside(near):
            self._listener = socket.create_server(self._to)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> "ShapedLink":
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._is_over = True
            for one in (self._listener, *self._sockets):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(_END_S)
        self._listener.close()

    def shape(self, mbit_per_s: float) -> None:
        """Set the rate of both directions, for what comes from now on."""
        self._forth.bytes_per_s = self._back.bytes_per_s = mbit_per_s * 1e6 / 8

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                with _inside(self._far):
                    far = socket.create_connection(self._to, timeout=_CONNECT_S)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                if self._is_over:
                    near.close()
                    far.close()
                    return
                self._sockets += [near, far]
                for way in ((near, far, self._forth), (far, near, self._back)):
                    thread = threading.Thread(target=_pass, args=way, daemon=True)
                    self._threads.append(thread)
                    thread.start()


class _Direction:
    """When the last byte of each piece leaves; its connections take turns."""

    def __init__(self) -> None:
        self.bytes_per_s = float("inf")
        self._free_s, self._lock = 0.0, threading.Lock()

    def leaves_s(self, size_bytes: int, came_s: float) -> float:
        """Return when a piece that came at a time has left, by `time.monotonic()`."""
        with self._lock:
            self._free_s = max(came_s, self._free_s) + size_bytes / self.bytes_per_s
            return self._free_s


def _pass(source: socket.socket, target: socket.socket, direction: _Direction) -> None:
    """Pass on what one socket gives until it ends, and end both."""
    with contextlib.suppress(OSError):
        while True:
            try:
                # What waits here came while the piece before was on its way, whose end may be noticed late.
                piece, came_s = source.recv(_PIECE_BYTES, socket.MSG_DONTWAIT), 0.0
            except BlockingIOError:
                piece, came_s = source.recv(_PIECE_BYTES), time.monotonic()
            if not piece:
                break
            time.sleep(max(0.0, direction.leaves_s(len(piece), came_s) - time.monotonic()))
            target.sendall(piece)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Let this thread's new sockets belong to a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with _OWN.open() as own, (_NAMESPACES / namespace).open() as other:
        _enter(libc, other.fileno())
        try:
            yield
        finally:
            _enter(libc, own.fileno())


def _enter(libc: ctypes.CDLL, descriptor: int) -> None:
    if libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
