"""The options of those who watch and steer a run. Config has them, as all others: this is a part of its list."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, get_args

import msgspec

from crawler.config.kinds import Choice, Line, Option, Path, shown
from crawler.config.options.groups import MONITORS

LogFormat = Literal["text", "json"]

_PLACE: Final = re.compile(r"(?:(?P<host>[^:/\[\]]*|\[[0-9a-f:.]+\]):)?(?P<port>\d{1,5})", re.IGNORECASE | re.ASCII)


class Place(NamedTuple):
    """A port of this machine: 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def loopback(text: str) -> Place | None:
    """Read [HOST:]PORT; None when it has another form. Raises ValueError for what is no port of this machine.

    Whoever gets at a monitor steers the run, and what it says is not encrypted: it listens on loopback alone.
    """
    match = _PLACE.fullmatch(text)
    if match is None:
        return None
    host, port = (match["host"] or "localhost").strip("[]").lower(), int(match["port"])
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        address = None
    if address is None or not address.is_loopback:
        raise ValueError(f"{shown(text)} is not on this machine alone (127.0.0.1:{port}; from elsewhere by ssh -L)")
    if port > 65_535:
        raise ValueError(f"{shown(text)}: there is no port {port} (0 to 65535)")
    return Place(str(address), port)


class LoopbackPort(Line, frozen=True):
    """[HOST:]PORT of this machine, in the form HOST:PORT; also a number."""

    takes: ClassVar[str] = "int | str"
    expected: str = "a port of this machine (8080, 127.0.0.1:8080, [::1]:8080; 0 is any that is free)"

    def read(self, raw: object) -> str:
        text = super().read(str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw)
        place = loopback(text)
        if place is None:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return str(place)


class MonitorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a run may be watched and steered, and what it leaves to be read."""

    dashboard: Annotated[
        str | None,
        Option(
            LoopbackPort(),
            MONITORS,
            "Show the run on a live page, which can steer it; a port of this machine, 0 for any that is free",
            metavar="[HOST:]PORT",
        ),
    ] = None
    console: Annotated[
        str | None,
        Option(
            Line("a socket file, or HOST:PORT"),
            MONITORS,
            "Let `crawler attach` watch and steer the run, through a socket file or a port of this machine",
            metavar="PATH",
        ),
    ] = None
    metrics: Annotated[
        str | None,
        Option(
            LoopbackPort(),
            MONITORS,
            "Serve the counts to Prometheus at /metrics, on a port of this machine",
            metavar="[HOST:]PORT",
        ),
    ] = None
    token_file: Annotated[
        str | None,
        Option(
            Path("a file"),
            MONITORS,
            "Let in who knows the token in FILE; made when it is not there. Without: a new token for each run",
            metavar="FILE",
        ),
    ] = None
    report: Annotated[
        str | None,
        Option(
            Path("a file"),
            MONITORS,
            "Write a page of plots about the run to FILE.html in the end; replaces FILE.html",
            metavar="FILE.html",
        ),
    ] = None
    stats: Annotated[
        str | None,
        Option(
            Path("a file"),
            MONITORS,
            "Write to FILE what the run came to: counts, rates, times and errors, as JSON; replaces FILE",
            metavar="FILE",
        ),
    ] = None
    log_format: Annotated[
        LogFormat,
        Option(
            Choice(get_args(LogFormat)),
            MONITORS,
            "Say what is to be said on standard error as text for people, or as a line of JSON each",
            metavar="FORMAT",
        ),
    ] = "text"
