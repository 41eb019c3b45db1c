"""Where options are written (keyword arguments, the environment, a TOML file), and how they are put together.

Everything that was written is checked, also what a stronger source overrules, and nothing is ignored: an unknown name
is an error like a bad value. A list of a stronger source replaces that of a weaker one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from crawler.config.habits import instead_of_keyword, mistaken
from crawler.config.kinds import Many, Option, shown, suggestion
from crawler.redaction import discreet

ENVIRONMENT: Final = "CRAWLER_"
_LONGEST: Final = 1 << 20
_TABLE: Final = ("tool", "crawler")


class ConfigError(ValueError):
    """What the user wrote cannot be used. One line: where it was written, the bad value, and what is allowed.

    Passwords in it are left out, wherever the words come from.
    """

    def __init__(self, message: str) -> None:
        super().__init__(discreet(message))


class Source(NamedTuple):
    """One place: the raw values by the option's name, and how a person finds an option there."""

    values: Mapping[str, object]
    label: Callable[[str], str]


class Combined(NamedTuple):
    """The values that count, read; and for each the place where it was written."""

    values: dict[str, object]
    origins: dict[str, str]


def from_keywords(keywords: Mapping[str, object], options: Mapping[str, Option]) -> Source:
    _check_names(keywords, options, "keyword argument {}", instead_of_keyword)
    return Source(keywords, lambda name: f"keyword {name}")


def from_environment(environ: Mapping[str, str], options: Mapping[str, Option]) -> Source:
    """The variables CRAWLER_*. A list has one item per line, and where the option says so also commas and spaces."""
    by_variable = {f"{ENVIRONMENT}{name.upper()}": name for name in options}
    variables = {variable: text for variable, text in environ.items() if variable.startswith(ENVIRONMENT)}
    _check_names(variables, by_variable, "environment variable {}")
    values: dict[str, object] = {}
    for variable, text in variables.items():
        kind = options[by_variable[variable]].kind
        values[by_variable[variable]] = kind.split(text) if isinstance(kind, Many) else text
    return Source(values, lambda name: f"{ENVIRONMENT}{name.upper()}")


def from_file(path: str, options: Mapping[str, Option], label: str = "") -> Source:
    """A TOML file: its top level, or [tool.crawler] of a pyproject.toml. `label` is where the file was named."""
    import tomllib

    place = f"{label}: " if label else ""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            text = file.read(_LONGEST + 1)
        table: object = tomllib.loads(text.decode()) if len(text) <= _LONGEST else None
    except OSError as error:
        raise ConfigError(f"{place}cannot read {shown(path)}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, or tables in tables without end
        raise ConfigError(f"{place}{shown(path)} is not valid TOML: {error}") from error
    if len(text) > _LONGEST:
        raise ConfigError(f"{place}{shown(path)} is larger than options are: more than {_LONGEST >> 20} MiB")
    if os.path.basename(path) == "pyproject.toml":  # noqa: PTH119
        for key in _TABLE:
            table = table.get(key) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"{place}{shown(path)} has no table [{'.'.join(_TABLE)}]")
    _check_names(table, options, f"option {{}} in {path}")
    return Source(table, lambda name: f"{name} in {path}")


def combine(sources: Iterable[Source], options: Mapping[str, Option]) -> Combined:
    """Read what the sources give, the weakest first. Raises ConfigError for the first bad value."""
    combined = Combined({}, {})
    for source in sources:
        for name, raw in source.values.items():
            label = source.label(name)
            combined.values[name] = read(options[name], raw, label)
            combined.origins[name] = label
    return combined


def read(option: Option, raw: object, label: str) -> object:
    """Read one value; `label` names the option as the user wrote it. Raises ConfigError."""
    if raw is None and option.default is None:  # "not set" may be said
        return None
    try:
        return option.kind.read(raw)
    except ValueError as error:
        raise ConfigError(f"{label}: {error}{mistaken(label, raw)}") from error


def _check_names(
    given: Iterable[str], known: Iterable[str], phrase: str, instead: Callable[[str], str] = lambda _: ""
) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(f"unknown {phrase.format(shown(name))}{instead(name) or suggestion(name, known)}")
