"""httpbin in a process of its own: Twisted's WSGI server, over http and https, on free ports of the loopback.

Usage: httpbin_server.py SERVER.pem, a file with a key and its certificates. Prints the two ports as JSON, and serves
until its standard input ends.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from httpbin import app
from twisted.internet import ssl
from twisted.web.server import Site
from twisted.web.wsgi import WSGIResource

AT_ONCE = 32  # some of its pages wait


def main(certificate: str) -> None:
    from twisted.internet import reactor

    reactor.suggestThreadPoolSize(AT_ONCE)
    site = Site(WSGIResource(reactor, reactor.getThreadPool(), _in_bytes))
    tls = ssl.DefaultOpenSSLContextFactory(certificate, certificate)
    ports = (
        reactor.listenTCP(0, site, interface="127.0.0.1"),
        reactor.listenSSL(0, site, tls, interface="127.0.0.1"),
    )
    print(json.dumps([port.getHost().port for port in ports]), flush=True)
    threading.Thread(target=_end_with_input, daemon=True).start()
    reactor.run()


def _in_bytes(environ: Any, start: Any) -> Iterator[bytes]:
    """Some of its answers are bytearrays, which Twisted does not take."""
    with closing(app(environ, start)) as pieces:
        yield from map(bytes, pieces)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)  # a page that still waits for its turn to write would be waited for


if __name__ == "__main__":
    main(sys.argv[1])
