"""The file that cookies are kept in: the Netscape format, as curl, wget, browsers' exports and http.cookiejar have it.

A line for each cookie, of seven columns with tabs between them: domain, whether it is for hosts below as well, path,
whether it is for https alone, when it ends (seconds since the epoch, 0 for the end of the session), name, value. Before
the domain stands #HttpOnly_ where scripts may not see it. A line "Set-Cookie: ..." as a server writes it will do, too.
Files are read and written as bytes: what a cookie holds need not be text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from crawler.fetch.cookies.parsing import MAX_PAIR, parse_set_cookie
from crawler.models import Cookie

MAX_FILE: Final = 64 << 20
_HEAD: Final = (
    b"# Netscape HTTP Cookie File\n# Written by crawler. Who has this file has your logins: keep it to yourself.\n\n"
)
_BOM: Final = b"\xef\xbb\xbf"
_HTTP_ONLY: Final = "#HttpOnly_"
_SET_COOKIE: Final = "set-cookie:"
_COLUMNS: Final = 7
_TIME: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]*)?")
_NO_COOKIE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f;]")


class Read(NamedTuple):
    """What a file holds: its cookies, without those that have ended, and of each broken line its number and fault."""

    cookies: list[Cookie]
    broken: list[tuple[int, str]]


def read(data: bytes, now: float) -> Read:
    """Read a file. A line that is none costs no other. `now` is seconds since the epoch."""
    found = Read([], [])
    for number, raw in enumerate(data.removeprefix(_BOM).split(b"\n"), 1):
        line = raw.decode("latin-1").removesuffix("\r")
        if not line.strip() or (line.startswith("#") and not line.startswith(_HTTP_ONLY)):
            continue
        try:
            is_header = line[: len(_SET_COOKIE)].lower() == _SET_COOKIE
            cookie = _header(line[len(_SET_COOKIE) :].strip(), now) if is_header else _columns(line)
        except ValueError as error:
            found.broken.append((number, str(error)))
            continue
        if cookie.expires is None or cookie.expires > now:
            found.cookies.append(cookie)
    return found


def write(cookies: Iterable[Cookie]) -> bytes:
    """The bytes of a file."""
    return b"".join([_HEAD, *(_line(cookie).encode("latin-1") for cookie in cookies)])


def _columns(line: str) -> Cookie:
    http_only = line.startswith(_HTTP_ONLY)
    columns = line.removeprefix(_HTTP_ONLY).split("\t")
    if len(columns) == _COLUMNS - 1:  # editors take a tab at the end away
        columns.append("")
    if len(columns) != _COLUMNS:
        words = "column" if len(columns) == 1 else "columns"
        raise ValueError(f"it has {len(columns)} {words} and not {_COLUMNS} with tabs between them")
    domain, below, path, secure, expires, name, value = columns
    for column, flag in (("second", below), ("fourth", secure)):
        if flag.upper() not in {"TRUE", "FALSE"}:
            raise ValueError(f"its {column} column is neither TRUE nor FALSE")
    host = domain.strip().lower().removeprefix(".")
    if not host or not host.isascii() or " " in host:
        raise ValueError("its first column is no domain")
    if not path.startswith("/"):
        raise ValueError('its third column is no path (it begins with "/")')
    if expires and not _TIME.fullmatch(expires):
        raise ValueError("its fifth column is no time (seconds since 1970, or 0)")
    if not (name or value) or len(name) + len(value) > MAX_PAIR or _NO_COOKIE.search(name + value):
        raise ValueError("its name and value are none that a cookie can have")
    return Cookie(
        name,
        value,
        host,
        path,
        host_only=below.upper() == "FALSE",
        secure=secure.upper() == "TRUE",
        http_only=http_only,
        expires=(float(expires or 0) or None),
    )


def _header(text: str, now: float) -> Cookie:
    parsed = parse_set_cookie(text, now)
    if parsed is None:
        raise ValueError("it is no Set-Cookie that could be kept")
    if parsed.domain is None:
        raise ValueError("it names no Domain, so nobody knows whose it is")
    return Cookie(
        parsed.name,
        parsed.value,
        parsed.domain,
        parsed.path or "/",
        host_only=False,
        secure=parsed.secure,
        http_only=parsed.http_only,
        expires=parsed.expires,
        same_site=parsed.same_site,
    )


def _line(cookie: Cookie) -> str:
    return "\t".join((
        f"{_HTTP_ONLY if cookie.http_only else ''}{'' if cookie.host_only else '.'}{cookie.domain}",
        "FALSE" if cookie.host_only else "TRUE",
        cookie.path,
        "TRUE" if cookie.secure else "FALSE",
        "0" if cookie.expires is None else str(math.ceil(cookie.expires)),
        cookie.name,
        cookie.value + "\n",
    ))  # fmt: skip
