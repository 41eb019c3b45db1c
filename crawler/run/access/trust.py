"""From the options to what TLS trusts and shows in a run."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from crawler.config.config import Config, ConfigError
from crawler.config.hosts import Hosts
from crawler.config.secrets import file_of
from crawler.fetch.connect.trust import Certificate, Policy, Shown, insecure_hosts, places, read_pins
from crawler.redaction import scrub
from crawler.run.access.logins import revealed

_LONGEST: Final = 1 << 20


def make_policy(
    config: Config, hosts: Hosts | None, typed: Callable[[str], bool], shown: Shown | None = None
) -> Policy:
    """What holds for which server. Our certificate is shown to hosts that were `typed`; `shown` hears of theirs. Raises
    ConfigError.
    """
    certificate = None
    if config.cert is not None:
        certificate = Certificate(file_of(config.cert), config.key, revealed(config.cert, "--cert"))
    if certificate is not None or config.cacert is not None:
        _check_files(certificate, config.cacert)
    return Policy(
        insecure_at=_insecure_at(config, hosts),
        pins_at=_pins_at(config),
        shown_to=lambda host, _: typed(host),
        certificate=certificate,
        authorities=config.cacert,
        legacy=config.tls_legacy,
        shown=shown,
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


def _check_files(certificate: Certificate | None, authorities: str | None) -> None:
    """Raise ConfigError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities is not None:
        try:
            context.load_verify_locations(cafile=authorities)
        except ssl.SSLError:
            raise ConfigError(f"--cacert: {scrub(authorities)!r} holds no certificate in PEM") from None
        except OSError as error:
            raise ConfigError(f"--cacert: {scrub(authorities)!r}: {error.strerror}") from None
    if certificate is not None:
        try:
            certificate.load(context)
        except ssl.SSLError as error:
            raise ConfigError(f"--cert: {scrub(certificate.file)!r}: {_why(error, certificate)}") from None
        except OSError as error:
            files = ", ".join(repr(scrub(file)) for file in (certificate.file, certificate.key) if file is not None)
            raise ConfigError(f"--cert: {files}: {error.strerror}") from None


def _why(error: ssl.SSLError, certificate: Certificate) -> str:
    reason = error.reason or ""
    if "MISMATCH" in reason:
        return "the private key is not that of the certificate"
    if _is_locked(certificate.key or certificate.file):
        return (
            "the password of the private key is wrong"
            if certificate.password
            else "its key has a password (FILE:PASSWORD)"
        )
    where = "" if certificate.key else " (--key names another file for the key)"
    return f"has no certificate with its private key in PEM{where}"


def _is_locked(path: str) -> bool:
    """Whether there is a private key that wants a password (RFC 7468 section 11, and the older form of OpenSSL)."""
    with open(path, "rb") as file:  # noqa: PTH123
        return b"ENCRYPTED" in file.read(_LONGEST)
