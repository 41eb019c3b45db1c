"""Names of fields and what is inside them, as --fields takes them: `status`, `data.price`, `data.tags[0]`; and texts
with such names in braces, as --template takes them. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import Formatter
from typing import Any, Final, NamedTuple

Step = str | int
"""A key of an object, or a place in a list: from 0, or from the end below that."""

_PATH: Final = re.compile(r"""([A-Za-z_]\w*)((?:\.[^.\[\]"]+|\[-?[0-9]{1,9}\]|\["[^"]+"\])*)""")
_STEP: Final = re.compile(r"""\.([^.\[\]"]+)|\[(-?[0-9]+)\]|\["([^"]+)"\]""")

FIELDS: Final = (
    "url", "final_url", "input", "outcome", "error", "warnings", "method", "status", "http_version", "headers",
    "content_type", "charset", "size_download", "size_body", "truncated", "sha256", "duplicate_of", "redirects",
    "attempts", "remote_ip", "reused", "proxy", "cache", "started", "time_queue", "time_namelookup",
    "time_connect", "time_appconnect", "time_starttransfer", "time_total", "title", "links", "data", "meta",
    "body", "body_encoding", "body_path", "page",
)  # fmt: skip
"""The fields of a record. They are told here once more: who completes or refuses a name loads no record for it."""

PARTS: Final = (
    "input_source", "input_line", "input_parent", "input_depth",
    "error_code", "error_phase", "error_transient", "error_message",
)  # fmt: skip
"""The parts of `input` and `error`, as --fields and CSV name them."""

_ESCAPE: Final = re.compile(r"\\([ntr\\])")
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
_SPEC: Final = re.compile(r"(?:.?[<>=^])?[+\- ]?z?#?0?\d{0,4}[,_]?(?:\.\d{1,4})?[a-zA-Z%]?", re.DOTALL)


class Piece(NamedTuple):
    """Text that stands as it is, and the field after it, if any, with how it is to be formatted."""

    text: str
    field: str | None = None
    spec: str = ""


def parse_template(text: str) -> Iterator[Piece]:
    r"""The pieces of a text like `{status:>3} {url}\n`: as str.format has it, with \n, \t, \r and \\ as curl has them.

    Raises ValueError, not for names that no record has.
    """
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{error} (a brace that is none is written twice: {{{{ and }}}})") from None
    for literal, field, spec, conversion in parsed:
        before = _ESCAPE.sub(lambda match: _ESCAPES[match[1]], literal)
        if field is None:
            yield Piece(before)
            continue
        if not field:
            raise ValueError("has {} without the name of a field (as {url})")
        if conversion:
            raise ValueError(f"has !{conversion} in {{{field}}}: there is nothing to convert (leave it out)")
        if not _SPEC.fullmatch(spec or ""):
            raise ValueError(f"has {{{field}:{spec}}}: that is no way to format (as {{url:<60}}, {{time_total:.3f}})")
        yield Piece(before, field, spec or "")


def parse_path(text: str) -> tuple[str, tuple[Step, ...]]:
    """The name of the field, and the steps into what it holds. A key with a dot in it stands in `["..."]`.

    Raises ValueError.
    """
    match = _PATH.fullmatch(text)
    if match is None:
        raise ValueError('is no field and no path into one (as data.price, data.tags[0], data["a.b"])')
    return match[1], tuple(int(place) if place else key or quoted for key, place, quoted in _STEP.findall(match[2]))


def reach(value: Any, steps: tuple[Step, ...]) -> Any:
    """What is there, or None."""
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        elif isinstance(value, (list, tuple)) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return None
        if value is None:
            return None
    return value
