"""Through which proxies a run goes: what its Config says, or else the environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from crawler.config.config import Config, ConfigError
from crawler.config.hosts import Hosts
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.fetch.connect.bypass import Bypass
from crawler.fetch.connect.proxy import DIRECT, Proxy, parse_proxy
from crawler.fetch.connect.routes import Proxies, Routes, bypass_of, from_environment

_LONGEST: Final = 16 << 20
_SCHEMES: Final = ("http", "https", "ws", "wss")


@dataclass(frozen=True, slots=True)
class Routing:
    """`routes` is None where nothing goes through a proxy. `variables` are those that have said so, and what."""

    routes: Routes | None
    variables: dict[str, str]


def make_routing(
    config: Config,
    environ: Mapping[str, str],
    *,
    now: Callable[[], float],
    hosts: Hosts | None = None,
) -> Routing:
    """What the tables of `hosts` say of one goes before all else.

    Raises ConfigError for a variable or a file that names what is no proxy.
    """
    groups: dict[Proxy, Proxies] = {}

    def group(proxy: Proxy) -> Proxies:
        if proxy not in groups:
            groups[proxy] = Proxies([proxy], now=now, most=config.per_proxy)
        return groups[proxy]

    bypass = bypass_of(environ) if config.noproxy is None else config.noproxy
    by_scheme: dict[str, Proxies] = {}
    variables: dict[str, str] = {}
    if config.proxy_file is not None:
        proxies = Proxies(_read(config.proxy_file), now=now, most=config.per_proxy)
        by_scheme = dict.fromkeys(_SCHEMES, proxies)
    elif config.proxy is not None:
        if config.proxy != DIRECT:
            by_scheme = dict.fromkeys(_SCHEMES, group(config.proxy))
    elif bypass.strip() != "*":
        try:
            found = from_environment(environ)
        except ValueError as error:
            raise ConfigError(f"{error} (--noproxy '*' goes straight)") from None
        by_scheme = {scheme: group(proxy) for scheme, (_, proxy) in found.items()}
        variables = {name: str(proxy) for name, proxy in found.values()}
    socks = any(not proxy.takes_urls for proxies in by_scheme.values() for proxy in proxies.all)
    if socks and (missing := _socks_missing()):
        raise ConfigError(missing.message + (" (--noproxy '*' goes straight)" if variables else ""))
    said = hosts is not None and any(table.settings.proxy is not None for table in config.hosts)
    if not by_scheme and not said:
        return Routing(None, variables)

    def own(host: str, port: int) -> Proxy | None:
        settings = None if hosts is None else hosts.of(f"{host.rstrip('.')}:{port}")
        return None if settings is None else settings.proxy

    return Routing(Routes(by_scheme, bypass=Bypass(bypass), group=group, own=own), variables)


def _read(path: str) -> list[Proxy]:
    """The proxies of a file, one a line; empty lines and those that begin with # do not count."""
    try:
        with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123
            text = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"--proxy-file: cannot read {shown(path)}: {why}") from None
    if len(text) > _LONGEST:
        raise ConfigError(f"--proxy-file: {shown(path)} has more than {_LONGEST >> 20} MiB")
    proxies: list[Proxy] = []
    for number, line in enumerate(text.splitlines(), 1):
        if (line := line.strip()) and not line.startswith("#"):
            try:
                proxies.append(parse_proxy(line))
            except ValueError as error:
                raise ConfigError(f"--proxy-file: line {number} of {shown(path)} {error}") from None
    if not proxies:
        raise ConfigError(f"--proxy-file: {shown(path)} names no proxy")
    return proxies


def _socks_missing() -> CodedError | None:
    from crawler.fetch.connect.socks import socks_missing  # only who has such a proxy waits for this

    return socks_missing()
