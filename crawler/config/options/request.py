"""The options that say what is asked, and as whom."""

from __future__ import annotations

from typing import Annotated, Final, Literal, get_args

from crawler.config.kinds import Choice, Header, Headers, Line, Option, Seconds, Whole
from crawler.config.options.groups import REQUEST
from crawler.config.options.login import LoginOptions
from crawler.version import __version__

Method = Literal["GET", "HEAD"]
_DAY: Final = 86_400.0


class RequestOptions(LoginOptions, frozen=True, kw_only=True):
    """What is in a request."""

    method: Annotated[
        Method,
        Option(Choice(get_args(Method)), REQUEST, "Request method", ("-X",), "METHOD"),
    ] = "GET"
    headers: Annotated[
        tuple[str, ...],
        Option(
            Headers(Header()),
            REQUEST,
            'Add a request header: "Name: value", or "Name;" for an empty one',
            ("-H", "--header"),
            "HEADER",
        ),
    ] = ()
    user_agent: Annotated[
        str,
        Option(Line(), REQUEST, 'Say who asks, best with an address: "name (+https://...)"', ("-A",), "TEXT"),
    ] = f"crawler/{__version__}"
    ws_messages: Annotated[
        int,
        Option(Whole(0, 10_000), REQUEST, "Take N messages of each ws:// or wss:// URL", metavar="N"),
    ] = 1
    ws_timeout: Annotated[
        float,
        Option(Seconds(0, _DAY), REQUEST, "Wait at most so long for these messages", metavar="TIME"),
    ] = 10.0
