"""What the inputs of a run are asked with: the body of --data, --json or --form, and what else goes with them alone."""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from pathlib import Path
from typing import Final, NamedTuple

from crawler.config.config import Config, ConfigError
from crawler.config.kinds import shown
from crawler.config.options.request import check_json
from crawler.models import Ask, Body, FileBody, FormBody, Part
from crawler.seeds.asked import FORM, JSON

MOST_HELD: Final = 64 << 20
"""Bytes of what is read before the run, to be sent from memory: JSON, pipes, and texts that are put together."""

_ANY_TYPE: Final = "application/octet-stream"
_STANDARD_INPUT: Final = "-"
_FILE: Final = re.compile(r'"((?:[^"\\]|\\.)*)"((?:;.*)?)|([^;]*)((?:;.*)?)', re.DOTALL)
_OF_FILE: Final = re.compile(r'\s*;\s*(type|filename)=("(?:[^"\\]|\\.)*"|[^;]*)')
_TYPE: Final = re.compile(r"[^\s;/]+/[^\s;/]+", re.ASCII)
_OF_TEXT: Final = re.compile(r";\s*type=([^\s;/]+/[^\s;/]+)\s*\Z", re.ASCII)


def ask_of(config: Config) -> Ask | None:
    """What comes with each input beside its URL and the method; None if that is nothing.

    Reads what is to be held, and looks at the files that will be sent. Raises ConfigError.
    """
    headers = config.body_headers
    if config.range is not None:
        headers = (*headers, ("Range", f"bytes={config.range}"))
    body: Body | None = None
    kind = None
    for option, values in config.sent.items():
        try:
            if option == "form":
                body = FormBody(tuple(map(_part, values)))
            elif option == "json":
                (text,) = values
                body, kind = _json(text), JSON
                if not any(header.lower().startswith(("accept:", "accept;")) for header in config.headers):
                    headers = (*headers, ("Accept", JSON))
            else:
                body, kind = _joined(values), FORM
        except ValueError as error:
            raise ConfigError(f"--{option}: {error}") from None
    if body is None and not headers:
        return None
    return Ask(headers=headers, body=body, content_type=kind)


def _joined(values: tuple[str, ...]) -> bytes | FileBody:
    if len(values) == 1 and values[0].startswith("@"):
        return _content(values[0][1:])
    pieces = []
    for value in values:
        pieces.append(_held(value[1:]) if value.startswith("@") else value.encode())
        if sum(map(len, pieces)) > MOST_HELD:
            raise ValueError(f"more than {MOST_HELD:,} bytes are put together (send them as one file: @FILE)")
    return b"&".join(pieces)


def _json(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode()
    data = _held(text[1:])
    try:
        check_json(data)
    except ValueError as error:
        raise ValueError(f"{_named_to_people(text[1:])} {error}") from None
    return data


def _part(field: str) -> Part:
    """A field as curl has it: NAME=TEXT;type=, NAME=@FILE;type=;filename=, NAME=<FILE;type=."""
    name, _, value = field.partition("=")
    if value[:1] not in {"@", "<"}:
        typed = _OF_TEXT.search(value)
        return Part(name, (value[: typed.start()] if typed else value).encode(), None, typed[1] if typed else None)
    named = _named(name, value[1:])
    if value.startswith("<"):
        return Part(name, _held(named.path), named.filename, named.content_type)
    filename = named.filename or os.path.basename(named.path)  # noqa: PTH119
    kind = named.content_type or mimetypes.guess_type(filename)[0] or _ANY_TYPE
    return Part(name, _content(named.path), filename, kind)


class _Named(NamedTuple):
    path: str
    filename: str | None
    content_type: str | None


def _named(name: str, text: str) -> _Named:
    """Divide PATH;type=...;filename=...; a path with a semicolon stands in quotes."""
    match = _FILE.fullmatch(text)
    path, rest = (_unquoted(match[1]), match[2]) if match and match[1] is not None else (text, "")
    if match and match[3] is not None:
        path, rest = match[3], match[4]
    found: dict[str, str] = {}
    while rest and (said := _OF_FILE.match(rest)):
        value = said[2].strip()
        found[said[1]] = _unquoted(value[1:-1]) if value.startswith('"') else value
        rest = rest[said.end() :]
    if rest.strip():
        raise ValueError(f"{shown(name)}: {shown(rest)} is not ;type=TYPE or ;filename=NAME (quote a path with ;)")
    if not path:
        raise ValueError(f"{shown(name)}: no file is named")
    kind = found.get("type")
    if kind is not None and not _TYPE.fullmatch(kind):
        raise ValueError(f"{shown(name)}: {shown(kind)} is not a content type (text/plain, image/png)")
    return _Named(path, found.get("filename"), kind)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _content(path: str) -> bytes | FileBody:
    """A plain file, to be read when it is sent, each time; what can be read only once is read now."""
    if path == _STANDARD_INPUT:
        return _held(path)
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        raise ValueError(_cannot(path, error)) from None
    if not stat.S_ISREG(found.st_mode):
        return _held(path)
    if not os.access(path, os.R_OK):
        raise ValueError(f"{shown(path)} cannot be read: Permission denied")
    return FileBody(os.path.abspath(path), found.st_size, found.st_mtime_ns)  # noqa: PTH100 - links stay what they are


def _held(path: str) -> bytes:
    try:
        with open(0 if path == _STANDARD_INPUT else path, "rb", closefd=path != _STANDARD_INPUT) as file:
            data = file.read(MOST_HELD + 1)
    except (OSError, ValueError) as error:
        raise ValueError(_cannot(path, error)) from None
    if len(data) > MOST_HELD:
        raise ValueError(
            f"{_named_to_people(path)} has more than {MOST_HELD:,} bytes (send a plain file with --data @FILE)"
        )
    return data


def _cannot(path: str, error: Exception) -> str:
    return f"{_named_to_people(path)} cannot be read: {getattr(error, 'strerror', None) or error}"


def _named_to_people(path: str) -> str:
    return "standard input" if path == _STANDARD_INPUT else shown(path)
