"""Archives, read by warcio: what somebody else makes of what is written here."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker


class Record(NamedTuple):
    kind: str
    url: str | None
    headers: dict[str, str]
    block: bytes


def records(path: Path) -> list[Record]:
    """All of them, with what is in their blocks as it is there."""
    found = []
    with path.open("rb") as stream:
        for record in ArchiveIterator(stream, no_record_parse=True, verify_http=False):
            headers = {name.lower(): value for name, value in record.rec_headers.headers}
            found.append(Record(record.rec_type, headers.get("warc-target-uri"), headers, record.raw_stream.read()))
    return found


def of_kind(path: Path, *kinds: str) -> list[Record]:
    return [record for record in records(path) if record.kind in kinds]


def check(path: Path) -> None:
    """What `warcio check` does, which must find nothing."""

    class Command:
        inputs = (str(path),)
        verbose = False

    checker = Checker(Command())
    checker.process_all()
    assert checker.exit_value == 0, path


def payload(path: Path, offset: int) -> bytes:
    """The body that warcio reads at a place, without chunks and codings."""
    with path.open("rb") as stream:
        stream.seek(offset)
        return next(iter(ArchiveIterator(io.BytesIO(stream.read())))).content_stream().read()


@contextmanager
def serving(bodies: Mapping[str, bytes]) -> Iterator[str]:
    """A server with these bodies, by their paths."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = bodies[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.server_address[1]}"
        finally:
            listening.shutdown()
            thread.join()
