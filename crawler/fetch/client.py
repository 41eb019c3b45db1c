"""treq's client over our agent: plain requests go straight down, all others through treq's machinery."""

from __future__ import annotations

from typing import Any

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.web.iweb import IAgent

from crawler.fetch.http11.envelope import Envelope, NullJar


class Client(HTTPClient):
    """An HTTPClient that wraps a request only where that does something: measured, that was a quarter of a list's time.

    treq puts a cookie agent, a redirect agent and a decoder around the agent for each request, and an object around
    each response. An Envelope is past all that: its head is written, redirects are hops, bodies are decoded in fetch.
    With parameters, a body, a form, files or a login it is treq's to make the request; it gets no cookies, follows
    nothing and holds no body back.
    """

    def __init__(self, agent: IAgent) -> None:
        super().__init__(agent, NullJar())

    def request(self, method: str, url: Any, *, headers: Any = None, **options: Any) -> Deferred[Any]:
        """As `HTTPClient.request`; of an Envelope without options the response is that of the agent."""
        if not options and isinstance(headers, Envelope):
            answer: Deferred[Any] = self._agent.request(b"GET", b"", headers)
            return answer
        ours: dict[str, Any] = {"cookies": self._cookiejar, "allow_redirects": False, "unbuffered": True}
        return super().request(method, url, headers=headers, **ours | options)
