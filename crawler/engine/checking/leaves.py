"""Leaves: URLs that are only asked whether they are there, as a check of links does. Pure.

What leaves the scope of a crawl is one, and so is what a page is shown with: their own links are not followed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import msgspec

from crawler.errors import CodedError
from crawler.fetch.disk.folders import Folders
from crawler.models import LEAF_SOURCE, LEAVES, WITHIN_SOURCE, Input, Request
from crawler.urls import Url

if TYPE_CHECKING:
    from crawler.engine.scope import Scope

_LEFT: Final = frozenset(("out_of_scope", "depth_limit"))


class OnDisk(Protocol):
    """Folders that are checked in place of servers."""

    @property
    def folders(self) -> Folders: ...

    def is_apart(self, url: Url) -> bool:
        """Whether it is a leaf, whatever the scope says."""

    def name_of(self, url: Url) -> str | None:
        """The path by which people know a URL that nobody else knows."""


class Checking(NamedTuple):
    """A run that checks links. With `fragments` pages are read for what these may name. `certificate` hears of those
    that are shown: host, port, and when it ends as OpenSSL writes that ("Jun  1 12:00:00 2027 GMT"). What
    is on the `disk` is looked up there.
    """

    fragments: bool = True
    certificate: Callable[[str, int, str], None] | None = None
    disk: OnDisk | None = None


class Leaves:
    """Those of a crawl in this scope. `fragments`: pages are read for what these may name."""

    def __init__(self, scope: Scope, checking: Checking) -> None:
        self._scope = scope
        self._disk = checking.disk
        self.fragments = checking.fragments

    def __contains__(self, request: object) -> bool:
        """Whether a request is of a leaf, or has been led out of the scope."""
        assert isinstance(request, Request)
        if self.was_queued(request) or self._is_apart(request.url):
            return True
        # A page that was typed is read, as in a crawl; one of a folder was not typed itself.
        is_typed = not request.discovered and (
            self._disk is None or self._disk.folders.folder_of(request.url.href) is None
        )
        return not is_typed and self._scope.judge(request.url, request.input.depth or 0) is not None

    @staticmethod
    def was_queued(request: Request) -> bool:
        """Whether it was a leaf from the first."""
        return request.input.source in LEAVES

    def placed(self, url: Url, place: Input) -> Input:
        """The place of a leaf at this URL: one that a link may lead to as a page, too, is known by another source."""
        if place.source not in LEAVES:
            return place
        source = WITHIN_SOURCE if self._may_be_page(url, place.depth or 0) else LEAF_SOURCE
        return place if source == place.source else msgspec.structs.replace(place, source=source)

    def _may_be_page(self, url: Url, depth: int) -> bool:
        if self._is_apart(url):
            return False
        error = self._scope.judge(url, depth)
        return error is None or error.code == "depth_limit"  # another page may link to it from less deep

    def let_in(self, onward: Request) -> bool:
        """Whether one is led into the scope: a page is there, that has to be read."""
        place = onward.input
        return (
            place.source in LEAVES
            and bool(place.parent)
            and self._scope.judge(onward.url, place.depth or 0) is None
            and not self._is_apart(onward.url)
        )

    def take(self, url: Url, error: CodedError | None) -> bool:
        """Whether a link is one: it leaves the scope, or is apart."""
        return self._is_apart(url) if error is None else error.code in _LEFT

    def _is_apart(self, url: Url) -> bool:
        return self._disk is not None and self._disk.is_apart(url)
