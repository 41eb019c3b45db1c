"""From the options to the logins of a run: here the secrets are read for good."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.logger import Logger

from crawler.config.config import Config, ConfigError
from crawler.config.hosts import Hosts
from crawler.config.secrets import Secret
from crawler.fetch.auth.credentials import Login
from crawler.fetch.auth.logins import Logins

if TYPE_CHECKING:
    from crawler.fetch.auth.netrc import Netrc

_log = Logger()


def make_logins(config: Config, hosts: Hosts | None = None) -> Logins:
    """The logins of a run, with those that tables of hosts have. Raises ConfigError."""
    return Logins(
        everywhere=None if config.user is None else login_of(config.user, "--user"),
        bearer=None if config.bearer is None else revealed(config.bearer, "--bearer"),
        named={secret.open.removesuffix("="): login_of(secret, "--auth") for secret in config.auth},
        of_host=None if hosts is None else _of_tables(config, hosts),
        netrc=_netrc(config),
        digest_only=config.digest,
    )


def _of_tables(config: Config, hosts: Hosts) -> Callable[[str], Login | None] | None:
    secrets = [table.settings.auth for table in config.hosts if table.settings.auth is not None]
    if not secrets:
        return None
    logins = {secret: login_of(secret, "auth in hosts") for secret in secrets}

    def of_host(host_key: str) -> Login | None:
        settings = hosts.of(host_key)
        return None if settings is None or settings.auth is None else logins[settings.auth]

    return of_host


def login_of(secret: Secret, label: str) -> Login:
    """A login as Logins wants it; `label` names the option. Raises ConfigError."""
    return Login.of(revealed(secret, label))


def revealed(secret: Secret, label: str) -> str:
    try:
        return secret.reveal()
    except ValueError as error:
        raise ConfigError(f"{label}: {error}") from None


def _netrc(config: Config) -> Netrc | None:
    path = config.netrc_file
    if path is None and config.netrc:
        path = os.environ.get("NETRC") or "~/.netrc"
        if sys.platform == "win32" and path == "~/.netrc" and not Path(path).expanduser().exists():
            path = "~/_netrc"
    if path is None:
        return None
    from crawler.fetch.auth.netrc import Netrc

    try:
        netrc = Netrc.read(path)
    except ValueError as error:
        raise ConfigError(f"{'--netrc' if config.netrc_file is None else '--netrc-file'}: {error}") from None
    if netrc.note:
        _log.warn("{note}", note=netrc.note)
    return netrc
