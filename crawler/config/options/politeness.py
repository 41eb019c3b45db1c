"""The options that say how much is asked at once, and how often."""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec

from crawler.config.kinds import Flag, Line, Option, Seconds, Whole, shown
from crawler.config.options.groups import POLITENESS
from crawler.config.options.limits import CacheOptions

_DAY: Final = 86_400.0
_RATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9}) ?/ ?([0-9]{0,5}) ?(s|m|h|d)", re.ASCII)
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": _DAY}
AUTO: Final = "auto"
_MOST: Final = 1_000_000.0


class Rate(Line, frozen=True):
    """So many in a time: "100/m", also "1/10s". `window` gives the numbers."""

    expected: str = "a rate (100/s, 30/m, 1000/h, 0.5/s; 1/10s is one in ten seconds)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        match = _RATE.fullmatch(text)
        if match is not None and (match[2] == "" or int(match[2])):
            count, seconds = float(match[1]), int(match[2] or 1) * _UNITS[match[3]]
            if count > 0 and seconds <= _DAY and count <= _MOST * seconds and seconds <= _DAY * count:
                return f"{match[1]}/{match[2]}{match[3]}"
            raise ValueError(f"{shown(raw)} is beyond what can be kept (from 1/d to 1000000/s)")
        raise ValueError(f"{shown(raw)} is not {self.expected}")


class Processes(msgspec.Struct, frozen=True):
    """How many processes fetch, or AUTO: as many as there are cores."""

    number: Whole = Whole(1, 1_000)
    takes: str = f'int | Literal["{AUTO}"]'

    @property
    def expected(self) -> str:
        return f"{AUTO}, or {self.number.expected}"

    def read(self, raw: object) -> int | str:
        if raw == AUTO:
            return AUTO
        try:
            return self.number.read(raw)
        except ValueError:
            raise ValueError(f"{shown(raw)} is not {self.expected}") from None

    @staticmethod
    def show(value: object) -> str:
        return str(value)


def window(rate: str) -> tuple[float, float]:
    """Of a rate as the kind Rate gives it: how many, and in how many seconds."""
    count, _, span = rate.partition("/")
    return float(count), int(span[:-1] or 1) * _UNITS[span[-1]]


class PolitenessOptions(CacheOptions, frozen=True, kw_only=True):
    """Concurrency, distances, robots.txt, retries."""

    concurrency: Annotated[
        int,
        Option(Whole(1, 10_000), POLITENESS, "Fetch at most N URLs at once", ("-c",), "N"),
    ] = 64
    procs: Annotated[
        int | str,
        Option(Processes(), POLITENESS, "Fetch with N processes; auto: one for each core", metavar="N|auto"),
    ] = 1
    per_host: Annotated[
        int,
        Option(Whole(1, 10_000), POLITENESS, "Fetch at most N URLs of one host at once", metavar="N", recursive=2),
    ] = 8
    delay: Annotated[
        float,
        Option(
            Seconds(0, _DAY),
            POLITENESS,
            "Wait between the starts of two requests to one host",
            metavar="TIME",
            recursive=0.25,
        ),
    ] = 0.0
    rate: Annotated[
        str | None,
        Option(Rate(), POLITENESS, "Start at most so many requests in a time, of all hosts together", metavar="N/TIME"),
    ] = None
    rate_per_host: Annotated[
        str | None,
        Option(Rate(), POLITENESS, "Start at most so many requests to each host in a time", metavar="N/TIME"),
    ] = None
    robots: Annotated[
        bool,
        Option(Flag(), POLITENESS, "Obey robots.txt", recursive=True),
    ] = False
    adaptive: Annotated[
        bool,
        Option(Flag(), POLITENESS, "Slow down for hosts that answer 429 or 503, time out or reset"),
    ] = True
    retries: Annotated[
        int,
        Option(Whole(0, 100), POLITENESS, "Try a URL again at most N times when that may help", metavar="N"),
    ] = 2
    retry_after_cap: Annotated[
        float,
        Option(Seconds(0, _DAY), POLITENESS, "Longest Retry-After to wait for; beyond, retry last", metavar="TIME"),
    ] = 120.0
