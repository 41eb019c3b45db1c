"""Leaves: URLs that are only asked whether they are there, as a check of links does. Pure.

What leaves the scope of a crawl is one, and so is what a page is shown with: their own links are not followed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from crawler.errors import CodedError
from crawler.models import LEAF_SOURCE, Request

if TYPE_CHECKING:
    from crawler.engine.scope import Scope

_LEFT: Final = frozenset(("out_of_scope", "depth_limit"))


class Checking(NamedTuple):
    """A run that checks links. With `fragments` pages are read for what these may name. `certificate` hears of those
    that are shown: host, port, and when it ends as OpenSSL writes that ("Jun  1 12:00:00 2027 GMT").
    """

    fragments: bool = True
    certificate: Callable[[str, int, str], None] | None = None


class Leaves:
    """Those of a crawl in this scope. `fragments`: pages are read for what these may name."""

    def __init__(self, scope: Scope, checking: Checking) -> None:
        self._scope = scope
        self.fragments = checking.fragments

    def __contains__(self, request: object) -> bool:
        """Whether a request is of a leaf, or has been led out of the scope."""
        assert isinstance(request, Request)
        return self.was_queued(request) or self._scope.judge(request.url, request.input.depth or 0) is not None

    @staticmethod
    def was_queued(request: Request) -> bool:
        """Whether it was a leaf from the first."""
        return request.input.source == LEAF_SOURCE

    def let_in(self, onward: Request) -> bool:
        """Whether one is led into the scope: a page is there, that has to be read."""
        place = onward.input
        return (
            place.source == LEAF_SOURCE
            and bool(place.parent)
            and self._scope.judge(onward.url, place.depth or 0) is None
        )

    @staticmethod
    def take(error: CodedError | None) -> bool:
        """Whether what is kept out of the crawl is one: it leaves the scope."""
        return error is not None and error.code in _LEFT
