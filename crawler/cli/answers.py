"""Words for people and programs in place of a run, or before it: what is printed, complained of, and asked."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crawler.config.config import Settings


def version_text() -> str:
    """One line for this program and one for what it stands on; nothing of it is imported to know."""
    from importlib import metadata

    from crawler.version import __version__

    below = ["Python " + ".".join(map(str, sys.version_info[:3]))]
    for name in ("Twisted", "treq", "httptools", "uvloop"):
        try:
            below.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            below.append(f"no {name}")
    return f"crawler {__version__}\n{', '.join(below)}\n"


def schema_text() -> str:
    """The JSON Schema (2020-12) of one line of JSON Lines, as it is written without --fields."""
    import json

    import msgspec

    from crawler.models import SCHEMA_VERSION, Record

    definitions = msgspec.json.schema(Record)["$defs"]
    record = definitions.pop("Record")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:crawler:record:{SCHEMA_VERSION}",
        **record,
        "title": f"crawler record, version {SCHEMA_VERSION}",
        "description": "The one truth about one input. Seconds are numbers, sizes are bytes.",
        # The defaults are Python's; on the wire every key is there.
        "required": list(record["properties"]),
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2) + "\n"


def put(text: str) -> int:
    """Write to standard output. A reader that has gone away is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # JSON and TOML are UTF-8, whatever the terminal's locale
    try:
        print(text, end="", flush=True)
    except OSError as error:
        # What is left in the buffer would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return 0
        print(f"crawler: error: cannot write to standard output: {error.strerror}", file=sys.stderr)
        return 5
    return 0


def complain(message: str, more: Sequence[str] = (), log_format: str = "text") -> int:
    """Say what is wrong, without secrets, on standard error; gives the exit code for that."""
    from crawler.redaction import discreet

    message, more = discreet(message), [*map(discreet, more)]
    if log_format == "json":
        from crawler.monitor.log import say_now
        from crawler.monitor.messages import Said

        say_now(Said("error", "\n".join((message, *more)), "error"), log_format)
    elif sys.stderr is not None:  # else print would take stdout
        from crawler.printable import printable

        print("\n".join(map(printable, (f"crawler: error: {message}", *more))), file=sys.stderr)
    return 2


def with_password(user: object, label: str) -> object:
    """What --user was given; a name without a password gets one that is asked for on the terminal, if there is one."""
    from crawler.config.secrets import Secret

    if not isinstance(user, str) or not user.strip() or ":" in user or not Secret(user).is_typed or not _has_terminal():
        return user
    from getpass import getpass

    return f"{user}:{getpass(f'crawler: password for {label} {user!a}: ')}"


def _has_terminal() -> bool:
    """Whether somebody can be asked, whatever standard input is."""
    if sys.platform == "win32":
        return sys.stdin is not None and sys.stdin.isatty()
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def warn_of_exposed(settings: Settings) -> None:
    """Say once, on standard error, that who lists the processes of this machine reads what was typed."""
    from crawler.config.config import OPTIONS
    from crawler.config.secrets import exposes

    config = settings.config
    flags = [
        flag
        for name, flag in settings.origins.items()
        if flag.startswith("-") and name in OPTIONS and exposes(OPTIONS[name].kind, getattr(config, name))
    ]
    if not flags or config.quiet:
        return
    from crawler.monitor.log import say_now
    from crawler.monitor.messages import Said

    words = f"What {' and '.join(flags)} was given stands in the list of processes: env:NAME or @FILE keeps it out."
    say_now(Said("note", words, "warning", {"options": flags}), config.log_format)
