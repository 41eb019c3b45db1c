"""What goes with the handshake of a WebSocket: headers, cookies, logins; and what its answer sets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from fault_tools import accepting

from crawler.api import fetch_all
from crawler.seeds.asked import Request


class Server:
    """Answers each handshake with 403 and a cookie: what was asked is all that is wanted of it."""

    def __init__(self, port: int, asked: list[dict[str, str]]) -> None:
        self.url = f"ws://127.0.0.1:{port}"
        self.asked = asked


@pytest.fixture
def server() -> Iterator[Server]:
    asked: list[dict[str, str]] = []

    def answer(client: socket.socket) -> None:
        head = client.recv(65536).decode("latin-1")
        lines = head.split("\r\n")[1:]
        asked.append({name.lower(): value for name, _, value in (line.partition(": ") for line in lines)})
        client.sendall(b"HTTP/1.1 403 No\r\nSet-Cookie: a=1; Path=/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    with accepting(answer) as port:
        yield Server(port, asked)


def fetch(server: Server, *urls: object, **options: object) -> list[dict[str, str]]:
    records = fetch_all(urls or [f"{server.url}/chat"], **{"concurrency": 1, "retries": 0, **options})
    assert [record.status for record in records] == [403] * len(records)
    return server.asked


class TestHandshake:
    def test_headers(self, server):
        """The run's and the request's, as of every other URL; those of the handshake are ours."""
        asked = fetch(
            server,
            Request(f"{server.url}/chat", headers={"Origin": "https://a.example", "X-Room": "7"}),
            headers=["X-Key: k", "Sec-WebSocket-Protocol: chat"],
        )
        (fields,) = asked
        assert fields["origin"] == "https://a.example"
        assert (fields["x-room"], fields["x-key"], fields["sec-websocket-protocol"]) == ("7", "k", "chat")
        assert (fields["upgrade"], fields["sec-websocket-version"]) == ("websocket", "13")

    def test_cookies(self, server):
        """A session has no other jar for sockets: what http has set goes with ws, and the other way round."""
        http = server.url.replace("ws:", "http:")
        asked = fetch(server, f"{http}/login", f"{server.url}/chat", f"{http}/page", cookies="run")
        assert [fields.get("cookie") for fields in asked] == [None, "a=1", "a=1"]

    def test_given_cookies(self, server):
        """-b goes to typed sockets."""
        assert fetch(server, cookie="session=1")[0]["cookie"] == "session=1"

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"user": "joe:secret"}, "Basic am9lOnNlY3JldA=="),
            ({"bearer": "t0ken"}, "Bearer t0ken"),
        ],
    )
    def test_logins(self, server, options, expected):
        """-u and --bearer hold for sockets that were typed."""
        assert fetch(server, **options)[0]["authorization"] == expected

    def test_a_login_in_the_url(self, server):
        """As of any other URL."""
        url = server.url.replace("ws://", "ws://joe:secret@")
        assert fetch(server, f"{url}/chat")[0]["authorization"] == "Basic am9lOnNlY3JldA=="
