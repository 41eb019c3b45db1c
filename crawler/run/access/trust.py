"""From the options to what TLS trusts and shows in a run."""

from __future__ import annotations

from collections.abc import Callable

from crawler.config.config import Config, ConfigError
from crawler.config.hosts import Hosts
from crawler.config.secrets import file_of
from crawler.fetch.connect.trust import Certificate, Policy, check_files, insecure_hosts, places, read_pins
from crawler.run.access.logins import revealed


def make_policy(config: Config, hosts: Hosts | None, typed: Callable[[str], bool]) -> Policy:
    """What holds for which server. Our certificate is shown to hosts that were `typed`. Raises ConfigError."""
    certificate = None
    if config.cert is not None:
        certificate = Certificate(file_of(config.cert), config.key, revealed(config.cert, "--cert"))
    if certificate is not None or config.cacert is not None:
        try:
            check_files(certificate, config.cacert)
        except ValueError as error:
            raise ConfigError(str(error)) from None
    return Policy(
        insecure_at=_insecure_at(config, hosts),
        pins_at=_pins_at(config),
        shown_to=lambda host, _: typed(host),
        certificate=certificate,
        authorities=config.cacert,
        legacy=config.tls_legacy,
    )


def _insecure_at(config: Config, hosts: Hosts | None) -> Callable[[str, int], bool]:
    named = insecure_hosts(config.insecure_host)

    def insecure_at(host: str, port: int) -> bool:
        settings = None if hosts is None else hosts.of(f"{host}:{port}")
        if settings is not None and settings.insecure is not None:
            return settings.insecure
        return config.insecure or named(host, port)

    return insecure_at


def _pins_at(config: Config) -> Callable[[str, int], frozenset[bytes]]:
    pins: dict[str, frozenset[bytes]] = {}
    for text in config.pinnedpubkey:
        place, _, keys = text.partition("=sha256//")
        keys, place = (f"sha256//{keys}", place) if place and "//" not in place else (text, "")
        pins[place] = pins.get(place, frozenset()) | read_pins(keys)

    def pins_at(host: str, port: int) -> frozenset[bytes]:
        for place in (*places(host, port), ""):
            if place in pins:
                return pins[place]
        return frozenset()

    return pins_at
