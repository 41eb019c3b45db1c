"""Endless URL spaces, known by how their URLs grow and by what their pages say. Pure, and of bounded memory.

Three guards, each of which lets some dozens of pages pass before it is sure:

- Growth: a link adds to the URL of its page what is in there already: "/x/y/" leads to "/x/y/x/", "?v=1" to "?v=1&v=1".
- Bodies: the pages of one pattern, which is a path with its numbers as "#" and the names of its parameters, say the
  same but for their links. As long as one in five says something new, it is a part of a site: 100,000 numbered
  articles, a calendar, a shop whose filters often find nothing.
- Sessions: pages say the same under ever new session ids. Then each is fetched under one id alone.

What a run has learned is gone with it: one that goes on with a job learns it again, with some dozens of pages more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple
from zlib import crc32

from crawler.errors import CodedError
from crawler.urls import Url

PATIENCE: Final = 24
"""So many pages may repeat others before a guard is sure."""
_WORTH: Final = 4  # repetitions that one page with something new makes up for
_FIRST: Final = 8  # pages of a pattern before their bodies are looked at
_SURE: Final = 64  # pages with something new: from then on only every so manieth is looked at
_SAMPLE: Final = 16
_MOST_SECTIONS: Final = 20_000
_MOST_SAYINGS: Final = 64  # of one section
_MOST_SESSIONS: Final = 50_000
_LOOKED_AT: Final = 1 << 17  # bytes of a body
_SHOWN: Final = 200

_WORD: Final = re.compile("[A-Za-z0-9]*+")
_NUMBER: Final = re.compile(r"[0-9]+")
# What is made up for one visitor: long, with letters and digits mixed.
_ID: Final = r"(?<![A-Za-z0-9])(?=[A-Za-z]*+[0-9]++[A-Za-z]++[0-9])[A-Za-z0-9]{12,}+"
_SESSION_ID: Final = re.compile(_ID)
_SESSION_ID_BYTES: Final = re.compile(_ID.encode())
_NAMES: Final = r"(?<=[?&;])((?:[a-z_.-]*sess(?:ion)?[_-]?id|sid|s_id|cfid|cftoken|zenid|oscsid|session)=)"
_SESSION: Final = re.compile(_NAMES + "[^&;?#/]*+", re.IGNORECASE)
_SESSION_BYTES: Final = re.compile(_NAMES.encode() + rb"""[^&;?#/\s"'<>]*+""", re.IGNORECASE)
_HREF: Final = re.compile(rb"""\bhref\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>"']++)""", re.IGNORECASE)


class _Piece(NamedTuple):
    """Something that is added to URLs again and again: on this host, below its first folder or its whole path."""

    host: str
    place: str
    added: str


class _Section:
    """What is known of the pages of one kind: how many said what others had said, and how many something new."""

    __slots__ = ("fresh", "repeated", "sayings")

    def __init__(self) -> None:
        self.repeated = 0
        self.fresh = 0
        self.sayings: set[int] = set()

    def wants(self, url: Url) -> bool:
        """Whether a page is worth a look."""
        return self.fresh < _SURE or crc32(url.target.encode()) % _SAMPLE == 0

    def heard(self, saying: int) -> None:
        if saying in self.sayings:
            self.repeated += 1
        else:
            self.fresh += 1
            if len(self.sayings) < _MOST_SAYINGS:
                self.sayings.add(saying)

    @property
    def is_endless(self) -> bool:
        return self.repeated > PATIENCE + _WORTH * max(0, self.fresh - 1)


class Traps:
    """Learns from pages, in the order in which they are read, and judges the links on them and what is queued."""

    def __init__(self) -> None:
        self._sections: dict[str, int | _Section] = {}  # a number: of pages, too few yet
        self._endless: dict[str, int] = {}
        self._grown: Counter[_Piece] = Counter()
        self._sessions: dict[str, _Section] = {}  # by host
        self._known: dict[int, int] = {}  # pages without their session ids, and what they said
        self._forgetful: set[str] = set()  # hosts that have an end only without session ids

    def saw(self, url: Url, body: bytes, said: int | None = None) -> None:
        """A page was read; `said` is what it says, if somebody has looked: see `saying`."""
        pattern = pattern_of(url)
        bare = _bare(url)
        if bare is not None:
            self._saw_session(url, bare, body, said)
        section = self._sections.get(pattern, 0)
        if isinstance(section, int):
            if section < _FIRST:
                self._sections[pattern] = section + 1
                if len(self._sections) > _MOST_SECTIONS:
                    self._forget()
                return
            section = self._sections[pattern] = _Section()
        if section.wants(url):
            section.heard(_saying(url, body, session=bare is not None) if said is None else said)
            if section.is_endless:
                self._endless[pattern] = section.repeated + _FIRST

    def judge(self, url: Url, page: Url) -> CodedError | None:
        """Whether a link on a page leads into a trap."""
        if len(url.target) > len(page.target) and url.host == page.host:
            piece = self._growth(url.target, page)
            if piece is not None:
                if self._grown[piece] >= PATIENCE:
                    return _trap(f"{PATIENCE} links have added {piece.added[:_SHOWN]!r} to a URL with that in it", url)
                if len(self._grown) > _MOST_SECTIONS:
                    self._grown.clear()
                self._grown[piece] += 1
        return self.refusal(url)

    def refusal(self, url: Url) -> CodedError | None:
        """Whether a URL belongs to what has proved endless meanwhile."""
        if self._endless:
            pages = self._endless.get(pattern_of(url))
            if pages is not None:
                return _trap(f"{pages} pages or more say the same but for their links", url)
        if self._forgetful and url.host_key in self._forgetful:
            bare = _bare(url)
            if bare is not None and hash(bare) in self._known:
                return _trap("the same page under another session id", url)
        return None

    def _growth(self, target: str, page: Url) -> _Piece | None:
        """What a longer target adds to that of its page, if that is in there already."""
        path, _, query = target.partition("?")
        page_path, _, page_query = page.target.partition("?")
        host, more = page.host_key, target[len(page.target) :]
        separated = more and not more[0].isalnum() and not (page_query and more[0] == "&")
        if separated and target.startswith(page.target):
            known = _Piece(host, "", more)
            if more in page.target or (known in self._grown and page.target.count(more[0]) > 2):
                self._grown.setdefault(known, 0)
                first = _WORD.match(page.target, 1)
                assert first is not None
                return _Piece(host, first[0], more)
        if path == page_path:
            place, had = path, page_query.split("&")
            parts = _added(query.split("&"), had)
            added = f"?{'&'.join(parts)}"
        else:
            folder = page_path[: page_path.rindex("/") + 1]
            if not path.startswith(folder):
                return None
            place, had = page_path.split("/", 2)[1], page_path.split("/")
            added = path[len(folder) :]
            parts = [segment for segment in added.split("/") if segment]
            if _Piece(host, "", f"{place}/") in self._grown:
                place = ""  # the trap begins at the root
        if not parts:
            return None
        if all(part in had for part in parts):
            self._grown.setdefault(_Piece(host, "", added), 0)
            return _Piece(host, place, added)
        # What is new after others have come again, but comes again itself elsewhere.
        is_known = len(set(had)) < len(had) and _Piece(host, "", added) in self._grown
        return _Piece(host, place, added) if is_known else None

    def _saw_session(self, url: Url, bare: str, body: bytes, said: int | None) -> None:
        host, key = url.host_key, hash(bare)
        section = self._sessions.get(host)
        if section is None:
            if len(self._sessions) >= _MOST_SECTIONS:
                return
            section = self._sessions[host] = _Section()
        if section.wants(url):
            saying = _saying(url, body, session=True) if said is None else said
            before = self._known.get(key)
            if before is not None:
                section.repeated += before == saying
                section.fresh += before != saying
            if len(self._known) < _MOST_SESSIONS:
                self._known.setdefault(key, saying)
            if section.repeated > PATIENCE + _WORTH * section.fresh:
                self._forgetful.add(host)

    def _forget(self) -> None:
        """Keep the patterns of many pages, or else the latest."""
        kept = {pattern: section for pattern, section in self._sections.items() if not isinstance(section, int)}
        if len(kept) > _MOST_SECTIONS // 2:
            kept = dict(list(kept.items())[-_MOST_SECTIONS // 2 :])
        self._sections = dict(kept)


def pattern_of(url: Url) -> str:
    """The URL with its numbers as #, made-up ids as *, and only the names of its parameters, each once, in order."""
    path, _, query = url.target.partition("?")
    path = _NUMBER.sub("#", _SESSION_ID.sub("*", _SESSION.sub(r"\1*", path)))
    if query:
        names = sorted({_NUMBER.sub("#", parameter.partition("=")[0]) for parameter in query.split("&")})
        path = f"{path}?{'&'.join(names)}"
    return f"{url.scheme}://{url.authority}{path}"


def _trap(why: str, url: Url) -> CodedError:
    return CodedError("trap_suspected", f"{why} ({pattern_of(url)[:_SHOWN]})")


def _bare(url: Url) -> str | None:
    """The URL without its session ids; None when it has none."""
    href = url.href
    bare, number = _SESSION.subn(r"\1", href)
    bare, more = _SESSION_ID.subn("*", bare)
    return bare if number or more else None


def _added(parameters: Sequence[str], had: Sequence[str]) -> list[str]:
    """The parameters that there are beyond those of the page; none if one of these is missing."""
    before, after = Counter(had), Counter(parameters)
    return [] if before - after else sorted((after - before).elements())


def saying(url: Url, body: bytes) -> int:
    """What a page says, in a number: the same in all processes."""
    return _saying(url, body, session=_bare(url) is not None)


def _saying(url: Url, body: bytes, *, session: bool) -> int:
    """A hash of what a page says: without its links, its own URL, and the session ids where its URL has one."""
    text = _HREF.sub(b"", body[:_LOOKED_AT])
    own = url.href.encode()
    text = text.replace(own, b"").replace(own.replace(b"&", b"&amp;"), b"")
    if session:
        text = _SESSION_ID_BYTES.sub(b"*", _SESSION_BYTES.sub(rb"\1", text))
    return crc32(text)
