"""What an option is, and the kinds of values: how each is read, what it allows, how it is shown. Pure.

A kind reads values as Python and TOML give them and the same written as text, so that the command line, the
environment, a file and keyword arguments have one way in. It refuses with a ValueError whose words follow the name of
the option: "'0' is not a whole number from 1 to 10,000".
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, NamedTuple, Protocol

import msgspec

from crawler.objects.address import is_object, local_path, parse_address
from crawler.redaction import discreet, scrub

KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30
TIB: Final = 1 << 40

_TOO_SHORT: Final = 2
_NO_SECRET: Final = 4  # characters
_SHOWN: Final = 80  # characters of a bad value in a message
# Patterns are compiled on first use: --help needs none of them.
_WHOLE: Final = r"[+-]?[0-9]{1,19}"
_SIZE: Final = r"([0-9]{1,19}(?:\.[0-9]+)?) ?(?:([kmgt])(i?)b?|b)?"
_SIZE_UNITS: Final = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": KIB, "mi": MIB, "gi": GIB, "ti": TIB,
}  # fmt: skip
_SECONDS: Final = r"([0-9]{1,19}(?:\.[0-9]*)?|\.[0-9]+) ?(ms|s|m|h|d)?"
_SECONDS_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_HEADER_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # RFC 9110 section 5.6.2
_HOST: Final = r"(?:[0-9A-Za-z._~!$&'()*+,;=%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"  # RFC 3986, 3.2.2
_NOT_IN_A_LINE: Final = "[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]"

_FRAMING: Final = "it follows from the body"
_CONNECTION: Final = "it belongs to the connection, which is kept for you"
RESERVED_HEADERS: Final = {
    "content-length": _FRAMING,
    "transfer-encoding": _FRAMING,
    "trailer": _FRAMING,
    "expect": _FRAMING,
    "accept-encoding": "it names the codings that can be decoded here",
    "connection": _CONNECTION,
    "keep-alive": _CONNECTION,
    "proxy-connection": _CONNECTION,
    "proxy-authorization": "the URL of a proxy has its login (--proxy)",
    "te": _CONNECTION,
    "upgrade": _CONNECTION,
    "user-agent": "--user-agent sets it",
}
"""Request headers that are not the user's to set (lower case) -> the reason."""


class Kind(Protocol):
    """A kind of value. `expected` completes the sentence "this is not ..."."""

    @property
    def expected(self) -> str: ...

    @property
    def takes(self) -> str:
        """The type of a keyword argument, as source (see typed.py).

        Numbers and switches as text are for the environment; in Python "many" for a number is a slip to be told.
        """

    def read(self, raw: object) -> object:
        """Give the value, or raise ValueError."""

    def show(self, value: object) -> str:
        """Write a value as a person would type it."""


class Option(NamedTuple):
    """One option. In Config's annotations `name` and `default` are still open: they are those of the field.

    `recursive` is the default of a crawl, where that is another one; `saving` that of a run with --bodies,
    `mirrored` that of one with --mirror.
    """

    kind: Kind
    group: str
    help: str
    flags: tuple[str, ...] = ()
    metavar: str = ""
    name: str = ""
    default: object = None
    recursive: object = None
    saving: object = None
    mirrored: object = None

    @property
    def opposites(self) -> tuple[str, ...]:
        """The flag that turns a switch the other way: --no-ordered, or --headers for --no-headers."""
        if not isinstance(self.default, bool):
            return ()
        flag = self.flags[-1].removeprefix("--")
        return (f"--{flag.removeprefix('no-')}" if flag.startswith("no-") else f"--no-{flag}",)

    @property
    def repeatable(self) -> bool:
        return isinstance(self.default, tuple)


class Flag(msgspec.Struct, frozen=True):
    takes: ClassVar[str] = "bool"
    expected: str = "true or false (1, 0, yes, no)"

    def read(self, raw: object) -> bool:
        text = str(raw).lower() if isinstance(raw, (str, int)) else ""
        if text in {"1", "true", "yes", "on"}:
            return True
        if text in {"0", "false", "no", "off"}:
            return False
        raise _refusal(raw, self)

    @staticmethod
    def show(value: object) -> str:
        return "true" if value else "false"


class Whole(msgspec.Struct, frozen=True):
    """A whole number from `low` to `high`."""

    takes: ClassVar[str] = "int"
    low: int
    high: int

    @property
    def expected(self) -> str:
        return f"a whole number from {self.low:,} to {self.high:,}"

    def read(self, raw: object) -> int:
        value = int(raw) if isinstance(raw, str) and re.fullmatch(_WHOLE, raw) else raw
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        raise _refusal(raw, self)

    @staticmethod
    def show(value: object) -> str:
        return str(value)


class Size(msgspec.Struct, frozen=True):
    """Bytes from `low` to `high`. A k is 1000, here as in all that is printed; KiB and Ki are 1024."""

    takes: ClassVar[str] = "int | str"
    low: int
    high: int

    @property
    def expected(self) -> str:
        bounds = f"from {self.show(self.low)} to {self.show(self.high)}"
        return f"a size {bounds} (bytes, or with a unit: 500k, 10MiB, 1G; k is 1000, KiB is 1024)"

    def read(self, raw: object) -> int:
        value = raw
        if isinstance(raw, str) and (match := re.fullmatch(_SIZE, raw, re.IGNORECASE)):
            whole, _, fraction = match[1].partition(".")
            unit = _SIZE_UNITS[f"{match[2] or ''}{match[3] or ''}".lower()]
            value = int(whole) * unit + (int(fraction[:9]) * unit // 10 ** len(fraction[:9]) if fraction else 0)
        if isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high:
            return value
        raise _refusal(raw, self)

    @staticmethod
    def show(value: object) -> str:
        assert isinstance(value, int)
        for name, unit in (("TiB", TIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
            if value and value % unit == 0:
                return f"{value // unit}{name}"
        return str(value)


class Seconds(msgspec.Struct, frozen=True):
    """Seconds from `low` to `high`, as a number or as text with a unit."""

    takes: ClassVar[str] = "float | str"
    low: float
    high: float

    @property
    def expected(self) -> str:
        return f"a time from {self.low:g} to {self.high:g} seconds (or with a unit: 500ms, 1.5s, 2m, 1h, 1d)"

    def read(self, raw: object) -> float:
        value = raw
        if isinstance(raw, str) and (match := re.fullmatch(_SECONDS, raw)):
            value = float(match[1]) * _SECONDS_UNITS[match[2] or "s"]
        # Infinity fails the comparison with `high`, not-a-number every comparison.
        if isinstance(value, (int, float)) and not isinstance(value, bool) and self.low <= value <= self.high:
            return float(value)
        raise _refusal(raw, self)

    @staticmethod
    def show(value: object) -> str:
        assert isinstance(value, float)
        return f"{int(value) if math.floor(value) == value else value}s"


class Choice(msgspec.Struct, frozen=True):
    values: tuple[str, ...]

    @property
    def expected(self) -> str:
        return f"one of {', '.join(self.values)}"

    @property
    def takes(self) -> str:
        return "Literal[" + ", ".join(f'"{value}"' for value in self.values) + "]"

    def read(self, raw: object) -> str:
        if isinstance(raw, str) and raw in self.values:
            return raw
        raise _refusal(raw, self)

    @staticmethod
    def show(value: object) -> str:
        return str(value)


class Line(msgspec.Struct, frozen=True):
    """Text that may stand in a header or name a column: not empty, and nothing that could end a line."""

    takes: ClassVar[str] = "str"
    expected: str = "one line of text"

    def read(self, raw: object) -> str:
        if isinstance(raw, str) and (text := raw.strip()) and not re.search(_NOT_IN_A_LINE, text):
            return text
        raise _refusal(raw, self)

    @staticmethod
    def show(value: object) -> str:
        return str(value)


class Path(msgspec.Struct, frozen=True):
    """The name of a file or folder; nothing is looked up. `folder` is for those who complete names.

    With `objects` it may be the address of an object, or of a prefix of some; with `urls` any URL, as it is written.
    """

    takes: ClassVar[str] = "str | PathLike[str]"
    expected: str
    folder: bool = False
    objects: bool = False
    prefixes: bool = False  # also where it is no folder
    urls: bool = False

    def read(self, raw: object) -> str:
        path = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
        if not isinstance(path, str) or not path or "\0" in path:
            raise _refusal(raw, self)
        if "://" not in path or self.urls:
            return path
        if is_object(path):
            if not self.objects:
                raise ValueError(f"{shown(path)} is in an object store: this cannot be there (name {self.expected})")
            return parse_address(path, prefix=self.folder or (self.prefixes and path.endswith("/"))).url
        return local_path(path)

    @staticmethod
    def show(value: object) -> str:
        return str(value)


class Many(msgspec.Struct, frozen=True):
    """Several values of one kind; one alone needs no list."""

    item: Kind
    separators: str = "\n"
    """Where the text of an environment variable is divided. File names may hold spaces: one per line is the rule."""

    @property
    def expected(self) -> str:
        return f"a list, each {self.item.expected}"

    @property
    def takes(self) -> str:
        alone = [name for name in ("str", "PathLike[str]") if name in self.item.takes.split(" | ")]
        return " | ".join([*alone, f"Iterable[{self.item.takes}]"])

    def read(self, raw: object) -> tuple[object, ...]:
        if isinstance(raw, (str, os.PathLike)):
            raw = (raw,)
        if not isinstance(raw, Iterable) or isinstance(raw, (bytes, Mapping)):
            raise _refusal(raw, self)
        return tuple(self.item.read(item) for item in raw)

    def split(self, text: str) -> list[str]:
        """The items of a text that holds several."""
        return [item for item in re.split(f"[{self.separators}]", text) if item.strip()]

    def show(self, value: object) -> str:
        assert isinstance(value, tuple)
        return " ".join(self.item.show(item) for item in value)


class Header(msgspec.Struct, frozen=True):
    """A request header: "Name: value", "Name;" for one without a value (as in curl), or a (name, value) pair."""

    takes: ClassVar[str] = "str | tuple[str, str] | list[str]"
    expected: str = 'a header ("Name: value", or "Name;" for an empty one)'

    def read(self, raw: object) -> str:
        name, value = self._divide(raw)
        if not re.fullmatch(_HEADER_NAME, name):
            raise ValueError(f"{_beginning(name)} is not the name of a header")
        if reason := RESERVED_HEADERS.get(name.lower()):
            raise _refusal(name, f"is refused: {reason}")
        if name.lower() == "host" and not re.fullmatch(_HOST, value):
            raise ValueError(f"{shown(name)} has a value that is no host (example.com, example.com:8080, [::1])")
        # The value may be a secret: only its fault is told.
        if re.search(_NOT_IN_A_LINE, value):
            raise _refusal(name, "has a value with a line end, a NUL or another control character")
        return f"{name}: {value}" if value else f"{name};"

    def _divide(self, raw: object) -> tuple[str, str]:
        if isinstance(raw, str):
            name, colon, value = raw.partition(":")
            name, value = name.strip(" \t"), value.strip(" \t")
            if colon and value:
                return name, value
            if colon:
                raise _refusal(name, f'has no value (write "{name};" to send it empty)')
            if name.endswith(";"):
                return name[:-1], ""
        elif isinstance(raw, (tuple, list)) and len(raw) == 2 and all(isinstance(part, str) for part in raw):
            return raw[0], raw[1].strip(" \t")
        raise ValueError(f"{_beginning(raw)} is not {self.expected}")

    @staticmethod
    def show(value: object) -> str:
        return str(value)


class Headers(Many, frozen=True):
    """Headers; a mapping of names to values will do as well."""

    @property
    def takes(self) -> str:
        return f"{super().takes} | Mapping[str, str]"

    def read(self, raw: object) -> tuple[object, ...]:
        return super().read(tuple(raw.items()) if isinstance(raw, Mapping) else raw)


def pair(header: str) -> tuple[str, str]:
    """(name, value) of a header as the kind Header gives it."""
    name, _, value = header.partition(": ")
    return (name, value) if value else (header[:-1], "")


def _beginning(header: object) -> str:
    """What may be shown of a header that is none: its first word. The rest may be a secret, or a word alone may."""
    if not isinstance(header, (str, bytes, tuple, list)) or len(header) <= _NO_SECRET:
        return shown(header)
    words = header.split(maxsplit=1) if isinstance(header, str) else []
    if len(words) == 2 and re.fullmatch("[A-Za-z][A-Za-z-]{1,30}", words[0]):
        return f"'{words[0]} ...'"
    return f"what was given ({len(header):,} characters)" if isinstance(header, str) else "what was given"


def shown(value: object) -> str:
    """A value as a message quotes it: Python's repr, without passwords, cut."""
    text = discreet(repr(scrub(value) if isinstance(value, str) else value))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 4]}...{text[-1]}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """Words to append to a complaint about an unknown name: the known one that begins so, else one that is close."""
    import difflib  # only who errs waits for this

    bare = _bare(word)
    if len(bare) < _TOO_SHORT:  # what begins with one letter is anybody's guess
        return ""
    names = {_bare(name): name for name in known}
    begins = [name for name in names if bare and name.startswith(bare)]
    close = begins[:1] or difflib.get_close_matches(bare, names, 1)
    return f" (did you mean {names[close[0]]}?)" if close else ""


def _bare(name: str) -> str:
    """A name without what all names of its sort have in common, which would make any two of them look alike."""
    return name.lstrip("-").removeprefix("CRAWLER_").lower()


def _refusal(raw: object, why: Kind | str) -> ValueError:
    # What is in a dict, or bytes, may be a secret: no option that takes one is read here.
    what = type(raw).__name__ if isinstance(raw, (Mapping, bytes)) else shown(raw)
    return ValueError(f"{what} {why if isinstance(why, str) else f'is not {why.expected}'}")
