"""Scope: may a URL that was found be crawled at all? Pure. What a person typed is not asked about.

The rules are tried in this order, and the first that keeps a URL out names itself: the scope (where the seeds are),
the length, --exclude, --include, the depth, the other guards against traps.

--include and --exclude are regular expressions, searched for anywhere in the URL; see crawler.patterns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Final, Literal, Protocol, assert_never

from crawler.config.patterns import UrlPattern
from crawler.engine.traps import Traps
from crawler.errors import CodedError
from crawler.urls import Url, public_suffixes, registrable_domain

Kind = Literal["host", "origin", "domain", "prefix", "any"]

MAX_SEGMENTS: Final = 20
MAX_REPEATS: Final = 3
MAX_LENGTH: Final = 2_083
MAX_PARAMETERS: Final = 32
_HOSTS_KNOWN: Final = 10_000


class Named(Protocol):
    """Where a URL may be the name of something else."""

    def name_of(self, url: Url) -> str | None:
        """The path of a file whose URL nobody knows; None of what has no other name."""


class Scope:
    """Judges URLs. `kind` says what is inside, seen from the seeds:

    - host: the same host, whatever the scheme and port
    - origin: the same scheme, host and port
    - domain: the same registrable domain by the public suffix list ("www.example.co.uk": all of example.co.uk); for an
      IP address, a name without dots and a public suffix itself the same host
    - prefix: the same origin, under the seed's folder ("/docs/index.html": all of /docs/)
    - any: everything

    Depth is the number of links from a seed. What has a name on the `disk` is matched by that, and is no
    trap. Raises ValueError for a regular expression that is none.
    """

    def __init__(
        self,
        kind: Kind,
        seeds: Iterable[Url] = (),
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        max_depth: int | None = None,
        max_segments: int = MAX_SEGMENTS,
        max_repeats: int = MAX_REPEATS,
        max_length: int = MAX_LENGTH,
        max_parameters: int = MAX_PARAMETERS,
        disk: Named | None = None,
    ) -> None:
        self._kind: Kind = kind
        self._disk = disk
        self._include = [_compile(pattern, "--include") for pattern in include]
        self._exclude = [_compile(pattern, "--exclude") for pattern in exclude]
        self._max_depth = max_depth
        self._max_segments = max_segments
        self._max_repeats = max_repeats
        self._max_length = max_length
        self._max_parameters = max_parameters
        self.traps = Traps()  # they are asked beside the rules: what they know comes of pages
        self._roots: set[object] = set()
        self._folders: dict[object, tuple[str, ...]] = {}
        self._root_of: Callable[[Url], object] = _root_of(kind)
        for seed in seeds:
            self.add_seed(seed)

    def add_seed(self, url: Url) -> None:
        """Widen the scope by one more seed, or by what a seed redirected to."""
        root = self._root_of(url)
        self._roots.add(root)
        if self._kind == "prefix":
            folder = _folder(url)
            folders = self._folders.get(root, ())
            if not folder.startswith(folders):
                self._folders[root] = (*(known for known in folders if not known.startswith(folder)), folder)

    def place(self, url: Url) -> str:
        """A URL that widens the scope as this one does, and is the same for all that are there."""
        return f"{url.site}{_folder(url)}" if self._kind == "prefix" else f"{url.site}/"

    def judge(self, url: Url, depth: int) -> CodedError | None:
        """None when the URL is to be crawled, else `out_of_scope`, `depth_limit` or `trap_suspected`.

        The error's message names the rule that decided.
        """
        if self._kind != "any":
            root = self._root_of(url)
            if root not in self._roots or (self._folders and not url.target.startswith(self._folders[root])):
                return CodedError("out_of_scope", f"outside --scope {self._kind}: {self._named(url)}")
        name = None if self._disk is None else self._disk.name_of(url)
        href = url.href if name is None else name
        if name is None and len(href) > self._max_length:
            return CodedError("trap_suspected", f"the URL has {len(href):,} characters (allowed: {self._max_length:,})")
        if self._exclude or self._include:
            octets = href.encode("utf-8", "surrogateescape")
            for pattern in self._exclude:
                if pattern.matches(octets):
                    return CodedError("out_of_scope", f"--exclude {pattern.text!r} matches")
            if self._include and not any(pattern.matches(octets) for pattern in self._include):
                return CodedError("out_of_scope", f"no --include matches ({self._patterns()})")
        if name is not None:
            return None
        if self._max_depth is not None and depth > self._max_depth:
            return CodedError("depth_limit", f"depth {depth} (--depth {self._max_depth})")
        return self._trap(url)

    def judge_requisite(self, url: Url) -> CodedError | None:
        """The same for what a page is shown with: it may be anywhere, and as deep as the page is."""
        name = None if self._disk is None else self._disk.name_of(url)
        href = url.href if name is None else name
        if name is None and len(href) > self._max_length:
            return CodedError("trap_suspected", f"the URL has {len(href):,} characters (allowed: {self._max_length:,})")
        octets = href.encode("utf-8", "surrogateescape") if self._exclude else b""
        for pattern in self._exclude:
            if pattern.matches(octets):
                return CodedError("out_of_scope", f"--exclude {pattern.text!r} matches")
        return None if name is not None else self._trap(url)

    def explain(self, url: Url, depth: int) -> str:
        """In words, which rules let the URL in, or which one keeps it out."""
        error = self.judge(url, depth)
        if error is not None:
            return f"{error.code}: {error.message}"
        words = f"inside --scope {self._kind}"
        if self._kind != "any":
            words += f": {self._named(url)}"
        for pattern in self._include:
            if pattern.matches(url.href.encode()):
                return f"{words}; --include {pattern.text!r} matches"
        return words

    def _trap(self, url: Url) -> CodedError | None:
        """Whether the URL looks like one of endlessly many, as calendars and relative links gone wrong make them."""
        path, _, query = url.target.partition("?")
        number = path.count("/") - (path[-1] == "/")
        if number > self._max_repeats:
            if number > self._max_segments:
                return CodedError("trap_suspected", f"{number} path segments (allowed: {self._max_segments})")
            segments = path.split("/")[1 : number + 1]
            if number - len(set(segments)) >= self._max_repeats:
                segment = max(segments, key=segments.count)
                times = segments.count(segment)
                if times > self._max_repeats:
                    return CodedError(
                        "trap_suspected",
                        f"the path segment {segment[:100]!r} occurs {times} times (allowed: {self._max_repeats})",
                    )
        if query and query.count("&") >= self._max_parameters:
            number = sum(map(bool, query.split("&")))
            if number > self._max_parameters:
                return CodedError("trap_suspected", f"{number} query parameters (allowed: {self._max_parameters})")
        return None

    def _named(self, url: Url) -> str:
        """What of the URL the scope looks at."""
        match self._kind:
            case "host":
                return _host(url)
            case "origin":
                return f"{url.scheme}://{url.authority}"
            case "domain":
                return str(self._root_of(url))
            case "prefix":
                return f"{url.scheme}://{url.authority}{_folder(url)}"
            case "any":
                return "everything"
            case _:
                assert_never(self._kind)

    def _patterns(self) -> str:
        return ", ".join(repr(pattern.text) for pattern in self._include)


def _root_of(kind: Kind) -> Callable[[Url], object]:
    """What must be the same as in a seed."""
    if kind in {"origin", "prefix"}:
        return _origin
    if kind == "domain":
        public_suffixes()  # read now, and not within the run
        domain = lru_cache(_HOSTS_KNOWN)(registrable_domain)
        return lambda url: domain(_host(url))
    return _host


def _host(url: Url) -> str:
    """Without the root dot, which makes no difference to DNS."""
    host = url.host
    return host[:-1] if host[-1] == "." else host


def _origin(url: Url) -> object:
    return (url.scheme, _host(url), url.port)


def _folder(url: Url) -> str:
    return url.target.partition("?")[0].rpartition("/")[0] + "/"


def _compile(pattern: str, option: str) -> UrlPattern:
    try:
        return UrlPattern(pattern)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
