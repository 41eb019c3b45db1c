"""URLs as the WHATWG standard reads them: parse, join, host key, canonical key. Pure: nothing here does I/O, but
for the list of public suffixes, which comes with a library.

can_ada parses, in 0.4 us. It has the standard of 2024: what that says otherwise than today's ("^" in a path, the names
of hosts that are not ASCII or begin with "xn--") is parsed anew by ada_url, which has today's and takes 1.6 us.

Where the standard is more forgiving than a fetcher may be (control characters, an empty authority, labels that DNS
cannot carry), `parse` refuses with a sentence that says what is wrong. No message and no `href` ever holds userinfo.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import can_ada
import msgspec

from crawler.errors import CodedError
from crawler.redaction import scrub

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

DEFAULT_PORTS: Final = {"http": 80, "https": 443}
SOCKETS: Final = {"ws": 80, "wss": 443}
"""WebSockets: fetched when somebody wrote the URL; no link and no redirect leads to one."""
_TYPED: Final = DEFAULT_PORTS | SOCKETS
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_EMPTY_AUTHORITY: Final = re.compile(r"(?:https?|wss?):(?:[/\\]{3}|[/\\]{0,2}$|[/\\]{2}[?#])", re.IGNORECASE)
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_PORT: Final = re.compile(r"(?:https?|wss?):[/\\]*(?:\[[^\]]*\]|[^/\\?#:\[]*):([^/\\?#]*)", re.IGNORECASE)
# A reference with a host of its own; the standard drops tabs and newlines. Then one whose host is percent-encoded.
_HAS_HOST: Final = re.compile(r"[\s\x00-\x1f]*(?:[A-Za-z][A-Za-z0-9+.\-\t\r\n]*:|[/\\][\t\r\n]*[/\\])")
_CODED_HOST: Final = re.compile(rf"{_HAS_HOST.pattern}[/\\\t\r\n]*+[^/\\?#]*%")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_MAX_HOST: Final = 253  # RFC 1035 section 2.3.4: 255 octets on the wire
_MAX_LABEL: Final = 63
_SHOWN: Final = 200

# What stands around URLs in lists: quotes, brackets, commas and what cannot be seen. A URL may end with some of them,
# but hardly any does.
_UNSEEN: Final = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\xad"
_QUOTES: Final = "\"'<>`\u201c\u201d\u201e\u2018\u2019\xab\xbb"
AROUND: Final = frozenset(f'{_UNSEEN}">`\u201d\u201c\u2019\xbb,') | {""}
# A name of at least two labels, the last of letters; then a port, and a path or query.
_PLAIN_HOST: Final = re.compile(
    r"(?://)?((?:(?!-)[\w-]++\.)+([^\W\d_]{2,63}|xn--[a-z0-9-]{1,59})\.?)(:[0-9]{1,5})?([/?#].*)?",
    re.IGNORECASE | re.DOTALL,
)
_FILE_SUFFIXES: Final = frozenset({
    "csv", "gz", "htm", "html", "json", "jsonl", "list", "log", "lst", "md", "ndjson", "pdf", "rss",
    "tsv", "txt", "xlsx", "xml", "zip",
})  # fmt: skip

# Parameters that tell who sent the visitor; the page is the same without them.
TRACKERS: Final = frozenset({
    "fbclid", "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "srsltid", "msclkid", "yclid", "ysclid", "twclid",
    "ttclid", "igsh", "igshid", "li_fat_id", "epik", "mc_cid", "mc_eid", "mkt_tok", "_hsenc", "_hsmi", "__hssc",
    "__hstc", "__hsfp", "_ga", "_gl", "_openstat", "oly_anon_id", "oly_enc_id", "vero_id", "rb_clickid", "s_cid",
    "wickedid",
})  # fmt: skip
TRACKER_PREFIX: Final = "utm_"


class Url(msgspec.Struct, frozen=True, gc=False):
    """A parsed URL of http or https, or of ws or wss.

    `href` is the whole URL in WHATWG form without userinfo and fragment; `host` is ASCII (an IPv6 address without
    brackets); `target` is what stands in the request line; `authority` what stands in the Host header.
    `userinfo` ("user:password", percent-encoded) is kept apart so that it can never be written by accident.
    """

    href: str
    scheme: str
    host: str
    port: int
    authority: str
    target: str
    userinfo: str = ""

    @property
    def host_key(self) -> str:
        """Names the server for politeness and books: `host:port`, without the root dot of a DNS name."""
        return _host_key(self.host, self.port)

    @property
    def origin(self) -> tuple[str, str, int]:
        """RFC 6454 section 4: scheme, host, port."""
        return (self.scheme, self.host, self.port)

    @property
    def site(self) -> str:
        """The part of `href` before `target`; of a WebSocket, that of the pages of its server."""
        origin = self.href[: -len(self.target)]
        return f"http{origin[2:]}" if self.scheme in SOCKETS else origin

    def __repr__(self) -> str:
        return f"Url({self.href!r})"


@lru_cache(maxsize=1024)
def _host_key(host: str, port: int) -> str:
    return f"{host.rstrip('.')}:{port}"


def parse(text: str) -> Url:
    """Parse an absolute URL that a person wrote. Leading and trailing white space does not count.

    Raises CodedError: `url_invalid`, or `scheme_unsupported` for anything but http, https, ws and wss.
    """
    text = text.strip(" \t\r\n\f")
    if not text:
        raise CodedError("url_invalid", "the URL is empty")
    # str.isprintable is true for nearly every URL, and cheaper than the search.
    if not text.isprintable() and _CONTROL.search(text):
        raise CodedError("url_invalid", "the URL contains a control character (write it percent-encoded)")
    if _EMPTY_AUTHORITY.match(text):
        raise CodedError("url_invalid", "the URL has no host")
    return _from_standard(text, None)


def meant(text: str, scheme: str | None) -> str:
    """The URL that a person means with a line of a list: without what stands around it, and with `scheme`, if it is
    plainly a host with or without a path ("www.example.com/a", but not "localhost", an address or a file's name).
    """
    text = text.strip(f"{_UNSEEN} \t\r\n\f")
    text = text.strip(f"{_UNSEEN}{_QUOTES},; \t") if text[:1] in _QUOTES else text.rstrip(f"{''.join(AROUND)} \t")
    host = _PLAIN_HOST.fullmatch(text) if scheme is not None else None
    if host is None or not (host[3] or host[4] or host[2].lower() not in _FILE_SUFFIXES):
        return text
    return f"{scheme}://{text.removeprefix('//')}"


def was_repaired(written: str) -> bool:
    """Whether a line that has become a URL is not one as it stands. False at once for nearly all that are."""
    if written[:4] == "http" and written[-1] not in AROUND:
        return False
    return (
        _SCHEME.match(written) is None or _PLAIN_HOST.fullmatch(written) is not None or meant(written, None) != written
    )


def join(base: Url, reference: str) -> Url:
    """Resolve a link against the URL of its page, as browsers do (tabs and newlines inside are dropped).

    The base's userinfo is not inherited. Raises CodedError as `parse` does, and for ws and wss, too.
    """
    return _from_standard(reference, base.href)


def canonical_key(url: Url, *, sort_query: bool = False, drop_trackers: bool = False) -> bytes:
    """The 16 bytes by which a crawl knows a URL again: of 10 million URLs two share a key once in 10 ** 24 runs."""
    href = canonical_href(url, sort_query=sort_query, drop_trackers=drop_trackers)
    return blake2b(href.encode("ascii"), digest_size=16).digest()


def canonical_href(url: Url, *, sort_query: bool = False, drop_trackers: bool = False) -> str:
    """The form in which URLs are compared; what is fetched stays as it was written.

    That is `href`, without the root dot of the host: nobody means two sites by that. `sort_query` sorts the parameters
    by name and keeps the order of those with the same name, `drop_trackers` leaves out those in TRACKERS and utm_*.
    """
    href = url.href
    if url.host[-1] == ".":
        href = f"{url.scheme}://{url.host[:-1]}{url.authority[len(url.host) :]}{url.target}"
    if not (sort_query or drop_trackers):
        return href
    page, _, query = href.partition("?")
    if not query:
        return href
    parameters = query.split("&")
    if drop_trackers:
        parameters = [parameter for parameter in parameters if not _is_tracker(_name(parameter))]
    if sort_query:
        parameters.sort(key=_name)
    query = "&".join(parameters)
    return f"{page}?{query}" if query else page


def _name(parameter: str) -> str:
    return parameter.partition("=")[0]


def _is_tracker(name: str) -> bool:
    return name.startswith(TRACKER_PREFIX) or name in TRACKERS


def _of_today(text: str, base: str | None) -> str:
    import ada_url  # 15 ms, which most runs never need

    try:
        return str(ada_url.normalize_url(text) if base is None else ada_url.join_url(base, text))
    except ValueError:
        return ""


def _from_standard(text: str, base: str | None) -> Url:
    try:
        href: str = (can_ada.parse(text) if base is None else can_ada.parse(base) + text).href
    except (ValueError, TypeError):  # TypeError: a lone surrogate has no UTF-8 form
        href = ""
    if (
        "^" in href
        or (not text.isascii() and (base is None or _HAS_HOST.match(text)))
        or ("%" in text and _CODED_HOST.match(text))
        or (not href and "xn--" in text.lower())
    ):
        href = _of_today(text, base)
    if not href:  # out here, so that this error does not carry the other's traceback along
        raise _explain(text, base)
    # Reading one attribute costs 0.1 us, and slicing keeps what the others hide (the "?" of an empty query). In the
    # standard's form a "#" only starts the fragment, and an "@" before the path only ends the userinfo.
    scheme, separator, rest = href.partition("://")
    default_port = (_TYPED if base is None else DEFAULT_PORTS).get(scheme)
    if default_port is None or not separator:
        raise _explain(text, base, href.partition(":")[0])
    rest = rest.partition("#")[0]
    slash = rest.index("/")
    authority, target = rest[:slash], rest[slash:]
    userinfo = ""
    if "@" in authority:
        userinfo, _, authority = authority.partition("@")
        if ":" not in userinfo:
            userinfo += ":"
    if authority[0] == "[":
        host, _, port_text = authority[1:].partition("]")
        port_text = port_text[1:]
    else:
        host, _, port_text = authority.partition(":")
        if len(host) > _MAX_LABEL or ".." in host or host[0] == ".":
            _check_labels(host)
    port = int(port_text) if port_text else default_port
    if port == 0:
        raise CodedError("url_invalid", "port 0 cannot be connected to (allowed: 1 to 65535)")
    return Url(f"{scheme}://{authority}{target}", scheme, host, port, authority, target, userinfo)


def _check_labels(host: str) -> None:
    name = host.removesuffix(".")
    if not name:
        raise CodedError("url_invalid", "the URL has no host")
    if len(name) > _MAX_HOST:
        raise CodedError("url_invalid", f"the host name has {len(name)} characters (allowed: {_MAX_HOST})")
    for label in name.split("."):
        if not label:
            raise CodedError("url_invalid", f"the host {host[:80]!r} has an empty label")
        if len(label) > _MAX_LABEL:
            raise CodedError("url_invalid", f"a label of the host has {len(label)} characters (allowed: {_MAX_LABEL})")


def _explain(text: str, base: str | None, scheme: str = "") -> CodedError:
    """The standard's parser says only "no": find the words a person needs. Shows nothing but redacted text."""
    if _SURROGATE.search(text):
        return CodedError("url_invalid", "the URL is not Unicode text (it holds bytes that are not UTF-8)")
    shown = scrub(text).strip()
    match = _SCHEME.match(shown)
    if match is None and base is None:
        hint = f"https://{shown[:_SHOWN].lstrip('/')}"
        meant = f" (did you mean {hint!r}?)" if can_ada.can_parse(hint) else ""
        return CodedError("url_invalid", f"the URL has no scheme{meant}")
    scheme = scheme or (match[1].lower() if match else "")
    fetched = _TYPED if base is None else DEFAULT_PORTS
    if scheme and scheme not in fetched:
        after = shown[len(scheme) + 1 : len(scheme) + 2] if shown[: len(scheme)].lower() == scheme else ""
        if "." in scheme or scheme == "localhost" or after.isdigit():
            return CodedError("url_invalid", f"the URL has no scheme (did you mean {'http://' + shown[:_SHOWN]!r}?)")
        allowed = ", ".join(fetched)
        return CodedError("scheme_unsupported", f"the scheme {scheme[:40]!r} is not fetched (allowed: {allowed})")
    port = _PORT.match(shown)
    if port and port[1] and not (port[1].isdecimal() and len(port[1]) <= 5 and int(port[1]) <= 0xFFFF):
        return CodedError("url_invalid", f"the port {port[1][:20]!r} is not a number from 1 to 65535")
    if len(shown) < len(text.strip()) and "@" in text:
        return CodedError(
            "url_invalid", "not a valid URL (in a user name or password, percent-encode all but letters and digits)"
        )
    return CodedError("url_invalid", f"not a valid URL: {shown[:_SHOWN]!r}")


@cache
def public_suffixes() -> PublicSuffixList:
    """The list of domains under which anybody may have one, as "co.uk": read when it is first asked for (40 ms, 2 MiB).

    It is of host names without the root dot, and not of addresses.
    """
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList()


def registrable_domain(host: str) -> str:
    """The domain that somebody has registered, of a host without the root dot; what has none stands for itself."""
    # In the standard's form a host whose last label is a number is an IPv4 address; a colon is in IPv6 ones.
    if ":" in host or host.rpartition(".")[2].isdigit():
        return host
    return public_suffixes().privatesuffix(host) or host
