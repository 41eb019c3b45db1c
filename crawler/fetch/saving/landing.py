"""A body that may grow too large for memory: then it goes on in a spool, and there it may go on from an earlier try."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.web.iweb import UNKNOWN_LENGTH

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.budget import Growing
from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.resuming import agrees, combined, fields, is_rest, origin_of, total_of
from crawler.fetch.saving.spool import Spool
from crawler.fetch.saving.spools import IN_MEMORY, READ, Part, Spools
from crawler.models import Request, Response

_OK: Final = 200
_PARTIAL: Final = 206
_UNSATISFIABLE: Final = 416


class Landing(Growing):
    """The part of a flight that knows where its body goes.

    What is set here is set for few: it stands in the class until then, and a flight that needs none of it pays nothing.
    """

    __slots__ = ("__dict__",)

    part: Part | None = None
    """What there is of the body from an earlier try, when the rest was asked for."""
    _spool: Spool | None = None
    _saving: bool | None = False  # all has come, and is being written; None: it is
    _waits = False  # the server does, for the disk
    _resumed = False
    _refusal: CodedError | None = None

    # What a flight does.

    @property
    def _spools(self) -> Spools | None:
        raise NotImplementedError

    def _saved(self, error: CodedError | None) -> None:
        raise NotImplementedError

    def _disk_failed(self, error: CodedError) -> None:
        raise NotImplementedError

    def ask_for_rest(self, head: bytes) -> bytes:
        """The head of a request with what asks for the rest of the body, unless it asks for a range already."""
        part = self.part
        assert part is not None
        assert part.origin is not None
        if b"\nrange:" in head.lower():
            self.part = None
            return head
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields(part.origin, part.spool.size))
        return head.removesuffix(b"\r\n") + lines.encode("latin-1") + b"\r\n"

    def _look(
        self, request: Request, response: Any, headers: Mapping[str, list[str]], accept: Accept | None
    ) -> CodedError | None:
        """See from the head where the body goes. An error is what ends the fetch before that is read."""
        status, spools = response.code, self._spools
        if accept is not None and 200 <= status < 300:
            refusal = accept.refusal(request, headers)
            if refusal is not None:
                return refusal
        if spools is None:
            return None
        part = self.part
        if part is not None and status == _PARTIAL and part.origin is not None:
            if is_rest(part.origin, part.spool.size, headers):
                self._resumed = True
                self._use(part.spool)
                return None
            spools.forget(request.id)
            return StaleConnection("body_truncated", "the server has not the rest of what had come")
        if part is not None and status == _UNSATISFIABLE:
            spools.forget(request.id)
            return StaleConnection("body_truncated", "the server has nothing behind what had come")
        if request.method != "HEAD":
            self.room = READ if spools.is_read(request, headers) else IN_MEMORY
        return None

    def _use(self, spool: Spool) -> None:
        self._spool = spool
        spool.on_error = self._disk_failed
        self.let_go()
        self.room = 0

    def _spool_for(self, request: Request, response: Any, headers: Mapping[str, list[str]], *, coded: bool) -> Spool:
        """The spool, with what is in memory."""
        spool = self._spool
        if spool is None:
            assert self._spools is not None
            length = None if response.length is UNKNOWN_LENGTH else response.length
            asks_alike = request.ask is None or request.ask.body is None
            plain = request.method == "GET" and not coded and asks_alike
            origin = origin_of(request.url.href, response.code, headers, length) if plain else None
            spool = self._spools.begin(request, origin)
            begun = self._whole()
            self._use(spool)
            if begun:
                spool.write(begun)
        return spool

    def _room(self) -> Deferred[None] | None:
        """What has to be waited for until the disk takes more."""
        return None if self._spool is None else self._spool.room()

    def _misfit(self, request: Request, headers: Mapping[str, list[str]]) -> CodedError | None:
        """What is wrong with a whole that was put together."""
        part, spool = self.part, self._spool
        assert part is not None
        assert part.origin is not None
        assert spool is not None
        assert self._spools is not None
        total = part.origin.total or total_of(headers)
        if total is not None and spool.size != total:
            return CodedError("body_truncated", f"{spool.size:,} bytes of {total:,} have come, in parts")
        if not agrees(part.origin.digest, spool.digest):
            self._spools.forget(request.id)
            return StaleConnection("body_truncated", "the parts are not those of one body, by the server's own digest")
        return None

    def _is_saved_later(self, error: CodedError | None) -> bool:
        """False when all that has come is on the disk; else `_saved` is called with this when it is."""
        assert self._spool is not None
        if self._saving is None:
            return False
        if not self._saving:
            self._saving = True
            self._spool.finish().addCallback(self._now_saved, error)
        return True

    def _now_saved(self, _: object, error: CodedError | None) -> None:
        self._saving = None
        self._saved(error)

    def _land(self, request: Request, response: Response) -> None:
        """Say in the response what became of a body that is not in memory, or was not wanted."""
        if self._refusal is not None:
            response.error, response.body, response.truncated = self._refusal, b"", False
        spool, spools = self._spool, self._spools
        if spool is None:
            return
        response.spooled, response.sha256 = spool, spool.sha256
        if spools is not None and spools.is_read(request, response.headers):
            response.warnings.append("parse_truncated")  # it is too large to be read
        if self._resumed and self.part is not None and self.part.origin is not None:
            response.status = _OK
            response.headers = combined(self.part.origin, response.headers, spool.size)
            response.warnings.append("resumed")
