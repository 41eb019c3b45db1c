"""Folders answer in place of servers: pages with their bytes, all other files with the word that they are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import readBody
from twisted.web.iweb import IAgent
from zope.interface import implementer

from crawler.errors import CodedError
from crawler.fetch.disk.agent import FolderAgent
from crawler.fetch.disk.folders import Folder, Folders
from crawler.fetch.http11.envelope import Envelope, Key, Trace

BIG = b"<p>" + b"x" * 3_000_000


@implementer(IAgent)
class Net:
    """The other agent."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        self.asked.append(uri)
        return succeed("from the net")


class FolderAgentTests(SynchronousTestCase):
    @pytest.fixture(autouse=True)
    def make(self, tmp_path: Path) -> None:
        self.folder = tmp_path
        (self.folder / "sub").mkdir()
        (self.folder / "page.html").write_bytes(BIG)
        (self.folder / "photo.png").write_bytes(b"\x89PNG")
        (self.folder / "notes.md").write_text("# Notes")
        self.clock = Clock()
        self.net = Net()
        folders = Folders([Folder(str(self.folder.resolve()), "http://example.org/docs/")])
        self.agent = FolderAgent(folders, self.net, self.clock)

    def ask(self, target: str, method: str = "GET", host: str = "example.org") -> Any:
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        envelope = Envelope(Key("http", host, 80, public_only=True), method, head, Trace(0))
        return self.successResultOf(self.agent.request(method.encode(), f"http://{host}{target}".encode(), envelope))

    def body(self, response: Any) -> bytes:
        reading = readBody(response)
        self.clock.pump([0] * 50)
        body: bytes = self.successResultOf(reading)
        return body

    def test_a_page(self) -> None:
        """With its type, in turns where it is large."""
        response = self.ask("/docs/page.html")
        assert response.code == 200
        assert response.headers.getRawHeaders("content-type") == ["text/html"]
        reading = readBody(response)
        self.assertNoResult(reading)  # others have their turn
        self.clock.pump([0] * 5)
        assert self.successResultOf(reading) == BIG
        response = self.ask("/docs/notes.md")
        assert response.headers.getRawHeaders("content-type") == ["text/markdown; charset=utf-8"]
        assert self.body(response) == b"# Notes"

    def test_not_read(self) -> None:
        """What has no links is not read, nor what is asked for its head alone."""
        assert self.body(self.ask("/docs/photo.png")) == b""
        assert self.body(self.ask("/docs/page.html", "HEAD")) == b""

    def test_given_up(self) -> None:
        """Its file is closed (an open one is a warning, which fails this test)."""
        self.ask("/docs/page.html").abort()
        readBody(self.ask("/docs/page.html")).addErrback(lambda _: None).cancel()

    def test_missing(self) -> None:
        for target, code in (("/docs/gone.html", "file_missing"), ("/docs/sub/", "folder_without_index")):
            with pytest.raises(CodedError) as caught:
                self.ask_failing(target)
            assert caught.value.code == code

    def ask_failing(self, target: str) -> None:
        envelope = Envelope(
            Key("http", "example.org", 80, public_only=True), "GET", f"GET {target} HTTP/1.1".encode(), Trace(0)
        )
        self.failureResultOf(self.agent.request(b"GET", target.encode(), envelope)).raiseException()

    def test_everything_else_is_asked_of_the_net(self) -> None:
        assert self.ask("/elsewhere") == "from the net"
        assert self.ask("/docs/page.html", host="other.example") == "from the net"
        assert self.net.asked == [b"http://example.org/elsewhere", b"http://other.example/docs/page.html"]
