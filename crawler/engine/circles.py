"""Redirects that lead from one known URL to another, and back. Pure.

A URL that leads to a known one ends as its duplicate: what is there is told by the record of that one. Where this ends
as a duplicate of the first, nobody would tell.
"""

from __future__ import annotations

from typing import Final

from crawler.models import Request
from crawler.urls import canonical_key, parse

_MOST: Final = 20_000
_LONGEST_CIRCLE: Final = 100


class Circles:
    """The URLs whose records say that they lead to another, and to which; the newest 20,000."""

    def __init__(self) -> None:
        self._led: dict[bytes, bytes] = {}

    def closes(self, onward: Request) -> bool:
        """Whether a known URL that a redirect has led to is one that ended as a duplicate of what the redirect is of.

        If not, this one ends as a duplicate now, with all that has led to it.
        """
        own = {canonical_key(parse(hop.url)) for hop in onward.redirects}
        known = key = canonical_key(onward.url)
        led = self._led
        for _ in range(_LONGEST_CIRCLE):
            after = led.get(key)
            if after is None:
                break
            if after in own:
                return True
            key = after
        for key in own:
            led[key] = known
        while len(led) > _MOST:
            del led[next(iter(led))]
        return False
