"""client.py: treq over our agent, straight where there is nothing for it to do, and its own way where there is."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from http11_fakes import connected, envelope
from treq.content import content
from twisted.internet.defer import Deferred, succeed
from twisted.web.client import FileBodyProducer
from twisted.web.iweb import IAgent
from zope.interface import implementer

from crawler.fetch.client import Client
from crawler.fetch.http11.envelope import NullJar
from crawler.fetch.http11.response import WireResponse

URL = "http://a.example:8080/x"


@implementer(IAgent)
class SpyAgent:
    """Remembers what it is asked for, and answers with a given response."""

    def __init__(self, response: Any = None) -> None:
        self.asked: list[tuple[bytes, bytes, Any, Any]] = []
        self.response = response

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        self.asked.append((method, uri, headers, bodyProducer))
        return succeed(self.response)


def result_of(deferred: Deferred[Any]) -> Any:
    results: list[Any] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


def answer(data: bytes) -> WireResponse:
    """The response of our own connection to these bytes."""
    connection, _ = connected()
    sent = connection.send(envelope())
    connection.dataReceived(data)
    response: WireResponse = result_of(sent)
    return response


def test_a_plain_request_goes_straight_to_the_agent():
    """Nothing is wrapped: the agent gets the envelope, and its Deferred with its response is what comes back."""
    agent = SpyAgent(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    sent = envelope()
    asking = Client(agent).request("GET", URL, headers=sent)
    ((_, _, headers, body),) = agent.asked
    assert headers is sent
    assert body is None
    assert result_of(asking) is agent.response


class TestThroughTreq:
    """The same through treq's machinery, which any option of its own asks for: it has nothing to do."""

    def fetch(self, data: bytes) -> tuple[Any, SpyAgent]:
        agent = SpyAgent(answer(data))
        self.envelope = envelope()
        asked = Client(agent).request("GET", URL, headers=self.envelope, reactor=object())
        return result_of(asked), agent

    def test_envelope_goes_through_untouched(self):
        """The agent gets the same object, with the head as it was written."""
        _, agent = self.fetch(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        ((method, uri, headers, body),) = agent.asked
        assert headers is self.envelope
        assert (method, uri, body) == (b"GET", URL.encode(), None)
        assert headers.head == b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"

    def test_response_comes_through(self):
        """Status, headers and body are those of the wire; `original` is our own response."""
        response, agent = self.fetch(b"HTTP/1.1 404 -\r\nX: a\r\nx: b\r\nContent-Length: 5\r\n\r\nhello")
        assert (response.code, response.length) == (404, 5)
        assert response.headers.getRawHeaders("x") == ["a", "b"]
        assert response.original is agent.response
        assert result_of(content(response)) == b"hello"

    def test_nothing_is_decoded(self):
        """treq would undo gzip without any limit: it does not get to see the header; whoever reads `fields` does."""
        data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
        response, _ = self.fetch(data)
        assert result_of(content(response)) == b"hello"
        assert (b"Content-Encoding", b"gzip") in response.original.fields

    def test_cookies_are_nobodys_business(self):
        """A cookie of any bytes neither fails the response nor is kept (row 56)."""
        response, _ = self.fetch(
            "HTTP/1.1 200 OK\r\nSet-Cookie: city=Köln; Path=/\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert response.code == 200
        assert list(NullJar()) == []

    def test_a_redirect_is_not_followed(self):
        """It is a hop, which goes back through the frontier."""
        response, agent = self.fetch(b"HTTP/1.1 302 -\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")
        assert response.code == 302
        assert len(agent.asked) == 1


@pytest.mark.parametrize(
    ("options", "kind", "size"),
    [
        ({"data": b"hello"}, None, 5),
        ({"data": {"a": "1", "b": "2"}}, b"application/x-www-form-urlencoded", 7),
        ({"json": {"a": 1}}, b"application/json; charset=UTF-8", 7),
        ({"files": {"f": ("x.txt", "text/plain", b"hello")}}, b"multipart/form-data", None),
    ],
    ids=["body", "form", "json", "files"],
)
def test_bodies_are_treqs(options, kind, size):
    """It makes the producer and the Content-Type, for those who have headers of Twisted's kind."""
    agent = SpyAgent(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    if "files" in options:
        name, media, data = options["files"]["f"]
        options = {"files": {"f": (name, media, FileBodyProducer(BytesIO(data)))}}
    result_of(Client(agent).request("POST", URL, reactor=object(), **options))
    ((method, uri, headers, body),) = agent.asked
    assert (method, uri) == (b"POST", URL.encode())
    found = headers.getRawHeaders(b"content-type")
    assert (found and found[0].partition(b"; boundary")[0]) == kind
    if size is not None:
        assert body.length == size
