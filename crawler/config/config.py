"""Config: every option once, with its kind, unit, default, help and flags; and the one way in for all its sources.

The command line goes before the environment (CRAWLER_CONCURRENCY=8), that before the file of --config, that before the
defaults. A pyproject.toml that happens to lie in the current folder is not read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, Unpack

import msgspec

from crawler.config.hosts import HostOptions
from crawler.config.kinds import Flag, Option, Path, shown
from crawler.config.machines import check_crawl, check_machines
from crawler.config.options.cookies import SESSION
from crawler.config.options.groups import CRAWL, GROUPS, INPUT, PEOPLE
from crawler.config.options.monitor import check_monitors
from crawler.config.options.output import check_template
from crawler.config.options.request import check_request, implied_method
from crawler.config.secrets import check_secrets, presentable, revealed
from crawler.config.sources import ConfigError, Source, combine, from_environment, from_file, from_keywords, read
from crawler.objects.address import is_object

if TYPE_CHECKING:
    from crawler.config.typed import Options

__all__ = [
    "CONFIG_FILE",
    "NAMES",
    "OPTIONS",
    "Config",
    "ConfigError",
    "Settings",
    "Source",
    "resolve",
]


_WITHOUT_FLAG: Final = frozenset({"inputs", "hosts"})
_NOT_RECURSIVE: Final = {"ordered": "links have no order"}
_STREAM: Final = "-"


class Config(HostOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options, read and checked; seconds are float, sizes are bytes. Made by `build`, `from_toml` or `from_env`."""

    quiet: Annotated[
        bool,
        Option(Flag(), PEOPLE, "Say nothing but errors", ("-q",)),
    ] = False
    verbose: Annotated[
        bool,
        Option(Flag(), PEOPLE, "Say of each URL what became of it, also with -o", ("-v",)),
    ] = False
    progress: Annotated[
        bool,
        Option(Flag(), PEOPLE, "Show progress"),
    ] = True
    fail: Annotated[
        bool,
        Option(Flag(), PEOPLE, "Exit with 3 or 4 when a URL failed"),
    ] = False

    @property
    def header_pairs(self) -> tuple[tuple[str, str], ...]:
        """The headers of every request as (name, value), with what is in the environment or a file.

        With a body there are more: see `body_headers`. Raises ValueError.
        """
        told = self.body_headers
        pairs = tuple(header for header in map(revealed, self.headers) if header not in told)
        return pairs if self.referer is None else (*pairs, ("Referer", self.referer))

    @property
    def body_headers(self) -> tuple[tuple[str, str], ...]:
        """Those of the request headers that tell of the body. Raises ValueError."""
        from crawler.models import BODY_HEADERS  # --help needs no models

        if not self.sent:
            return ()
        return tuple(header for header in map(revealed, self.headers) if header[0].lower() in BODY_HEADERS)

    @property
    def declarations(self) -> tuple[str, ...]:
        """What is extracted of each page once: --extract and --text."""
        return self.extract if self.text is None else (*self.extract, f"{self.text}=main:{self.text_format}")

    @property
    def gathers_facts(self) -> bool:
        """Whether records tell what pages say of themselves: it is asked for, or the report of a crawl tells it."""
        return self.page_facts or (self.recursive and self.report is not None)

    @property
    def holds_objects(self) -> bool:
        """Whether an output, or the bodies, go to an object store."""
        return any(map(is_object, (*self.output, *self.overwrite_output, self.items or "", self.bodies or "")))

    @property
    def omits_skips(self) -> bool:
        """Whether links that are skipped without a request have no records."""
        return self.recursive and not self.skipped and not self.dry_run

    def __repr__(self) -> str:
        """What is not as it is without options, and no secrets: a Config is an argument of much that may fail."""
        values = ((option, getattr(self, name)) for name, option in OPTIONS.items())
        given = [f"{o.name}={shown(presentable(o.kind, value))}" for o, value in values if value != o.default]
        return f"Config({', '.join(given)})"

    @classmethod
    def build(cls, **keywords: Unpack[Options]) -> Config:
        """Make a Config of keyword arguments: `Options` by name; `config` names a TOML file that is weaker than they.

        Raises ConfigError.
        """
        return resolve(from_keywords(keywords, NAMES)).config

    @classmethod
    def from_toml(cls, path: str) -> Config:
        """Make a Config of a file. Raises ConfigError."""
        return resolve(from_file(path, OPTIONS)).config

    @classmethod
    def kept(cls, path: str) -> Config:
        """Make a Config of what `to_toml` has written: its secrets are not there, and none is looked for."""
        return resolve(from_file(path, OPTIONS), reads_secrets=False).config

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Make a Config of the variables CRAWLER_*, those of this process unless told. Raises ConfigError."""
        return resolve(from_environment(os.environ if environ is None else environ, NAMES)).config


def _options() -> Iterator[Option]:
    fields = [(field.type.__metadata__[0], field) for field in msgspec.structs.fields(Config)]
    for option, field in sorted(fields, key=lambda pair: GROUPS.index(pair[0].group)):
        long = () if field.name in _WITHOUT_FLAG else (f"--{field.name.replace('_', '-')}",)
        has_long = any(flag.startswith("--") for flag in option.flags)
        flags = option.flags if has_long else (*option.flags, *long)
        yield option._replace(name=field.name, default=field.default, flags=flags)


OPTIONS: Final = {option.name: option for option in _options()}
"""Every option of Config by its name, in the order of the help."""

CONFIG_FILE: Final = Option(
    Path("a file"),
    INPUT,
    "Read options from FILE, or from the table [tool.crawler] of a pyproject.toml",
    ("--config",),
    "FILE.toml",
    "config",
)
"""Not a field of Config: what the file says becomes part of it."""

NAMES: Final = {**OPTIONS, CONFIG_FILE.name: CONFIG_FILE}
"""What may be named everywhere but in a file."""


class Settings(NamedTuple):
    """A Config, and for each option that somebody set the place where that was."""

    config: Config
    origins: Mapping[str, str]


def resolve(*sources: Source, reads_secrets: bool = True, writes_records: bool = True) -> Settings:
    """Make the Config of these sources, the strongest first; a `config` in one names a file that is weaker than all.

    Raises ConfigError, also for secrets that cannot be had now, unless these are not to be read. What outputs want that
    have lines of text, and what a node of a crawl has to be, is not asked for where no records are written.
    """
    naming = next((source for source in sources if CONFIG_FILE.name in source.values), None)
    if naming is not None:
        label = naming.label(CONFIG_FILE.name)
        path = read(CONFIG_FILE, naming.values[CONFIG_FILE.name], label)
        sources = (*sources, from_file(str(path), OPTIONS, label))
    values, origins = combine(reversed(sources), NAMES)
    values.pop(CONFIG_FILE.name, None)
    if values.get("mirror") is not None:
        _imply(values, origins, {"recursive": True, "bodies": values["mirror"], "bodies_as": "url"})
    if values.get("recursive"):
        for option in OPTIONS.values():
            if option.recursive is not None:
                values.setdefault(option.name, option.recursive)
    values.setdefault("method", implied_method(values))
    if values.get("cookie") or values.get("cookie_jar") is not None:
        values.setdefault("cookies", SESSION)
    if values.get("bodies") is not None and not values.get("include_body"):
        for option in OPTIONS.values():
            if option.saving is not None:
                values.setdefault(option.name, option.saving)
    config = Config(**values)  # type: ignore[arg-type]  # as their kinds gave them: not looked at a second time
    if reads_secrets:
        _check_secrets(config, origins)
    _check_together(config, origins)
    check_crawl(config, origins)
    if writes_records:
        check_template(config, origins, config.job)
        check_machines(config, origins)
    return Settings(config, origins)


def _imply(values: dict[str, object], origins: dict[str, str], implied: Mapping[str, object]) -> None:
    """--mirror stands for other options. Raises ConfigError where they say otherwise."""
    if is_object(str(implied["bodies"])):
        raise ConfigError(
            f"{origins['mirror']}: {shown(implied['bodies'])} is no folder (links are rewritten in its files)"
        )
    for name, value in implied.items():
        if values.get(name) is None:
            values[name] = value
            origins[name] = origins["mirror"]
        elif values[name] != value:
            raise ConfigError(f"{origins[name]}: cannot be combined with {origins['mirror']} (that decides it)")
    for option in OPTIONS.values():
        if option.mirrored is not None:
            values.setdefault(option.name, option.mirrored)


def _check_secrets(config: Config, origins: Mapping[str, str]) -> None:
    for name, origin in origins.items():
        try:
            if name == "hosts":
                for table in config.hosts:
                    table.check()
            elif name in OPTIONS:
                check_secrets(OPTIONS[name].kind, getattr(config, name))
        except ValueError as error:
            raise ConfigError(f"{origin}: {error}") from None


_OF_OTHERS: Final = (
    ("bodies_as", "bodies", "names the files of --bodies"),
    ("text_format", "text", "is the form of --text"),
)
"""Options that say something of another one, without which they are nothing."""


def _check_together(config: Config, origins: Mapping[str, str]) -> None:
    """Refuse options that are good each by itself but not with one another."""
    if config.quiet and config.verbose:
        raise ConfigError(f"{origins['quiet']}: cannot be combined with {origins['verbose']}")
    if config.key is not None and config.cert is None:
        raise ConfigError(f"{origins['key']}: is the key of a certificate (add --cert FILE)")
    if config.user is not None and config.bearer is not None:
        raise ConfigError(f"{origins['user']}: cannot be combined with {origins['bearer']} (one of them is sent)")
    if config.ipv4 and config.ipv6:
        raise ConfigError(f"{origins['ipv4']}: cannot be combined with {origins['ipv6']} (without: both families)")
    for option in OPTIONS.values():
        given = option.name in origins and getattr(config, option.name) != option.default
        if given and option.group == CRAWL and not config.recursive and option.name not in {"max_pages", "dry_run"}:
            raise ConfigError(f"{origins[option.name]}: is for crawls (add -r)")
    if config.proxy is not None and config.proxy_file is not None:
        raise ConfigError(f"{origins['proxy_file']}: cannot be combined with {origins['proxy']} (put it into the file)")
    check_request(config, origins)
    if config.cookie_jar is not None and config.cookies != SESSION:
        why = f"{origins['cookies']} {config.cookies} (a jar is that of a session: --cookies run)"
        raise ConfigError(f"{origins['cookie_jar']}: cannot be combined with {why}")
    for name in ("cache_for", "cache_size"):
        if config.cache is None and getattr(config, name) != OPTIONS[name].default:
            raise ConfigError(f"{origins[name]}: is for the cache (add --cache DIR)")
    for name, of, what in _OF_OTHERS:
        typed = origins.get(name, "").startswith(("-", "keyword "))  # a file may have what is for other runs
        if typed and getattr(config, of) is None:
            raise ConfigError(f"{origins[name]}: {what} (add --{of} {OPTIONS[of].metavar})")
    if config.dry_run and config.job is not None:
        raise ConfigError(f"{origins['dry_run']}: cannot be combined with {origins['job']} (it would be written there)")
    if config.recursive:
        for name, why in _NOT_RECURSIVE.items():
            if getattr(config, name) != OPTIONS[name].default:
                raise ConfigError(f"{origins[name]}: cannot be combined with {origins['recursive']} ({why})")
    for name in ("output", "overwrite_output"):
        if config.job is not None and _STREAM in getattr(config, name):
            raise ConfigError(f"{origins[name]}: a job cannot go on in a stream (name a file)")
    if config.warc_max_size is not None and config.job is not None:
        raise ConfigError(f"{origins['warc_max_size']}: a job keeps one file for each output (leave one of them out)")
    taken: dict[str, str] = {}
    for name in ("output", "overwrite_output"):
        for path in getattr(config, name):
            if "://" in path and not is_object(path):
                why = "is a URL, not a file for records (bodies are kept with --bodies DIR --bodies-as name)"
                raise ConfigError(f"{origins[name]}: {shown(path)} {why}")
            if is_object(path) and path.endswith("/") and config.frontier is None:
                raise ConfigError(f"{origins[name]}: {shown(path)} names no object (s3://bucket/key)")
            place = _place(path)
            if place in taken:
                raise ConfigError(f"{origins[name]}: {shown(path)} is already an output ({taken[place]})")
            taken[place] = origins[name]
    for name in ("items", "bodies", "stats", "report", "token_file", "cookie_jar"):
        path = getattr(config, name)
        if path is not None and taken.setdefault(_place(path), origins[name]) != origins[name]:
            raise ConfigError(f"{origins[name]}: {shown(path)} is already an output ({taken[_place(path)]})")
    # An output that replaces one of the inputs would empty it before it is read.
    for path in config.inputs if taken else ():
        if path != _STREAM and ("://" not in path or is_object(path)) and (place := _place(path)) in taken:
            raise ConfigError(f"{taken[place]}: {shown(path)} is also an input")
    check_monitors(config, origins)


def _place(path: str) -> str:
    return path if path == _STREAM or is_object(path) else os.path.realpath(path)
