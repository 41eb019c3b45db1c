"""The options that say how servers are reached: addresses, TLS."""

from __future__ import annotations

from typing import Annotated

from crawler.config.kinds import Flag, Option
from crawler.config.options.groups import LOGIN, REQUEST
from crawler.config.options.proxy import ProxyOptions


class NetworkOptions(ProxyOptions, frozen=True, kw_only=True):
    """From a URL to a connection."""

    insecure: Annotated[
        bool,
        Option(Flag(), LOGIN, "Accept any TLS certificate", ("-k",)),
    ] = False
    http2: Annotated[
        bool,
        Option(Flag(), REQUEST, "Speak HTTP/2 with https servers that choose it"),
    ] = False
    https_only: Annotated[
        bool,
        Option(Flag(), REQUEST, "Do not follow redirects from https to http"),
    ] = False
    allow_private: Annotated[
        bool,
        Option(Flag(), REQUEST, "Let redirects and links lead to private addresses"),
    ] = False
