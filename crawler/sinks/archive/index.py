"""The index of an archive: CDXJ, a line for each capture, sorted by its key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from heapq import merge
from tempfile import TemporaryFile
from typing import IO, Any, Final

import msgspec

from crawler.files import put_new
from crawler.urls import DEFAULT_PORTS, Url

_RUN: Final = 50_000
_encode: Final = msgspec.json.Encoder().encode
_WWW: Final = re.compile(r"www\d*\.")


class Entry(msgspec.Struct, omit_defaults=True):
    """What a line says of a capture that was just written; where it is becomes known last."""

    url: str
    mime: str
    status: str
    digest: str
    length: str
    offset: str = ""
    filename: str = ""
    method: str | None = None


def key_of(url: Url) -> str:
    """The key of a URL (SURT), as pywb and replayweb.page look for it: com,example)/path?a&b, in lower case."""
    host = _WWW.sub("", url.host, count=1) if url.host.startswith("www") else url.host
    named = ":" not in host and not host.replace(".", "").isdigit()
    place = ",".join(host.split(".")[::-1]) if named else host
    port = "" if url.port == DEFAULT_PORTS.get(url.scheme) else f":{url.port}"
    path, mark, query = url.target.partition("?")
    if mark:
        path = f"{path}?{'&'.join(sorted(query.split('&')))}"
    return f"{place}{port}){path}".lower()


def line_of(url: Url, date: str, fields: dict[str, Any] | Entry) -> str:
    """`date` is that of the record: 2026-11-30T16:00:00.000Z; its digits to the second are the line's."""
    digits = f"{date[:4]}{date[5:7]}{date[8:10]}{date[11:13]}{date[14:16]}{date[17:19]}"
    return f"{key_of(url)} {digits} {_encode(fields).decode()}\n"


class Lines:
    """Any number of lines, given back in order; no more than some are in memory."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._runs: list[IO[str]] = []

    def add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= _RUN:
            self._spill()

    def _spill(self) -> None:
        run = TemporaryFile("w+", encoding="utf-8", newline="\n")  # noqa: SIM115 - `write` closes it
        self._runs.append(run)
        run.writelines(sorted(self._lines))
        self._lines = []

    def write(self, path: str) -> None:
        """Write them to a file, in place of what has its name. Raises OSError."""
        with ExitStack() as resources:
            for run in self._runs:
                resources.enter_context(run).seek(0)
            temporary = f"{path}.{os.getpid()}.part"
            lines: Iterable[str] = merge(*self._runs, sorted(self._lines))
            put_new(temporary, _encoded(lines))
            os.replace(temporary, path)  # noqa: PTH105


def _encoded(lines: Iterable[str]) -> Iterator[bytes]:
    held: list[str] = []
    for line in lines:
        held.append(line)
        if len(held) == 1000:
            yield "".join(held).encode()
            held = []
    yield "".join(held).encode()
