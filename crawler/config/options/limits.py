"""The options that say what a fetch may take, and what is kept of it for the next run."""

from __future__ import annotations

from typing import Annotated, Final

from crawler.config.kinds import GIB, MIB, TIB, Option, Path, Seconds, Size, Whole
from crawler.config.options.groups import CACHE, LIMITS
from crawler.config.options.request import RequestOptions

_DAY: Final = 86_400.0
_YEARS: Final = 10 * 365 * _DAY


class LimitOptions(RequestOptions, frozen=True, kw_only=True):
    """Times, sizes, redirects."""

    timeout: Annotated[
        float,
        Option(Seconds(0.001, _DAY), LIMITS, "Longest time for a fetch as a whole", ("-t",), "TIME", saving=_DAY),
    ] = 60.0
    dns_timeout: Annotated[
        float,
        Option(Seconds(0.001, _DAY), LIMITS, "Longest time to look up a host's addresses", metavar="TIME"),
    ] = 5.0
    connect_timeout: Annotated[
        float,
        Option(Seconds(0.001, _DAY), LIMITS, "Longest time to connect", metavar="TIME"),
    ] = 10.0
    tls_timeout: Annotated[
        float,
        Option(Seconds(0.001, _DAY), LIMITS, "Longest time for the TLS handshake", metavar="TIME"),
    ] = 10.0
    headers_timeout: Annotated[
        float,
        Option(Seconds(0.001, _DAY), LIMITS, "Longest time from the request to the end of the headers", metavar="TIME"),
    ] = 20.0
    idle_timeout: Annotated[
        float,
        Option(Seconds(0.001, _DAY), LIMITS, "Longest silence inside a body", metavar="TIME"),
    ] = 20.0
    min_rate: Annotated[
        int,
        Option(Size(0, GIB), LIMITS, "Fewest bytes per second after the first 30 s; 0 is off", metavar="SIZE"),
    ] = 100
    limit_rate: Annotated[
        int | None,
        Option(
            Size(1, TIB),
            LIMITS,
            "Take at most so many bytes of bodies per second, of all hosts together",
            metavar="SIZE",
        ),
    ] = None
    max_redirects: Annotated[
        int,
        Option(Whole(0, 100), LIMITS, "Follow at most N redirects", metavar="N"),
    ] = 10
    max_size: Annotated[
        int,
        Option(Size(1, TIB), LIMITS, "Largest body, on the wire and decoded", metavar="SIZE", saving=TIB),
    ] = 10 * MIB
    max_memory: Annotated[
        int | None,
        Option(
            Size(MIB, TIB),
            LIMITS,
            "Memory for the bodies in the air; without: a quarter of what there is, at most 1 GiB",
            metavar="SIZE",
        ),
    ] = None


class CacheOptions(LimitOptions, frozen=True, kw_only=True):
    """What is kept for the next run."""

    cache: Annotated[
        str | None,
        Option(
            Path("a folder", folder=True),
            CACHE,
            "Keep answers in DIR, and ask for none that is fresh there (RFC 9111)",
            metavar="DIR",
        ),
    ] = None
    cache_for: Annotated[
        float | None,
        Option(
            Seconds(1, _YEARS),
            CACHE,
            "Keep every answer below 500, and take it for fresh for so long, whatever its headers say",
            metavar="TIME",
        ),
    ] = None
    cache_size: Annotated[
        int,
        Option(Size(MIB, TIB), CACHE, "Keep at most so much; what was not used for longest goes", metavar="SIZE"),
    ] = GIB
