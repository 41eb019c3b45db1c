"""Words for people and programs in place of a run: what is printed, and what is complained of."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence


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
