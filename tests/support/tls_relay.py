"""TLS in front of a server that speaks none, as stunnel gives it: in threads of this process, on a free port."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from real_peers import authority


@contextmanager
def tls_relay(to: int, host: str = "127.0.0.1") -> Iterator[int]:
    """What is sent to the port that is given goes on to the port `to`, and back; the certificate is that of all peers."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority().server)
    with socket.create_server((host, 0)) as listening:
        thread = threading.Thread(target=_serve, args=(listening, context, to), daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _serve(listening: socket.socket, context: ssl.SSLContext, to: int) -> None:
    with suppress(OSError):
        while True:
            raw, _ = listening.accept()
            threading.Thread(target=_relay, args=(raw, context, to), daemon=True).start()


def _relay(raw: socket.socket, context: ssl.SSLContext, to: int) -> None:
    with (
        raw,
        suppress(OSError),
        context.wrap_socket(raw, server_side=True) as client,
        socket.create_connection(("127.0.0.1", to)) as server,
    ):
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join(10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
