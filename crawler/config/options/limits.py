"""The options that say what a fetch may take."""

from __future__ import annotations

from typing import Annotated, Final

from crawler.config.kinds import GIB, MIB, TIB, Option, Seconds, Size, Whole
from crawler.config.options.groups import LIMITS
from crawler.config.options.request import RequestOptions

_DAY: Final = 86_400.0


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
