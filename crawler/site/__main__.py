"""`python -m crawler.site`: serve the loopback site until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.python.failure import Failure

from crawler.site.faults import FAULTS
from crawler.site.pages import PAGES
from crawler.site.server import Site

_PORTS = range(65536)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) not in _PORTS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (allowed: 0 to 65535; 0 takes a free one)")
    return int(text)


def _words(base: str) -> str:
    return "\n".join(
        [
            f"Serving on {base}/ (Ctrl-C stops)",
            f"  {base}/                        the index: {len(PAGES)} good pages, {len(FAULTS)} faults",
            f"  {base}/hello/english.html      greetings in many languages and charsets",
            f"  {base}/p/0.html                2,000 small pages with ten links each",
            f"  {base}/fault/empty-reply       one of the faults",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m crawler.site", description="Serve the built-in loopback site.")
    parser.add_argument(
        "--port", type=_port, default=8080, help="port to listen on; 0 takes a free one (default: 8080)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    options = parser.parse_args(argv)
    from twisted.internet import reactor as default_reactor

    reactor: Any = default_reactor
    problems: list[str] = []

    def listening(port: IListeningPort) -> None:
        address: Any = port.getHost()
        print(_words(f"http://{address.host}:{address.port}"), flush=True)

    def failed(failure: Failure) -> None:
        error = failure.value
        reason = error.socketError if isinstance(error, CannotListenError) else error
        problems.append(f"cannot listen on {options.host}:{options.port}: {reason} (--port 0 takes a free port)")
        reactor.stop()

    site = Site(reactor, keep_log=False)
    reactor.callWhenRunning(
        lambda: site.listen(reactor, host=options.host, port=options.port).addCallbacks(listening, failed)
    )
    reactor.run()
    for problem in problems:
        print(problem, file=sys.stderr)
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
