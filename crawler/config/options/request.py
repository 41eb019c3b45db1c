"""The options that say what is asked, and as whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Annotated, ClassVar, Final
from urllib.parse import urlencode

import msgspec

from crawler.config.kinds import Choice, Flag, Header, Headers, Line, Many, Option, Seconds, Whole, shown
from crawler.config.options.cookies import CookieOptions
from crawler.config.options.groups import REQUEST
from crawler.config.sources import ConfigError
from crawler.version import __version__

_DAY: Final = 86_400.0
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}"  # RFC 9110 section 5.6.2
_RANGE: Final = r"(?:bytes=)?((?:\d{1,18}-\d{0,18}|-\d{1,18})(?:,(?:\d{1,18}-\d{0,18}|-\d{1,18})){0,9})"


class Method(Choice, frozen=True):
    """A method. They are told apart by case (RFC 9110 section 9.1); nobody means another one by "post"."""

    values: tuple[str, ...] = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

    @property
    def expected(self) -> str:
        return f"a method ({', '.join(self.values)}, or another token)"

    @property
    def takes(self) -> str:
        return "str"

    def read(self, raw: object) -> str:
        if not isinstance(raw, str) or not re.fullmatch(_WORD, raw):
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        method = raw.upper() if raw.upper() in self.values else raw
        if method.upper() == "CONNECT":
            raise ValueError(f"{shown(raw)} is refused: it makes tunnels, and asks for nothing")
        return method


class Data(Line, frozen=True):
    """Text of any kind, or @ and the name of a file that is read when the run begins. What is refused is not shown."""

    takes: ClassVar[str] = "str | PathLike[str]"
    expected: str = "text, or @FILE"

    def read(self, raw: object) -> str:
        if isinstance(raw, PathLike):
            raw = f"@{fspath(raw)}"
        if not isinstance(raw, str) or raw == "@" or (raw.startswith("@") and "\0" in raw):
            raise ValueError(f"what was given is not {self.expected}")
        if not raw.startswith("@"):
            try:
                raw.encode()
            except UnicodeEncodeError:
                raise ValueError("what was given is not Unicode text (put it in a file: @FILE)") from None
        return raw


class FormData(Many, frozen=True):
    """Data that is joined with &; a mapping, or (name, value) pairs, are the fields of a form."""

    @property
    def takes(self) -> str:
        return "str | PathLike[str] | Iterable[str | PathLike[str] | tuple[Any, Any]] | Mapping[Any, Any]"

    def read(self, raw: object) -> tuple[object, ...]:
        if isinstance(raw, list) and raw and all(isinstance(field, tuple) and len(field) == 2 for field in raw):
            raw = urlencode(raw, doseq=True)
        if isinstance(raw, Mapping):
            raw = urlencode(list(raw.items()), doseq=True)
        return super().read(raw)


class Json(Data, frozen=True):
    """JSON as text, or @ and the name of a file; in Python and in TOML also a value."""

    takes: ClassVar[str] = "object"
    expected: str = "JSON, or @FILE"

    def read(self, raw: object) -> str:
        text = super().read(raw) if isinstance(raw, (PathLike, str)) else _json(raw)
        if not text.startswith("@"):
            check_json(text)
        return text


def check_json(text: str | bytes) -> None:
    """Raise ValueError for what is no JSON; its words tell where, and nothing of the text."""
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"is not JSON: {str(error).removeprefix('JSON is malformed: ')}") from None


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it cannot be written as JSON: {error}") from None


class Field(Data, frozen=True):
    """A field of a form, as curl has it: NAME=TEXT, NAME=@FILE or NAME=<FILE."""

    takes: ClassVar[str] = "str"
    expected: str = "a field of a form (NAME=TEXT, NAME=@FILE, or NAME=<FILE for what is in a file as text)"

    def read(self, raw: object) -> str:
        name, equals, _ = raw.partition("=") if isinstance(raw, str) else ("", "", "")
        if not equals or not name or re.search("[\0-\x1f\x7f]", name):
            raise ValueError(f"what was given is not {self.expected}")
        return super().read(raw)


class Form(Many, frozen=True):
    """Fields; a mapping will do as well: of names to text, or to paths for files."""

    @property
    def takes(self) -> str:
        return f"{super().takes} | Mapping[str, object]"

    def read(self, raw: object) -> tuple[object, ...]:
        if isinstance(raw, Mapping):
            if not all(isinstance(name, str) for name in raw):
                raise ValueError("what was given is not a mapping of names (text) to values")
            raw = [f"{name}={f'@{fspath(to)}' if isinstance(to, PathLike) else to}" for name, to in raw.items()]
        return super().read(raw)


class Range(Line, frozen=True):
    """Bytes of a file, counted from 0: RFC 9110 section 14.1.2."""

    expected: str = "a range of bytes (0-499 the first 500, 500- all after these, -500 the last 500)"

    def read(self, raw: object) -> str:
        match = re.fullmatch(_RANGE, raw.replace(" ", "")) if isinstance(raw, str) else None
        if match is None:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        for part in match[1].split(","):
            first, _, last = part.partition("-")
            if first and last and int(first) > int(last):
                raise ValueError(f"{shown(raw)} ends before it begins (write {last}-{first})")
        return match[1]


class Referer(Line, frozen=True):
    """The URL that led here, without what a browser leaves out of it (RFC 9110 section 10.1.3)."""

    expected: str = "a URL (http:// or https://)"

    def read(self, raw: object) -> str:
        text = super().read(raw).partition("#")[0]
        match = re.match(r"https?://([^/?#]*)", text, re.IGNORECASE)
        if match is None or not match[1] or not text.isascii():
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        if "@" in match[1]:
            raise ValueError(f"{shown(raw)} has a user name or password, which no server must learn (leave it out)")
        return text


class RequestOptions(CookieOptions, frozen=True, kw_only=True):
    """What is in a request."""

    method: Annotated[
        str,
        Option(
            Method(),
            REQUEST,
            "Request method; with a body it is POST unless said",
            ("-X", "--request", "--method"),
            "METHOD",
        ),
    ] = "GET"
    data: Annotated[
        tuple[str, ...],
        Option(
            FormData(Data()),
            REQUEST,
            "Send TEXT or what is in FILE, as fields of a form unless a header says what it is; joined with &",
            ("-d", "--data"),
            "TEXT|@FILE",
        ),
    ] = ()
    json: Annotated[
        str | None,
        Option(Json(), REQUEST, "Send JSON, and ask for JSON", metavar="TEXT|@FILE"),
    ] = None
    form: Annotated[
        tuple[str, ...],
        Option(
            Form(Field()),
            REQUEST,
            "Send a form with a field, or with a file: multipart/form-data; ;type= and ;filename= as in curl",
            ("-F", "--form"),
            "NAME=TEXT|@FILE",
        ),
    ] = ()
    head: Annotated[
        bool,
        Option(Flag(), REQUEST, "Ask for the headers alone (HEAD), with GET where a server refuses that", ("-I",)),
    ] = False
    referer: Annotated[
        str | None,
        Option(Referer(), REQUEST, "Say where the URL was found", ("-e", "--referer"), "URL"),
    ] = None
    range: Annotated[
        str | None,
        Option(Range(), REQUEST, "Ask for these bytes of a file: 0-499, 500-, -500", metavar="FIRST-LAST"),
    ] = None
    headers: Annotated[
        tuple[str, ...],
        Option(
            Headers(Header()),
            REQUEST,
            'Add a request header: "Name: value", or "Name;" for an empty one',
            ("-H", "--header"),
            "HEADER",
        ),
    ] = ()
    user_agent: Annotated[
        str,
        Option(Line(), REQUEST, 'Say who asks, best with an address: "name (+https://...)"', ("-A",), "TEXT"),
    ] = f"crawler/{__version__}"
    ws_messages: Annotated[
        int,
        Option(Whole(0, 10_000), REQUEST, "Take N messages of each ws:// or wss:// URL", metavar="N"),
    ] = 1
    ws_timeout: Annotated[
        float,
        Option(Seconds(0, _DAY), REQUEST, "Wait at most so long for these messages", metavar="TIME"),
    ] = 10.0

    @property
    def sent(self) -> dict[str, tuple[str, ...]]:
        """What is sent, as it was written, by the option that says so."""
        given = {"data": self.data, "json": () if self.json is None else (self.json,), "form": self.form}
        return {name: values for name, values in given.items() if values}


def implied_method(values: Mapping[str, object]) -> str:
    """The method of a run of these options, none of which is a method."""
    if values.get("head"):
        return "HEAD"
    return "POST" if values.get("data") or values.get("json") is not None or values.get("form") else "GET"


def check_request(options: RequestOptions, origins: Mapping[str, str]) -> None:
    """Refuse what cannot be asked for in one request, or of a whole site. Raises ConfigError."""

    def refuse(name: str, why: str) -> None:
        raise ConfigError(f"{origins[name]}: {why}")

    sent = options.sent
    for name in list(sent)[1:]:
        refuse(name, f"cannot be combined with {origins[next(iter(sent))]} (a request has one body)")
    for name, values in sent.items():
        if options.method in {"HEAD", "TRACE"}:
            with_it = origins.get("method", origins.get("head", "HEAD"))
            refuse(name, f"cannot be combined with {with_it} ({options.method} requests have no body)")
        if sum(_is_standard_input(name, value) for value in values) + ("-" in options.inputs) > 1:
            refuse(name, "standard input can be read only once")
    if options.head and options.method != "HEAD":
        refuse("head", f"cannot be combined with {origins['method']} {options.method} (-I asks with HEAD)")
    named = {header.partition(":")[0].rstrip(";").lower() for header in options.headers}
    for name in ("referer", "range"):
        if getattr(options, name) is not None and name in named:
            refuse(name, f"cannot be combined with {origins['headers']} '{name.capitalize()}' (write one of them)")
    if options.form and "content-type" in named:
        refuse("form", f"cannot be combined with {origins['headers']} 'Content-Type' (it is made with the form)")
    if options.recursive:
        for name, given in (("head", options.head), ("range", options.range is not None)):
            if given:
                refuse(name, f"cannot be combined with {origins['recursive']} (without whole pages there are no links)")
        if options.method == "HEAD":
            refuse("method", f"cannot be combined with {origins['recursive']} (without bodies there are no links)")


def _is_standard_input(option: str, value: str) -> bool:
    return (value.partition("=")[2] if option == "form" else value).split(";")[0] in {"@-", "<-"}
