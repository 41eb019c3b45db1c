"""Secrets: values that are used and never shown, read from where they are kept when they are needed.

`env:NAME` stands for a variable of the environment, `@FILE` for a file; anything else is the secret itself. What may be
shown of one is where it comes from, or `***`.
"""

from __future__ import annotations

import os
import re
from typing import ClassVar, Final

import msgspec

from crawler.config.kinds import Header, Headers, Kind, Line, Many, Path, pair, shown
from crawler.errors import CodedError
from crawler.fetch.connect.proxy import Proxy
from crawler.redaction import is_credential, redact, scrub

HIDDEN: Final = "***"
"""What stands in the place of a secret that was written where others can read it."""

_ENVIRONMENT: Final = "env:"
_FILE: Final = "@"
_LONGEST: Final = 1 << 16
_COLON: Final = re.compile(r"(?<!\\):")
_DRIVE: Final = re.compile(r"[A-Za-z]:[\\/]")


class Secret:
    """A value that nothing shows: not `str`, `repr`, a traceback or a copy on the disk. `reveal` gives it.

    `open` is what may be shown before it: the origin that it is for, or a file's name. Equal are two that were written
    alike.
    """

    __slots__ = ("_text", "open")

    def __init__(self, text: str, *, open: str = "") -> None:  # noqa: A002 - what is open of it
        self._text = text
        self.open: str = open

    @property
    def is_typed(self) -> bool:
        """Whether the secret itself was written, and so stands wherever that was."""
        return bool(self._text) and not self._text.startswith((_ENVIRONMENT, _FILE))

    @property
    def is_lost(self) -> bool:
        """Whether this is what stands in the place of a secret: it is kept nowhere."""
        return self._text == HIDDEN

    @property
    def parts(self) -> tuple[str, str]:
        """What it was made of: for another process of the same run, through what nobody else reads."""
        return self._text, self.open

    def reveal(self) -> str:
        """The secret. Raises ValueError, whose words follow the name of the option, where it cannot be had."""
        text = self._text
        if text == HIDDEN:
            raise ValueError(f"{HIDDEN} is shown in place of a secret: write it again, or env:NAME, or @FILE")
        if text.startswith(_ENVIRONMENT):
            return _of_environment(text.removeprefix(_ENVIRONMENT))
        if text.startswith(_FILE):
            return _of_file(text.removeprefix(_FILE))
        return text

    def __str__(self) -> str:
        return self.open + (HIDDEN if self.is_typed else self._text)

    def __repr__(self) -> str:
        return f"<{self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._text, self.open) == (other._text, other.open)

    def __hash__(self) -> int:
        return hash((self._text, self.open))

    def __reduce__(self) -> tuple[object, ...]:
        """To another process goes only where it comes from: what is pickled may end on a disk."""
        if self.is_typed:
            raise TypeError("a secret is not copied: give it as env:NAME or @FILE")
        return _copied, (self._text, self.open)


def _copied(text: str, open: str) -> Secret:  # noqa: A002 - as above
    return Secret(text, open=open)


def _of_environment(name: str) -> str:
    value = os.environ.get(name)
    if not name or value is None:
        raise ValueError(f"{_ENVIRONMENT}{name}: there is no such variable in the environment")
    if not value.strip():
        raise ValueError(f"{_ENVIRONMENT}{name}: the variable is empty")
    return _line(value, f"{_ENVIRONMENT}{name}: the variable")


def _of_file(path: str) -> str:
    place = f"{_FILE}{scrub(path)}"
    try:
        with open(os.path.expanduser(path), "rb") as file:  # noqa: PTH111, PTH123 - as it was written
            data = file.read(_LONGEST + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"{place}: cannot be read: {getattr(error, 'strerror', None) or 'no file name'}") from None
    if len(data) > _LONGEST:
        raise ValueError(f"{place}: is larger than a secret is: more than {_LONGEST >> 10} KiB")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{place}: is not UTF-8") from None
    if not text.strip():
        raise ValueError(f"{place}: is empty")
    return _line(text, f"{place}:")


def _line(text: str, whose: str) -> str:
    """Without the line end that editors and `echo` write; there is one line in a secret."""
    text = text.removesuffix("\n").removesuffix("\r")
    if not _is_line(text):
        raise ValueError(f"{whose} has more than one line, or control characters")
    return text


def _whose(secret: Secret) -> str:
    return "what was given" if str(secret) == HIDDEN else f"{secret}"


def _is_line(text: str) -> bool:
    return not re.search("[\x00-\x1f\x7f]", text)


def revealed(header: str) -> tuple[str, str]:
    """(name, value) of a header as the kind Header gives it. Raises ValueError, as `Secret.reveal` does."""
    name, value = pair(header)
    try:
        return name, Secret(value).reveal()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def concealed(header: str) -> str:
    """A header as it may be shown: whose name says that it opens something has no value."""
    name, value = pair(header)
    return f"{name}: {Secret(value)}" if is_credential(name) and value else header


def presentable(kind: Kind, value: object) -> object:
    """A value of this kind as it may be shown and kept: without secrets, but for where they come from."""
    if isinstance(value, (Secret, Proxy)):
        return str(value)
    if isinstance(kind, Headers) and isinstance(value, tuple):
        return tuple(map(concealed, value))
    if isinstance(kind, Many) and isinstance(kind.item, Hidden) and isinstance(value, tuple):
        return tuple(map(str, value))
    if _may_be_urls(kind) and isinstance(value, tuple):
        return tuple(map(_without_login, value))
    return value


def without_hidden(urls: tuple[str, ...]) -> tuple[str, ...]:
    """URLs as `presentable` gives them, without what stands in them for a user and a password."""
    return tuple(url.replace(f"://{HIDDEN}@", "://", 1) for url in urls)


def _may_be_urls(kind: Kind) -> bool:
    return isinstance(kind, Many) and isinstance(kind.item, (Path, Line)) and "a URL" in kind.item.expected


def _without_login(text: str) -> str:
    """With *** for the user and password of what is a URL: who reads that again shall not ask without them."""
    if "://" not in text or (plain := redact(text)) == text:
        return text
    return plain.replace("://", f"://{HIDDEN}@", 1)


def exposes(kind: Kind, value: object) -> bool:
    """Whether this value has a secret that was itself written, and not where it is."""
    shown_value = presentable(kind, value)
    texts = shown_value if isinstance(shown_value, tuple) else (shown_value,)
    return isinstance(kind, (Hidden, Headers, Many)) and any(str(text).endswith(HIDDEN) for text in texts)


def check_secrets(kind: Kind, value: object) -> None:
    """Raise ValueError for a value of this kind that is, or has, a secret that cannot be had or used."""
    if _may_be_urls(kind) and isinstance(value, tuple):
        for text, bare in zip(value, without_hidden(value), strict=True):
            if text != bare:
                raise ValueError(
                    f"{bare!r} had a user and a password, which are not kept (give them with --auth or -u)"
                )
    kind, values = (kind.item, value) if isinstance(kind, Many) else (kind, (value,))
    check = kind.check if isinstance(kind, Hidden) else revealed if isinstance(kind, Header) else None
    assert isinstance(values, tuple)
    for secret in values if check is not None else ():
        if secret is not None and check is not None:
            check(secret)


class Hidden(msgspec.Struct, frozen=True):
    """A secret of one line. Only its form is looked at when options are read: `check` looks at the secret itself."""

    takes: ClassVar[str] = "str | Secret"
    expected: str = "a secret, or where it is: env:NAME or @FILE"

    def read(self, raw: object) -> Secret:
        if isinstance(raw, Secret):
            return raw
        if not isinstance(raw, str) or not raw.strip():
            raise ValueError(f"what was given is not {self.expected}")
        return Secret(raw)

    def check(self, secret: Secret) -> None:
        """Raise ValueError for a secret that cannot be had or used; its words never quote it."""
        text = secret.reveal()
        if not _is_line(text):
            raise ValueError(f"{_whose(secret)} has more than one line, or control characters")

    @staticmethod
    def show(value: object) -> str:
        return str(value)


class Token(Hidden, frozen=True):
    """What may follow "Bearer" (RFC 6750 section 2.1), and is sent as it is."""

    expected: str = "a token of ASCII without spaces, or where it is: env:NAME or @FILE"

    def check(self, secret: Secret) -> None:
        if not re.fullmatch("[\x21-\x7e]+", secret.reveal()):
            raise ValueError(f"{_whose(secret)} is not {self.expected}")


class Login(Hidden, frozen=True):
    """USER:PASSWORD. The user's name has no colon (RFC 7617 section 2); the password may be empty."""

    takes: ClassVar[str] = "str | tuple[str, str] | Secret"
    expected: str = "USER:PASSWORD, or where that is: env:NAME or @FILE"

    def read(self, raw: object) -> Secret:
        """A pair of user and password, as requests has it, will do as well."""
        if (
            isinstance(raw, tuple)
            and len(raw) == 2
            and all(isinstance(part, str) for part in raw)
            and ":" not in raw[0]
        ):
            raw = ":".join(raw)
        return super().read(raw)

    def check(self, secret: Secret) -> None:
        super().check(secret)
        if ":" not in secret.reveal():
            raise ValueError(f"{_whose(secret)} has no password (USER:PASSWORD; with a colon alone it is empty)")


class OriginLogin(Login, frozen=True):
    """ORIGIN=USER:PASSWORD; the origin is in the form of a URL's: https://example.org, with a port where it has one."""

    takes: ClassVar[str] = "str | Secret"
    expected: str = "ORIGIN=USER:PASSWORD, as https://example.org=joe:secret (or ORIGIN=env:NAME, ORIGIN=@FILE)"

    def read(self, raw: object) -> Secret:
        if isinstance(raw, Secret):
            return raw
        origin, equals, login = raw.partition("=") if isinstance(raw, str) else ("", "", "")
        if not equals or not login.strip() or not origin.lower().startswith(("http://", "https://", "ws://", "wss://")):
            raise ValueError(f"what was given is not {self.expected}")  # any part of it may be the secret
        from crawler.urls import parse  # 10 ms that --help does not need

        try:
            url = parse(origin)
        except CodedError as error:
            raise ValueError(f"{shown(origin)} is not an origin: {error.message}") from None
        if url.target != "/" or url.userinfo or origin.endswith(("?", "#")):
            raise ValueError(f"{shown(origin)} is not an origin (scheme, host and port alone: {url.site})")
        return Secret(login, open=f"{url.site}=")


class FilePassword(Hidden, frozen=True):
    r"""FILE[:PASSWORD], as curl has it: a colon in the file's name is written `\:`, but for that of a drive."""

    expected: str = "a file, or FILE:PASSWORD (FILE:env:NAME, FILE:@FILE)"

    def read(self, raw: object) -> Secret:
        if isinstance(raw, Secret):
            return raw
        if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
            raise ValueError(f"what was given is not {self.expected}")
        found = _COLON.search(raw, 2 if _DRIVE.match(raw) else 0)
        end = len(raw) if found is None else found.end()
        return Secret(raw[end:], open=raw[:end])

    def check(self, secret: Secret) -> None:
        if secret.open.endswith(":"):
            super().check(secret)


def file_of(secret: Secret) -> str:
    """The name of the file of a FilePassword."""
    return secret.open.removesuffix(":").replace("\\:", ":")
