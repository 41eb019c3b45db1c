"""Logins by host from a file ~/.netrc, as ftp, curl and git read it.

Python's own netrc forgets all but the last of two logins for one host, knows hosts in one case alone, refuses a file
that others can read where people want to be told, and quotes what it cannot read, which may be a password.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

from crawler.fetch.auth.credentials import Login
from crawler.redaction import scrub

_LONGEST: Final = 1 << 20
# A comment from a "#" that begins a line, a quoted word with \ for what follows, or a word.
_WORD: Final = re.compile(r'^[ \t]*#[^\n]*|"((?:[^"\\]|\\.)*+)"|([^\s"][^\s]*+)', re.MULTILINE | re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_KEYS: Final = ("login", "password", "account")


class _Entry(NamedTuple):
    host: str | None  # None: of whatever host has no other
    login: Login


class Netrc:
    """The logins of a file. `note` says what people should know about it, without a word of what is in it."""

    def __init__(self, text: str, note: str = "") -> None:
        """Raises ValueError for a text that makes no sense, with the line where it stops to."""
        self.note = note
        self._entries = list(_entries(text))

    @classmethod
    def read(cls, path: str) -> Netrc:
        """Read a file. Raises ValueError for one that cannot be read."""
        place = os.path.expanduser(path)  # noqa: PTH111 - as it was written
        path = repr(scrub(path))
        try:
            with open(place, "rb") as file:  # noqa: PTH123
                mode = os.fstat(file.fileno()).st_mode
                data = file.read(_LONGEST + 1)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {getattr(error, 'strerror', None) or 'no file name'}") from None
        if len(data) > _LONGEST:
            raise ValueError(f"{path}: is larger than a file of logins is: more than {_LONGEST >> 20} MiB")
        note = ""
        if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            note = f"{path} can be read or changed by others on this machine: chmod 600 keeps its passwords to yourself"
        try:
            return cls(data.decode("utf-8-sig"), note)
        except UnicodeDecodeError:
            raise ValueError(f"{path}: is not UTF-8") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def login(self, host: str, *, user: str = "") -> Login | None:
        """The first login for a host (that of `user`, if there is one); of the default entry where it has none."""
        host = host.rstrip(".").lower()
        fitting = [entry for entry in self._entries if not user or entry.login.user == user]
        return next(
            (entry.login for name in (host, None) for entry in fitting if entry.host == name),
            None,
        )

    def __repr__(self) -> str:
        return f"<Netrc of {len(self._entries)} logins>"


def _entries(text: str) -> Iterator[_Entry]:
    words = list(_words(text))
    index = 0

    def value(after: str) -> str:
        nonlocal index
        index += 1
        if index >= len(words):
            raise ValueError(f"line {words[-1][0]}: nothing follows {after}")
        return words[index][1]

    host: str | None = None
    fields: dict[str, str] | None = None
    while index < len(words):
        line, word = words[index]
        if word in ("machine", "default"):
            if fields is not None:
                yield _entry(host, fields)
            host = value(word).rstrip(".").lower() if word == "machine" else None
            fields = {}
        elif word == "macdef":  # up to an empty line
            end = _after_blank_line(text, words[index][0])
            while index + 1 < len(words) and words[index + 1][0] < end:
                index += 1
        elif fields is not None and word in _KEYS:
            fields[word] = value(word)
        else:
            raise ValueError(f"line {line}: none of machine, default, login, password, account and macdef")
        index += 1
    if fields is not None:
        yield _entry(host, fields)


def _entry(host: str | None, fields: dict[str, str]) -> _Entry:
    return _Entry(host, Login(fields.get("login", ""), fields.get("password", "")))


def _words(text: str) -> Iterator[tuple[int, str]]:
    """The words with the numbers of their lines."""
    line, seen = 1, 0
    for found in _WORD.finditer(text):
        line += text.count("\n", seen, found.start())
        seen = found.start()
        if found[1] is not None:
            yield line, _ESCAPE.sub(r"\1", found[1])
        elif found[2] is not None:
            yield line, found[2]


def _after_blank_line(text: str, line: int) -> int:
    """The number of the line behind the next empty one."""
    lines = text.split("\n")
    while line < len(lines) and lines[line].strip():
        line += 1
    return line + 1
