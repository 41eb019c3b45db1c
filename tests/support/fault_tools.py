"""What the tests of faults share: a client with the patience of a test, servers of threads, certificates."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trustme
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from crawler import fetch_all
from crawler.models import Record


def fetch(
    urls: Sequence[str], *, per_host: int = 64, retries: int = 0, timeout: float = 2.0, **options: object
) -> list[Record]:
    """fetch_all with the patience of a test."""
    return fetch_all(
        urls,
        per_host=per_host,
        retries=retries,
        timeout=timeout,
        connect_timeout=1.0,
        tls_timeout=1.0,
        headers_timeout=1.0,
        idle_timeout=1.0,
        retry_after_cap=0.0,  # some faults ask the whole host to wait
        max_size=1024 * 1024,
        adaptive=False,
        **options,
    )


def outcome(record: Record) -> str:
    return record.outcome if record.error is None else record.error.code


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/dev/fd").iterdir()))


def eventually(true: object, seconds: float = 2.0) -> bool:
    """Whether something becomes true: another thread may still be closing sockets."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.005)
    return bool(true())  # type: ignore[operator]


def server_context(leaf: trustme.LeafCert) -> DefaultOpenSSLContextFactory:
    with leaf.private_key_pem.tempfile() as key, leaf.cert_chain_pems[0].tempfile() as certificate:
        return DefaultOpenSSLContextFactory(key, certificate)


@contextmanager
def trusted_authority(folder: Path) -> Iterator[trustme.CA]:
    """A certificate authority that this process trusts meanwhile."""
    authority = trustme.CA()
    bundle = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(bundle))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(bundle))
        yield authority


# Servers that do not wait for the request


@contextmanager
def accepting(answer: Callable[[socket.socket], object]) -> Iterator[int]:
    """A port where each connection is given to `answer` in a thread, and then closed."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        open_ = True

        def serve() -> None:
            while True:
                client, _ = server.accept()
                with client:
                    if not open_:
                        return
                    answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            open_ = False
            socket.create_connection(server.getsockname()).close()
            thread.join()


def hang_up_at_once(_: socket.socket) -> None:
    """Close before anything was said."""


def hang_up(client: socket.socket) -> None:
    """Close as soon as the first bytes have come."""
    client.recv(65536)


def hang_up_rudely(client: socket.socket) -> None:
    """Leave bytes unread: the close becomes a reset."""
    client.recv(1)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def banner(client: socket.socket) -> None:
    """Speak first, as mail and SSH servers do, and stay until the client leaves."""
    client.settimeout(2)
    client.sendall(b"220 mail.example ESMTP\r\n")
    with suppress(OSError):
        while client.recv(65536):
            pass


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port whose queue of new connections is full: the system drops every further SYN without a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as stack:
        port: int = server.getsockname()[1]
        for _ in range(16):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.1)
            try:
                waiting.connect(("127.0.0.1", port))
            except TimeoutError:
                yield port
                return
        pytest.skip("this system accepts connections beyond the backlog")
