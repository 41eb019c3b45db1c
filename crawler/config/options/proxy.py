"""The options that say through which proxies servers are reached."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from crawler.config.kinds import Option, Path, Whole
from crawler.config.options.groups import PROXIES
from crawler.config.options.output import OutputOptions
from crawler.config.secrets import Secret
from crawler.fetch.connect.proxy import DIRECT, Proxy, parse_proxy


class ProxyUrl(msgspec.Struct, frozen=True):
    """The URL of a proxy, or where that is; "" for none, whatever the environment says. Its login is shown nowhere."""

    takes: ClassVar[str] = "str | Proxy"
    expected: str = "the URL of a proxy (http://HOST:PORT; or https, socks5, socks5h), env:NAME or @FILE"

    def read(self, raw: object) -> Proxy:
        if isinstance(raw, Proxy):
            return raw
        if not isinstance(raw, str):
            raise ValueError(f"what was given is not {self.expected}")  # noqa: TRY004 - as all kinds do
        try:
            text = Secret(raw.strip()).reveal().strip()
            return parse_proxy(text) if text else DIRECT
        except ValueError as error:
            raise ValueError(f"what was given {error}") from None

    @staticmethod
    def show(value: object) -> str:
        return "none" if value == DIRECT else str(value)


class Hosts(msgspec.Struct, frozen=True):
    """A list of hosts in one text, as NO_PROXY has it. It may be empty."""

    takes: ClassVar[str] = "str | list[str] | tuple[str, ...]"
    expected: str = "a list of hosts (example.com, 192.0.2.0/24, host:8080), or * for all"

    def read(self, raw: object) -> str:
        if isinstance(raw, (tuple, list)) and all(isinstance(item, str) for item in raw):
            raw = ",".join(raw)
        if isinstance(raw, str) and raw.isprintable():
            return raw.strip()
        raise ValueError(f"what was given is not {self.expected}")

    @staticmethod
    def show(value: object) -> str:
        return str(value)


class ProxyOptions(OutputOptions, frozen=True, kw_only=True):
    """The way to a server."""

    proxy: Annotated[
        Proxy | None,
        Option(
            ProxyUrl(),
            PROXIES,
            "Go through this proxy: http, https, socks5 (names are looked up here) or socks5h (there)",
            ("-x",),
            "URL",
        ),
    ] = None
    proxy_file: Annotated[
        str | None,
        Option(Path("a file"), PROXIES, "Go through these proxies in turn, one a line", metavar="FILE"),
    ] = None
    noproxy: Annotated[
        str | None,
        Option(Hosts(), PROXIES, "Reach these hosts directly, as with NO_PROXY; '*' is all of them", metavar="HOSTS"),
    ] = None
    per_proxy: Annotated[
        int | None,
        Option(Whole(1, 10_000), PROXIES, "Use a proxy for at most N requests at once", metavar="N"),
    ] = None
