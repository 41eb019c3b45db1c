"""The options of a crawl that many machines work on."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Annotated, Final, Protocol
from urllib.parse import urlsplit

from crawler.config.kinds import Flag, Line, Option, Seconds, shown
from crawler.config.options.groups import MACHINES
from crawler.config.options.monitor import MonitorOptions
from crawler.config.secrets import HIDDEN, Hidden, Secret
from crawler.config.sources import ConfigError
from crawler.objects.address import is_object

SCHEMES: Final = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
_DATABASE: Final = re.compile(r"(/[0-9]{0,9})?", re.ASCII)
_CRAWL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)


class StoreAddress(Secret):
    """Where the store is; its user and password are shown to nobody."""

    __slots__ = ()

    def __str__(self) -> str:
        return super().__str__() if "://" not in self.parts[0] else _plain(self.parts[0])

    @property
    def is_typed(self) -> bool:
        return super().is_typed and "@" in self.parts[0]


class StoreUrl(Hidden, frozen=True):
    """redis://HOST[:PORT][/NUMBER] or unix:///PATH, with a user and a password where it has them."""

    expected: str = (
        "the URL of a Redis or Valkey (redis://host:6379/0, rediss:// with TLS, unix:///path), or env:NAME or @FILE"
    )

    def read(self, raw: object) -> Secret:
        text, beside = super().read(raw).parts
        if not text.startswith(("env:", "@")) and text != HIDDEN:
            self._check(text)
        return StoreAddress(text, open=beside)

    def check(self, secret: Secret) -> None:
        super().check(secret)
        self._check(secret.reveal())

    def _check(self, text: str) -> None:
        try:
            parts = urlsplit(text)
            place = parts.path if parts.scheme == "unix" else parts.hostname
            good = parts.scheme in SCHEMES and place and (parts.port or 1) and not parts.fragment
            good = good and (parts.scheme == "unix" or _DATABASE.fullmatch(parts.path) is not None)
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"{shown(_plain(text))} is not {self.expected}")


class CrawlId(Line, frozen=True):
    """What a crawl is called in its store: it is part of the names of keys and files."""

    expected: str = "a name of a crawl (letters, digits, _, . and -, at most 64)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        if not _CRAWL_ID.fullmatch(text):
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return text


class MachineOptions(MonitorOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the frontier is that many machines share."""

    frontier: Annotated[
        Secret | None,
        Option(
            StoreUrl(),
            MACHINES,
            "Share the crawl with all who name the same Redis and --crawl-id: redis://host/0",
            metavar="URL",
        ),
    ] = None
    crawl_id: Annotated[
        str | None,
        Option(CrawlId(), MACHINES, "The name of the crawl in that Redis, where there may be several", metavar="NAME"),
    ] = None
    lease: Annotated[
        float,
        Option(
            Seconds(1.0, 3_600.0),
            MACHINES,
            "For how long a node that is gone holds its hosts: then others go on with them",
            metavar="TIME",
        ),
    ] = 30.0
    yes: Annotated[
        bool,
        Option(Flag(), MACHINES, "Of `crawler forget`: do not ask"),
    ] = False


_NOT_TOGETHER: Final = {
    "job": "the store keeps the crawl",
    "since": "what was there before is not known to all nodes",
    "bodies": "bodies are not kept by several nodes",
    "mirror": "a copy is not made by several nodes",
    "items": "items are in the records: data",
    "skipped": "what is not followed has no record",
    "dry_run": "nothing is to be shared",
    "template": "the parts are JSON Lines",
}
"""Options that a node does not have, and why."""


class Asked(Protocol):
    """The options that are looked at together: those of a Config."""

    @property
    def frontier(self) -> Secret | None: ...

    @property
    def crawl_id(self) -> str | None: ...

    @property
    def recursive(self) -> bool: ...

    @property
    def scope(self) -> str: ...

    @property
    def output(self) -> tuple[str, ...]: ...

    @property
    def overwrite_output(self) -> tuple[str, ...]: ...


def check_crawl(config: Asked, origins: Mapping[str, str]) -> None:
    """Refuse a crawl without a store, and a store without a crawl. Raises ConfigError."""
    if config.frontier is None:
        for name in ("crawl_id", "lease"):
            if origins.get(name, "").startswith(("-", "keyword ")):
                raise ConfigError(f"{origins[name]}: is of a crawl over many machines (add --frontier redis://HOST/0)")
        return
    of = origins["frontier"]
    if config.crawl_id is None:
        raise ConfigError(f"{of}: the crawl has no name (add --crawl-id NAME, the same on each machine)")


def check_machines(config: Asked, origins: Mapping[str, str]) -> None:
    """Refuse what a node cannot do. Raises ConfigError."""
    if config.frontier is None:
        return
    of = origins["frontier"]
    if not config.recursive:
        raise ConfigError(f"{of}: is for crawls (add -r; for lists there is `crawler split`)")
    for name, why in _NOT_TOGETHER.items():
        if getattr(config, name):
            raise ConfigError(f"{origins.get(name, name)}: cannot be combined with {of} ({why})")
    outputs = (*config.output, *config.overwrite_output)
    if len(outputs) > 1:
        raise ConfigError(f"{of}: the parts go to one folder ({len(outputs)} outputs are named)")
    for output in config.overwrite_output:
        raise ConfigError(f"{shown(output)}: nodes of a crawl add their parts to what is there (-o {output})")
    for output in outputs:
        if is_object(output):
            if not output.endswith("/"):
                words = f"the parts of a crawl go to a prefix of objects (-o {output}/), or a folder, which all reach"
                raise ConfigError(f"{shown(output)}: {words}")
        elif not output.endswith("/") and not os.path.isdir(output):  # noqa: PTH112
            raise ConfigError(f"{shown(output)}: the parts of a crawl go to a folder that all machines reach (-o DIR/)")


def _plain(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}{separator}{place.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
