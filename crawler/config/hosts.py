"""The tables [hosts."example.com"]: what is otherwise for one host, or for all under a domain. Pure.

Each key is an option of a run, by its name or a shorter one, and is read by that option's kind. For each key the table
counts whose pattern is closest to the host: the host itself goes before a domain that it is under, a longer domain
before a shorter one, and with a port before without. `*.example.com` is not example.com; and a pattern without a port
is about ports 80 and 443 alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Annotated, ClassVar, Final, NamedTuple

import msgspec

from crawler.config.kinds import Kind, Option, shown, suggestion
from crawler.config.options.cookies import Cookies
from crawler.config.options.groups import POLITENESS
from crawler.config.options.politeness import PolitenessOptions
from crawler.config.secrets import Secret, check_secrets, presentable
from crawler.fetch.connect.proxy import Proxy

WILDCARD: Final = "*."
_MOST: Final = 10_000
_REMEMBERED: Final = 4096
_DEFAULT_PORTS: Final = frozenset((80, 443))
_EXAMPLE: Final = '[hosts."example.com"]'
KEYS: Final = {
    "concurrency": "per_host",
    "delay": "delay",
    "rate": "rate_per_host",
    "robots": "robots",
    "timeout": "timeout",
    "headers": "headers",
    "auth": "user",
    "proxy": "proxy",
    "insecure": "insecure",
    "cookies": "cookies",
}
"""The keys of a table, and the option of a run that each stands for."""


class HostSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a table says, or what all say together of one host; None where they say nothing."""

    concurrency: int | None = None
    delay: float | None = None
    rate: str | None = None
    robots: bool | None = None
    timeout: float | None = None
    headers: tuple[str, ...] | None = None
    auth: Secret | None = None
    proxy: Proxy | None = None
    insecure: bool | None = None
    cookies: Cookies | None = None

    def shown(self) -> Iterator[tuple[str, object]]:
        """What is said, by key, as it may be shown."""
        for key, value in self.items():
            yield key, presentable(kinds()[key], value)

    def __repr__(self) -> str:
        return repr(dict(self.shown()))

    def check(self) -> None:
        """Raise ValueError for a secret that cannot be had or used."""
        for key, value in self.items():
            try:
                check_secrets(kinds()[key], value)
            except ValueError as error:
                raise ValueError(f"{key}: {error}") from None

    def items(self) -> Iterator[tuple[str, object]]:
        """What is said, by key."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None:
                yield name, value


class HostTable(msgspec.Struct, frozen=True):
    """The settings of a pattern: `example.com`, `*.example.com`, each also with a port, an IPv6 address in brackets."""

    pattern: str
    settings: HostSettings

    def check(self) -> None:
        """Raise ValueError for a secret that cannot be had or used."""
        try:
            self.settings.check()
        except ValueError as error:
            raise ValueError(f"table {shown(self.pattern)}: {error}") from None


class Pattern(NamedTuple):
    """`name` is a host as URLs have it, or `*.` and a domain; without a `port` those of http and https are meant."""

    name: str
    port: int | None

    def __str__(self) -> str:
        name = f"[{self.name}]" if ":" in self.name else self.name
        return name if self.port is None else f"{name}:{self.port}"


def read_pattern(text: object) -> Pattern:
    """Read the name of a table. Raises ValueError, with words that follow the name of the option."""
    from crawler.errors import CodedError  # only who has tables waits for these
    from crawler.urls import parse

    named = isinstance(text, str) and bool(text.strip())
    written = text.strip() if isinstance(text, str) else ""
    if not named or any(character in written for character in "/?#@ \\"):
        raise ValueError(f"{shown(text)} is not a host (example.com, *.example.com or example.com:8443)")
    bare = written.removeprefix(WILDCARD)
    if "*" in bare:
        why = (
            "what holds for all hosts stands outside of the tables"
            if bare == "*"
            else "a star stands for whole labels at the beginning"
        )
        raise ValueError(f"{shown(text)} is not a host ({why}: *.example.com)")
    if bare.count(":") > 1 and not bare.startswith("["):
        raise ValueError(f"{shown(text)} is not a host (an IPv6 address is written in brackets: [::1] or [::1]:8080)")
    has_port = ":" in bare.rpartition("]")[2]
    try:
        url = parse(f"ws://{bare}/")
    except CodedError as error:
        raise ValueError(f"{shown(text)} is not a host: {error.message}") from None
    host = url.host.rstrip(".")
    if bare != written and (":" in host or host.rpartition(".")[2].isdecimal()):
        raise ValueError(f"{shown(text)} is not a host (an address has no hosts under it)")
    return Pattern(f"{WILDCARD}{host}" if bare != written else host, url.port if has_port else None)


class HostTables(msgspec.Struct, frozen=True):
    """Tables by host, each of keys with values; given as one mapping."""

    takes: ClassVar[str] = "Mapping[str, HostKeys] | tuple[HostTable, ...]"

    expected: str = f'tables by host ({_EXAMPLE} in a file, hosts={{"example.com": {{...}}}} in Python)'

    def read(self, raw: object) -> tuple[HostTable, ...]:
        if isinstance(raw, tuple) and all(isinstance(table, HostTable) for table in raw):
            return raw
        if not isinstance(raw, Mapping):
            raise _refusal(f"{shown(raw)} is not {self.expected}")
        if len(raw) > _MOST:
            raise ValueError(f"{len(raw):,} tables are more than {_MOST:,}")
        tables: dict[str, HostTable] = {}
        for name, table in raw.items():
            pattern = str(read_pattern(name))
            if pattern in tables:
                raise ValueError(f'{shown(name)} is the same as another table, "{pattern}"')
            tables[pattern] = HostTable(pattern, self._settings(name, table))
        return tuple(tables.values())

    def _settings(self, name: object, table: object) -> HostSettings:
        place = f"table {shown(name)}"
        if not isinstance(table, Mapping):
            raise _refusal(f"{place}: {shown(table)} is not a table of keys ({', '.join(KEYS)})")
        values: dict[str, object] = {}
        for key, raw in table.items():
            kind = kinds().get(key)
            if kind is None:
                if isinstance(raw, Mapping):
                    raise ValueError(
                        f"{place}: {shown(key)} is a table in a table (write the host in quotes: {_EXAMPLE})"
                    )
                hint = suggestion(str(key), KEYS) or f" ({', '.join(KEYS)})"
                raise ValueError(f"{place}: unknown key {shown(key)}{hint}")
            try:
                values[key] = kind.read(raw)
            except ValueError as error:
                raise ValueError(f"{place}: {key}: {error}") from error
        return msgspec.convert(values, HostSettings)

    @staticmethod
    def show(value: object) -> str:
        assert isinstance(value, tuple)
        return ", ".join(table.pattern for table in value)


def _refusal(words: str) -> ValueError:
    return ValueError(words)


@cache
def kinds() -> dict[str, Kind]:
    """How the keys are read. Most runs have no tables, and the types of options take 5 ms to be looked at."""
    options = {field.name: field.type.__metadata__[0] for field in msgspec.structs.fields(PolitenessOptions)}
    return {key: options[name].kind for key, name in KEYS.items()}


class HostOptions(PolitenessOptions, frozen=True, kw_only=True):
    """What is otherwise for some hosts."""

    hosts: Annotated[
        tuple[HostTable, ...],
        Option(
            HostTables(),
            POLITENESS,
            f"Of a file: what is otherwise for one host, or for all under a domain; keys: {', '.join(KEYS)}",
            metavar='[hosts."HOST"]',
        ),
    ] = ()


class Hosts:
    """Knows the tables; `of` costs O(labels of the host) once, then it is remembered."""

    def __init__(self, tables: Iterable[HostTable]) -> None:
        self._tables = {read_pattern(table.pattern): table for table in tables}
        self.of = lru_cache(_REMEMBERED)(self._merged)

    def matching(self, host_key: str) -> Iterator[HostTable]:
        """The tables about a host (`Url.host_key`), the closest first."""
        host, _, digits = host_key.rpartition(":")
        port = int(digits)
        ports = (port, None) if port in _DEFAULT_PORTS else (port,)
        name, rest = host, host
        while True:
            for number in ports:
                table = self._tables.get(Pattern(name, number))
                if table is not None:
                    yield table
            _, dot, rest = rest.partition(".")
            if not dot:
                return
            name = WILDCARD + rest

    def explain(self, host_key: str) -> dict[str, tuple[object, str]]:
        """For each key that is said of a host, its value and the pattern of the table that says so."""
        said: dict[str, tuple[object, str]] = {}
        for table in self.matching(host_key):
            for key, value in table.settings.items():
                said.setdefault(key, (value, table.pattern))
        return said

    def _merged(self, host_key: str) -> HostSettings | None:
        said = self.explain(host_key)
        if not said:
            return None
        return msgspec.structs.replace(HostSettings(), **{key: value for key, (value, _) in said.items()})
