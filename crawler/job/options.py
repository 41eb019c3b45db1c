"""Which options of a job may be others in the next run, and what people are told of that. Pure."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from crawler.config.config import OPTIONS, Config, ConfigError
from crawler.config.kinds import Option
from crawler.config.options.groups import (
    ADDRESSES,
    CACHE,
    LIMITS,
    LOGIN,
    MONITORS,
    PEOPLE,
    POLITENESS,
    PROXIES,
    REQUEST,
)
from crawler.config.secrets import Hidden, presentable

# These may change from run to run: they say how URLs are fetched, not which, nor what is written.
_FREE: Final = frozenset({REQUEST, LOGIN, PROXIES, ADDRESSES, POLITENESS, LIMITS, CACHE, PEOPLE, MONITORS})
_UNTOLD: Final = frozenset({PEOPLE, MONITORS})  # nor does it matter to the job what they were
_FREE_TOO: Final = frozenset({"max_pages", "parse_timeout"})
_WHERE: Final = frozenset({"job", "durable"})
INTENT: Final = "again.json"
"""In the folder of a job while what it has is put aside."""


class JobError(ConfigError):
    """The job cannot be worked on as asked: what is in its way, and what may be done."""


def differing(before: Config, after: Config, ignored: AbstractSet[str]) -> list[str]:
    """The options that are not as `before` and decide what is fetched, or what is written; but for those `ignored`."""
    return [
        _name(option)
        for option in OPTIONS.values()
        if option.name not in ignored
        and option.group not in _FREE
        and option.name not in _FREE_TOO - {"max_pages"}
        and _shown(before, option) != _shown(after, option)
    ]


def changes(before: Config, after: Config, path: Path) -> list[str]:
    """Sentences about what is not as `before`. Raises JobError if it is more than may change; `path` has the rest."""
    changed = [
        option
        for option in OPTIONS.values()
        if option.name not in _WHERE and _shown(before, option) != _shown(after, option)
    ]
    bound = [option for option in changed if option.group not in _FREE and option.name not in _FREE_TOO]
    refused = [_name(option) for option in bound]
    if refused:
        raise JobError(f"{', '.join(refused)} must be what this job began with (see {path}), or begin another job")
    told = [option for option in changed if option.group not in _UNTOLD]
    return [_told(option, after) for option in told]


def _shown(config: Config, option: Option) -> object:
    if option.name == "hosts":
        return [(table.pattern, list(table.settings.shown())) for table in config.hosts]
    return presentable(option.kind, getattr(config, option.name))


def _told(option: Option, after: Config) -> str:
    if isinstance(option.kind, Hidden) and getattr(after, option.name) is None:
        return f"{_name(option)} was given in the run before and is not now: a job keeps no secrets"
    return f"{_name(option)} is no longer what it was in the run before"


def _name(option: Option) -> str:
    return option.flags[-1] if option.flags else option.metavar
