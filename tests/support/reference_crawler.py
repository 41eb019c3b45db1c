"""A crawler that is slow, simple and right: what `python -m crawler -r --scope origin` is compared with.

One page at a time, first come first served, with the standard library's HTTP client and robots.txt parser, and lexbor's
tree of each page. Of the crawler itself it uses `urls.join` alone, for the standard form of URLs.

`python tests/reference_crawler.py URL...` prints a line of JSON for each page: [url, status, sha256]. What redirects
counts as the page that it leads to; which of several ways is gone there makes no difference.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.robotparser import RobotFileParser

from selectolax.lexbor import LexborHTMLParser

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the checkout, when this runs as a script

from crawler.errors import CodedError
from crawler.urls import Url, join, parse

MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
CHARSET = re.compile(rb"""<meta[^>]+charset=["']?([\w-]+)""", re.IGNORECASE)
REFRESH = re.compile(r"\s*[\d.]+\s*[;,]\s*url\s*=\s*['\"]?([^'\"]*)", re.IGNORECASE)

Pages = dict[str, tuple[int | None, str | None]]
"""Status and sha256 of the body by the URL at the end of all redirects; neither where a redirect leads to what must not be fetched."""


class Answer(NamedTuple):
    url: Url
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def location(self) -> Url | None:
        """Where it redirects to."""
        reference = self.headers["location"] if self.status in REDIRECTS else None
        return None if reference is None else join(self.url, reference)


class ReferenceCrawler:
    """Crawls from the seeds. `keep` judges each link; with `robots` every robots.txt is obeyed."""

    def __init__(
        self, *, robots: bool = False, nofollow: bool = False, keep: Callable[[str], bool] = lambda _: True
    ) -> None:
        self.robots = robots
        self.nofollow = nofollow
        self.keep = keep
        self.known: set[str] = set()
        self.origins: set[tuple[str, str, int]] = set()
        self.connections: dict[str, http.client.HTTPConnection] = {}
        self.rules: dict[str, RobotFileParser] = {}

    def crawl(self, seeds: Iterable[str]) -> Pages:
        queue = deque(map(parse, seeds))
        typed = {url.href for url in queue}
        self.origins = {url.origin for url in queue}
        known = self.known = set(typed)
        pages: Pages = {}
        while queue:
            url = queue.popleft()
            if not self.may_fetch(url):
                continue
            last, answer = self.follow(url, is_seed=url.href in typed)
            if last is None:
                continue
            if answer is None:
                pages[last.href] = None, None
                continue
            pages[last.href] = answer.status, sha256(answer.body).hexdigest()
            for link in self.links(answer):
                if link.href not in known and link.origin in self.origins and self.keep(link.href):
                    known.add(link.href)
                    queue.append(link)
        self.close()
        return pages

    def fetch(self, url: Url) -> tuple[int | None, str | None]:
        """Status and sha256 of one page."""
        self.known.clear()
        _, answer = self.follow(url, is_seed=True)
        return (None, None) if answer is None else (answer.status, sha256(answer.body).hexdigest())

    def close(self) -> None:
        for connection in self.connections.values():
            connection.close()

    def follow(self, url: Url, *, is_seed: bool) -> tuple[Url | None, Answer | None]:
        """The end of all redirects, and the answer there. No answer if that is astray, and no end if it is known."""
        answer = self.get(url)
        chain = [url.href]
        while (target := answer.location) is not None and chain.count(target.href) < 2 and len(chain) <= MAX_REDIRECTS:
            if is_seed:
                self.origins.add(target.origin)
            if target.origin not in self.origins:
                return target, None
            if target.href in self.known and target.href not in chain:
                return None, None
            self.known.add(target.href)
            if not self.may_fetch(target):
                return target, None
            chain.append(target.href)
            answer = self.get(target)
        return answer.url, answer

    def get(self, url: Url) -> Answer:
        connection = self.connections.get(url.authority)
        if connection is None:
            connection = self.connections[url.authority] = http.client.HTTPConnection(url.authority)
        connection.request("GET", url.target)
        response = connection.getresponse()
        return Answer(url, response.status, response.headers, response.read())

    def may_fetch(self, url: Url) -> bool:
        if not self.robots:
            return True
        rules = self.rules.get(url.authority)
        if rules is None:
            rules = self.rules[url.authority] = RobotFileParser()
            answer = self.get(join(url, "/robots.txt"))
            rules.parse(answer.body.decode().splitlines() if answer.status == 200 else [])
        return rules.can_fetch("crawler", url.href)

    def links(self, answer: Answer) -> Iterator[Url]:
        """Where a page leads: its a, area and meta refresh elements."""
        if not 200 <= answer.status < 300 or answer.headers.get_content_type() != "text/html":
            return
        tree = LexborHTMLParser(text_of(answer))
        base = answer.url
        for element in tree.css("base[href]")[:1]:
            base = joined(base, element.attributes["href"]) or base
        if self.nofollow and any(
            "nofollow" in (meta.attributes["content"] or "").lower() for meta in tree.css("meta[name=robots][content]")
        ):
            return
        for element in tree.css("a[href], area[href]"):
            if self.nofollow and "nofollow" in (element.attributes.get("rel") or "").lower().split():
                continue
            if link := joined(base, element.attributes["href"]):
                yield link
        for meta in tree.css("meta[http-equiv=refresh i][content]"):
            if (refresh := REFRESH.match(meta.attributes["content"] or "")) and (link := joined(base, refresh[1])):
                yield link


def joined(base: Url, reference: str | None) -> Url | None:
    """The URL that a reference names, without its fragment; None if it is none of http or https."""
    try:
        return join(base, reference or "")
    except CodedError:
        return None


def text_of(answer: Answer) -> str:
    charset = answer.headers.get_content_charset()
    if charset is None:
        declared = CHARSET.search(answer.body)
        charset = declared[1].decode() if declared else "utf-8"
    return answer.body.decode(charset, "replace")


if __name__ == "__main__":
    for url, (status, digest) in ReferenceCrawler().crawl(sys.argv[1:]).items():
        print(json.dumps([url, status, digest]))
