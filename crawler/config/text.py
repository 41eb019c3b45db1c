"""A Config as the text of a file: what --print-config shows, and what a job keeps; and what it means for one host."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from crawler.config.config import OPTIONS, Config, ConfigError
from crawler.config.hosts import KEYS, Hosts
from crawler.config.kinds import pair, shown
from crawler.config.secrets import presentable
from crawler.printable import printable, printable_toml
from crawler.version import __version__


def to_toml(config: Config, origins: Mapping[str, str] | None = None) -> str:
    """Write every option with its value as TOML that `from_toml` reads; comments give help, default and origin.

    Raises ConfigError for a file name that is not UTF-8: TOML cannot hold it.
    """
    lines = [f"# The options of crawler {__version__}, for --config FILE"]
    group = ""
    for option in OPTIONS.values():
        if option.name == "hosts":
            continue  # tables come after all that is in none
        if option.group != group:
            group = option.group
            lines += ["", "", f"# === {group} ==="]
        value = presentable(option.kind, getattr(config, option.name))
        default = option.kind.show(option.default) if option.default not in {None, ()} else "none"
        origin = (origins or {}).get(option.name)
        lines += [
            "",
            f"# {option.help}",
            f"# {option.kind.expected}; default: {default}" + (f"; from {printable(origin)}" if origin else ""),
            f"# {option.name} =" if value is None else f"{option.name} = {toml(value, option.name)}",
        ]
    return "\n".join([*lines, *_host_tables(config, origins or {})]) + "\n"


def settings_made(config: Config, origins: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """The name of each option that was set or is not as it is without options, its value as `to_toml` writes it, and
    what it is for.
    """
    for option in OPTIONS.values():
        value = presentable(option.kind, getattr(config, option.name))
        if option.name not in origins and getattr(config, option.name) == option.default:
            continue
        try:
            if option.name == "hosts":
                text = ", ".join(f"[hosts.{toml(table.pattern, 'hosts')}]" for table in config.hosts)
            else:
                text = "none" if value is None else toml(value, option.name)
        except ConfigError:  # a file name that is no Unicode text
            text = shown(str(value))
        yield option.name, text, option.help


def _host_tables(config: Config, origins: Mapping[str, str]) -> Iterator[str]:
    """The tables of hosts: what is in them is said as for all hosts."""
    option = OPTIONS["hosts"]
    yield from ("", "", "# === Hosts ===", "", f"# {option.help}")
    if not config.hosts:
        yield '# [hosts."example.com"]'
        return
    if "hosts" in origins:
        yield f"# from {printable(origins['hosts'])}"
    for table in config.hosts:
        yield from ("", f"[hosts.{toml(table.pattern, 'hosts')}]")
        yield from (f"{key} = {toml(value, 'hosts')}" for key, value in table.settings.shown())


def at_host(config: Config, host_key: str, origins: Mapping[str, str] | None = None) -> Iterator[str]:
    """A line for each key of the tables: its value at a host, and the table or option that gives it.

    `origins` says where the options of the run were set; without it only what the tables say is told. Of headers the
    names are: their values may be secret.
    """
    said = Hosts(config.hosts).explain(host_key)
    headers = _names(said["headers"][0] if "headers" in said else ())
    more = [name for name in _names(config.headers) if name.lower() not in map(str.lower, headers)]
    for key, name in KEYS.items():
        if key not in said and origins is None:
            continue
        value, pattern = said.get(key, (getattr(config, name), ""))
        if pattern:
            where = f'[hosts."{pattern}"]'
        else:
            where = f"for all hosts: {origins.get(name, 'the default') if origins else 'the default'}"
        if key == "headers":
            words = ", ".join([*headers, *more]) or "none"
            where += ", and for all hosts" if headers and more else ""
        elif value is None:
            words = "none"
        else:
            words = OPTIONS[name].kind.show(value)
        if key == "auth" and value is not None and "authorization" in map(str.lower, [*headers, *more]):
            where += "; but the header Authorization goes before it"
        yield f"{key:<12} {printable(words):<24} {printable(where)}"


def _names(headers: object) -> list[str]:
    assert isinstance(headers, tuple)
    return [pair(header)[0] for header in headers]


def toml(value: object, name: str) -> str:
    """A value of the option `name` as TOML writes it. Raises ConfigError for text that is not UTF-8."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{name}: {shown(value)} is not valid UTF-8 and cannot be written as TOML") from None
        # A JSON string is a TOML basic string, except that TOML wants DEL escaped too.
        return printable_toml(json.dumps(value, ensure_ascii=False))
    if isinstance(value, tuple):
        return f"[{', '.join(toml(item, name) for item in value)}]"
    return "true" if value is True else "false" if value is False else repr(value)
