"""What is asked for beside a URL, as a job keeps it: without what lets its bearer in. Pure.

The folder of a job may be copied, packed and shown around. So user names and passwords of URLs, and the values of
headers that are credentials, are not in it. A run that goes on knows where there were some: it learns those of the
inputs anew, by reading them, and does not send any other request without what belongs to it.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from crawler.models import Ask, Request
from crawler.redaction import is_credential
from crawler.seeds.inputs import BadLine, Seed

WITHHELD: Final = "*"
"""The userinfo of a URL whose own is not known."""
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Ask).decode


def has_credentials(ask: Ask) -> bool:
    return any(is_credential(name) for name, _ in ask.headers)


def text_of(what: Request | BadLine) -> str | None:
    """What a job keeps of an input beside its URL, as JSON; None if that is nothing."""
    if isinstance(what, BadLine):
        return None if what.meta is None else _text(Ask(meta=what.meta))
    return None if what.ask is None else _text(what.ask)


def _text(ask: Ask) -> str:
    if has_credentials(ask):
        kept = tuple((name, value) for name, value in ask.headers if not is_credential(name))
        withheld = tuple(name for name, _ in ask.headers if is_credential(name))
        ask = replace(ask, headers=kept, withheld=withheld)
    return _encode(ask).decode()


def ask_of(text: str | None) -> Ask | None:
    """What `text_of` gave. Raises msgspec's errors for other text."""
    return None if text is None else _decode(text)


def meta_of(text: str | None) -> Any:
    """The meta of a bad line."""
    return None if text is None else _decode(text).meta


class Secrets:
    """The credentials that a job does not keep: of inputs that were read again, and of what waits in the store.

    Held are those of inputs that still wait, however many have been read: `want` says which these are.
    """

    def __init__(self) -> None:
        self._wanted: dict[bytes, list[int]] = {}
        self._logins: dict[int, str] = {}
        self._headers: dict[int, tuple[tuple[str, str], ...]] = {}
        self._waiting: dict[int, tuple[str, Ask | None]] = {}

    def want(self, number: int, href: str, ask: Ask | None) -> None:
        """An input waits, and something was withheld of it."""
        self._wanted.setdefault(_name(href, ask), []).append(number)

    def learn(self, seed: Seed) -> None:
        """An input was read once more. Of two that are the same the first one's credentials count."""
        if not self._wanted:
            return
        for number in self._wanted.get(_name(seed.url.href, seed.ask), ()):
            if seed.url.userinfo:
                self._logins.setdefault(number, seed.url.userinfo)
            if seed.ask is not None and has_credentials(seed.ask):
                self._headers.setdefault(number, seed.ask.headers)

    def remember(self, request: Request) -> None:
        """A request is written now, to be read again in this run."""
        if request.url.userinfo or (request.ask is not None and has_credentials(request.ask)):
            self._waiting[request.id] = (request.url.userinfo, request.ask)

    def forget(self, request: Request) -> None:
        """It was not read, for it is still there as it was."""
        self._waiting.pop(request.id, None)

    def whole(self, request: Request) -> Request:
        """The request as it was before it was written; what is not known any more is named in its Ask."""
        url, ask = request.url, request.ask
        kept = self._waiting.pop(request.id, None)
        if kept is not None:
            return replace(request, url=replace(url, userinfo=kept[0]), ask=kept[1])
        if ask is not None and ask.withheld and request.id in self._headers:
            # Behind a redirect there may be fewer than at first: those of a body go where that goes.
            names = {name.lower() for name in (*ask.withheld, *(name for name, _ in ask.headers))}
            headers = tuple(pair for pair in self._headers[request.id] if pair[0].lower() in names)
            ask = replace(ask, headers=headers, withheld=())
        if url.userinfo == WITHHELD:
            url = replace(url, userinfo=self._logins.get(request.id, ""))
            if not url.userinfo:
                ask = replace(ask or Ask(), withheld=(*(() if ask is None else ask.withheld), "user name and password"))
        return replace(request, url=url, ask=ask)


def is_withheld(request: Request) -> bool:
    """Whether something belongs to a request that was not kept."""
    return request.url.userinfo == WITHHELD or (request.ask is not None and bool(request.ask.withheld))


def _name(href: str, ask: Ask | None) -> bytes:
    """What tells an input from others, in 16 bytes."""
    body = None if ask is None else ask.body
    digest = blake2b(href.encode("utf-8", "surrogatepass"), digest_size=16)
    if body is not None:
        digest.update(b"\0" + (body if isinstance(body, bytes) else _encode(body)))
    return digest.digest()
