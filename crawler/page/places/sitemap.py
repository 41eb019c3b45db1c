"""The places of a sitemap that name URLs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from crawler.errors import CodedError
from crawler.page.markup import unescape
from crawler.page.places.position import Positions
from crawler.page.places.survey import Link, Survey, encode
from crawler.urls import Url, join

_LOC: Final = re.compile(rb"<(?:\w++:)?+loc(?:\s[^<>]*+)?+>\s*+(?:<!\[CDATA\[)?+([^<>\]]++)")
_LINE: Final = re.compile(rb"[^\s<>][^\r\n<>]*+")


def survey_of(url: Url, body: bytes, follow: Iterable[str]) -> bytes:
    """A survey of a sitemap that leads to `follow`. What is compressed has no lines: all stands at its beginning."""
    survey = Survey(url.href)
    numbers = {href: number for number, href in enumerate(follow)}
    survey.urls = [*numbers]
    positions = Positions(body, lambda raw: raw.decode("utf-8", "replace"))
    placed: set[int] = set()
    text = b"" if body.startswith(b"\x1f\x8b") else body
    for found in (_LOC if b"<" in body[:1_024] else _LINE).finditer(text):
        at = found.start(found.lastindex or 0)
        written = unescape(found[found.lastindex or 0].decode("utf-8", "replace").strip(), in_attribute=False)
        try:
            number = numbers.get(join(url, written).href)
        except CodedError as error:
            survey.links.append(Link(-1, "page", *positions.of(at), "loc", "", written, "", "", error.message))
            continue
        if number is not None:
            placed.add(number)
            survey.links.append(Link(number, "page", *positions.of(at), "loc", "", written, ""))
    survey.links += [
        Link(number, "page", 1, 1, "loc", "", href, "") for href, number in numbers.items() if number not in placed
    ]
    return encode(survey)
