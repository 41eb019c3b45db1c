"""A request as people write it: a value in Python, or an object in a line of JSON. Pure.

It is checked here, with a sentence for each fault, and becomes a URL, a method and an Ask at the border: as a seed, or
as what a parse function yields. Nothing behind that knows it. `crawler.models.Request` is another thing: an input that
was accepted and is on its way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import IOBase
from pathlib import Path, PurePath
from typing import Any, Final, Never, NoReturn
from urllib.parse import urlencode

import msgspec

from crawler.config.habits import instead_of_argument
from crawler.config.kinds import Header, pair, shown, suggestion
from crawler.models import Ask, Body, FileBody, FormBody, Part
from crawler.redaction import scrub
from crawler.urls import Url

MOST_META: Final = 64 * 1024
"""Bytes of JSON that may go along with a request into its record."""
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
FIELDS: Final = frozenset(("method", "headers", "data", "json", "form", "meta", "callback", "errback"))
"""What an object may say beside the URL."""
_BODIES: Final = ("data", "json", "form")
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")  # RFC 9110 section 9.1: a token
_RECORD: Final = frozenset(("outcome", "final_url", "attempts"))  # who has these is a record, and has its own headers
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

Content = bytes | PurePath
Files = Mapping[str, Content | tuple[str, Content] | tuple[str, Content, str]]
Pairs = Mapping[str, Any] | Iterable[tuple[str, Any]]
Namer = Callable[[Callable[..., Any]], str]
"""Gives the name under which a function is found again. Raises ValueError for one that cannot be."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Request:
    """What to ask for: a URL, and what comes with it. Goes wherever a URL does, and may be yielded by a parse function.

    - `method` is GET, or POST with a body, unless it is given.
    - `params`: a mapping, or (name, value) pairs, urlencoded behind the query of the URL.
    - `headers`: a mapping, or (name, value) pairs. They replace the run's of the same names.
    - one of `data` (text, bytes, or the path of a file, as they are; a mapping is a form), `json` (any value) and
      `form` (a mapping, or pairs; a list has its name repeated) is the body. All but JSON is sent as
      application/x-www-form-urlencoded, unless the headers have a Content-Type.
    - `files`: a mapping of names to bytes, paths, (filename, bytes or path), or the same with a content type. The body
      is multipart/form-data, with the fields of `form`. A file is read when it is sent.
    - `meta`, any value of JSON up to 64 KiB, is in the record, and in the `page.meta` of a parse function.
    - `callback` is the function that gets the page, in place of the crawl's `parse`.
    - `errback` is the function that hears if it fails, in place of the crawl's `on_error`.

    Raises TypeError or ValueError, which name the parameter, for what cannot be sent. Whether the URL is one is seen
    where it is used: what a parse function yields may be relative to its page.
    """

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: Body | None
    content_type: str | None
    meta: Any
    callback: Callable[..., Any] | None
    errback: Callable[..., Any] | None
    _says_method: bool = field(compare=False)

    def __init__(
        self,
        url: str | Url,
        *,
        method: str | None = None,
        params: Pairs | None = None,
        headers: Pairs | Iterable[str] | None = None,
        data: str | Content | Pairs | None = None,
        json: Any = None,
        form: Pairs | None = None,
        files: Files | None = None,
        meta: Any = None,
        callback: Callable[..., Any] | None = None,
        errback: Callable[..., Any] | None = None,
        **others: Never,
    ) -> None:
        for name in others:
            words = instead_of_argument(name) or suggestion(name, (*FIELDS, "params", "files"))
            raise TypeError(f"{name}: a Request has no such parameter{words}")
        given = [name for name, value in zip(_BODIES, (data, json, form), strict=True) if value is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: a request has one body (give one of them)")
        body: Body | None = None
        content_type = None
        if files is not None:
            if data is not None or json is not None:
                raise ValueError(f"{given[0]} and files: beside files there are fields (give them as form)")
            body = FormBody((*_parts(form), *_file_parts(files)))
        elif given:
            body, content_type = _body(given[0], data, json, form)
        for name, function in (("callback", callback), ("errback", errback)):
            if function is not None and not callable(function):
                raise TypeError(f"{name}: {shown(function)} is not a function")
        values = {
            "url": _url(url) if params is None else _with_params(_url(url), params),
            "method": _method(method, body) if method is not None else "GET" if body is None else "POST",
            "headers": _headers(headers),
            "body": body,
            "content_type": content_type,
            "meta": _meta(meta),
            "callback": callback,
            "errback": errback,
            "_says_method": method is not None,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return hash((self.url, self.method, self.body))

    def __repr__(self) -> str:
        """Without what may be secret: the body, and the values of headers."""
        shown_url = scrub(self.url)
        parts = [repr(shown_url), f"method={self.method!r}"]
        if self.headers:
            parts.append(f"headers=[{', '.join(name for name, _ in self.headers)}]")
        if self.body is not None:
            size = f"{len(self.body):,} bytes of " if isinstance(self.body, bytes) else ""
            parts.append(f"body=<{size}{self.content_type or 'multipart/form-data'}>")
        if self.meta is not None:
            parts.append(f"meta={shown(self.meta)}")
        functions = self._functions().items()
        parts += [f"{name}={getattr(function, '__qualname__', repr(function))}" for name, function in functions]
        return f"Request({', '.join(parts)})"

    def wanted(self, name: Namer | None) -> tuple[str | None, Ask | None]:
        """The method, None where nothing is said of it; and what comes with it and the URL, None if that is nothing.

        Raises ValueError where `name` does; without `name` nobody reads pages, and functions are refused.
        """
        method = self.method if self._says_method or self.body is not None else None
        functions = self._functions()
        if functions and name is None:
            raise ValueError(f"{min(functions)}: functions get the pages of a crawl (use crawl(), or recursive=True)")
        names = {} if name is None else {key: name(function) for key, function in functions.items()}
        if not self.headers and self.meta is None and not names and method in {None, "GET"}:
            return method, None
        called, missed = names.get("callback"), names.get("errback")
        return method, Ask(
            headers=self.headers,
            body=self.body,
            content_type=self.content_type,
            meta=self.meta,
            callback=called,
            errback=missed,
        )

    def _functions(self) -> dict[str, Callable[..., Any]]:
        """Those that it has, by the name of the parameter."""
        both = (("callback", self.callback), ("errback", self.errback))
        return {name: function for name, function in both if function is not None}


def of_object(url: str, fields: Mapping[Any, Any], key: str | None = None) -> Request:
    """The request that an object says beside its URL: a line of JSON, or a dict.

    Other keys are none of ours; when that of the URL is given, they go along as meta. A record of ours is an object,
    too: its URL is asked for, for its method and headers are those of another request. Raises TypeError and ValueError
    as Request does.
    """
    is_record = not _RECORD.difference(fields)
    given = {} if is_record else {name: fields[name] for name in FIELDS if fields.get(name) is not None}
    if is_record and fields.get("meta") is not None:
        given["meta"] = fields["meta"]
    if key is not None:
        columns = {name: fields[name] for name in meta_keys(fields, key)}
        meta = given.get("meta")
        given["meta"] = {**columns, **(meta if isinstance(meta, Mapping) else {} if meta is None else {"meta": meta})}
    return Request(url, **given)


def meta_keys(fields: Mapping[Any, Any], key: str) -> list[Any]:
    """The keys of an object that are neither that of its URL nor ours."""
    own = {"meta"} if not _RECORD.difference(fields) else FIELDS
    return [name for name in fields if name != key and name not in own]


def _url(url: object) -> str:
    if isinstance(url, str):
        return url.strip()
    if isinstance(url, Url):
        return _with_userinfo(url)
    raise TypeError(not_a_url(url))


def _with_params(url: str, params: object) -> str:
    rest, sharp, fragment = url.partition("#")
    query = _form("params", params).decode()
    mark = "" if not query or rest.endswith(("?", "&")) else "&" if "?" in rest else "?"
    return f"{rest}{mark}{query}{sharp}{fragment}"


def _with_userinfo(url: Url) -> str:
    if not url.userinfo:
        return url.href
    scheme, _, rest = url.href.partition("://")
    return f"{scheme}://{url.userinfo}@{rest}"


def not_a_url(value: object) -> str:
    """What to do about a value that is no str: a URL of another library, bytes, a path."""
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"
    if isinstance(value, (bytes, bytearray)):
        return f"a URL must be a str, not {name} (write url.decode())"
    for attribute, words in (("geturl", "url.geturl()"), ("full_url", "request.full_url")):  # urllib's
        if kind.__module__.startswith("urllib.") and hasattr(kind, attribute):
            return f"a URL must be a str, not {name} (write {words})"
    if (
        value is None
        or isinstance(value, (bool, int, float, list, tuple, set, Mapping))
        or kind.__str__ is object.__str__
    ):
        return f"a URL must be a str, not {name}"
    return f"a URL must be a str, not {name} (write str(url))"


def _method(method: object, body: Body | None) -> str:
    if not isinstance(method, str):
        raise TypeError(f"method: {shown(method)} is not a str")
    if _METHOD.fullmatch(method) is None:
        raise ValueError(f"method: {shown(method)} is not a method (GET, POST, PUT ...)")
    if (verb := method.upper()) == "CONNECT" or (verb == "TRACE" and body is not None):  # RFC 9110 section 9.3.8
        raise ValueError(f"method: {verb} is not for fetching{' with a body' if body else ''} (GET, POST, PUT ...)")
    return verb if verb in _USUAL else method  # RFC 9110: case counts, and nobody means "post"


_USUAL: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"))
_KIND: Final = Header()


def _headers(headers: object) -> tuple[tuple[str, str], ...]:
    if headers is None:
        return ()
    found = []
    if isinstance(headers, (list, tuple)) and headers and all(isinstance(line, str) for line in headers):
        headers = [_divided(line) for line in headers]
    for name, value in _items("headers", headers):
        if not isinstance(name, str) or not isinstance(value, str):
            bad = name if not isinstance(name, str) else value
            raise TypeError(f"headers: {shown(name)[:80]} is of {type(bad).__name__} (names and values are str)")
        try:
            found.append(pair(_KIND.read((name, value))))
        except ValueError as error:
            raise ValueError(f"headers: {error}") from None
    return tuple(found)


def _divided(header: str) -> tuple[str, str]:
    try:
        return pair(_KIND.read(header))
    except ValueError as error:
        raise ValueError(f"headers: {error}") from None


def _items(key: str, given: object) -> list[tuple[Any, Any]]:
    """(name, value) pairs of a mapping, or of an iterable of them."""
    if isinstance(given, Mapping):
        return list(given.items())
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        _no_pairs(key, given)
    items = list(given)
    for item in items:
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            _no_pairs(key, given)
    return [(name, value) for name, value in items]


def _no_pairs(key: str, given: object) -> NoReturn:
    # What was given may be a secret: only what it is is told.
    raise TypeError(f"{key}: {type(given).__name__} is neither a mapping nor (name, value) pairs")


def _body(key: str, data: object, json: object, form: object) -> tuple[Body, str]:
    if key == "json":
        return _json("json", json), JSON
    if key == "form":
        return _form("form", form), FORM
    if isinstance(data, str):
        try:
            return data.encode(), FORM
        except UnicodeEncodeError:
            raise ValueError("data: it is not Unicode text (it holds a lone surrogate)") from None
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data), FORM
    if isinstance(data, PurePath):
        return _file("data", data), FORM
    if isinstance(data, IOBase):
        raise TypeError(f"data: a file is given as its path (pathlib.Path), not as {type(data).__name__}")
    if isinstance(data, (Mapping, Iterable)):
        return _form("data", data), FORM
    raise TypeError(f"data: {type(data).__name__} is neither text nor bytes (for JSON, use json)")


def _file_parts(files: object) -> Iterator[Part]:
    for name, given in _items("files", files):
        filename, content, content_type = _of_part(given)
        if not isinstance(name, str) or not isinstance(content, (bytes, PurePath)):
            raise TypeError(f"files: {shown(name)} is a {type(content).__name__} (allowed: bytes, or a pathlib.Path)")
        for text in (name, filename, content):
            if isinstance(text, (str, PurePath)):
                _check_text("files", str(text))
        if isinstance(content, PurePath):
            filename = filename or content.name
            content = _file("files", content)
        yield Part(name, content, filename or name, content_type)


def _of_part(given: object) -> tuple[str | None, object, str | None]:
    """The filename, the content and its type."""
    if isinstance(given, tuple) and len(given) in {2, 3}:
        filename, content, *rest = given
        for value in (filename, *rest):
            if not isinstance(value, str) or not re.fullmatch(r"[^\0-\x1f\x7f]+", value):
                raise TypeError(f"files: {shown(value)} is neither the name of a file nor a content type")
        return filename, content, rest[0] if rest else None
    return None, given, None


def _file(key: str, path: PurePath) -> FileBody:
    try:
        found = Path(path).stat()
    except (OSError, ValueError) as error:
        raise ValueError(f"{key}: {shown(str(path))} cannot be read: {error}") from None
    return FileBody(str(Path(path).absolute()), found.st_size, found.st_mtime_ns)


def of_ask(url: str, method: str, ask: Ask) -> Request:
    """What people would write to ask for this, but for the callback."""
    request = Request(url, method=method, headers=ask.headers, meta=ask.meta)
    object.__setattr__(request, "body", ask.body)
    object.__setattr__(request, "content_type", ask.content_type)
    return request


def _json(key: str, value: object) -> bytes:
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise TypeError(f"{key}: it cannot be written as JSON: {error}") from None


def _fields(key: str, form: object) -> Iterator[tuple[str, bytes]]:
    for name, value in _items(key, form):
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if not isinstance(name, str) or isinstance(one, bool) or not isinstance(one, (str, bytes, int, float)):
                bad = name if not isinstance(name, str) else one
                raise TypeError(
                    f"{key}: the field {shown(name)[:80]} has a {type(bad).__name__} (fields are text or numbers)"
                )
            _check_text(key, name)
            if isinstance(one, str):
                _check_text(key, one, name)
            yield name, one if isinstance(one, bytes) else str(one).encode()


def _check_text(key: str, text: str, field: str | None = None) -> None:
    """Raise ValueError for what has no UTF-8 form; `field` has it as its value."""
    try:
        text.encode()
    except UnicodeEncodeError:
        where = f"{shown(text)[:80]}" if field is None else f"the field {shown(field)[:80]}"
        raise ValueError(f"{key}: {where} holds a lone surrogate, which is no text") from None


def _form(key: str, form: object) -> bytes:
    return urlencode(list(_fields(key, form))).encode("ascii")


def _parts(form: object) -> Iterator[Part]:
    return (Part(name, value) for name, value in _fields("form", form or ()))


def _meta(meta: object) -> Any:
    if meta is None:
        return None
    data = _json("meta", meta)
    check_size(data)
    return _decode(data)  # a copy: what the caller does with his own later changes nothing here


def check_size(data: bytes) -> None:
    """Raise ValueError for more JSON than may go along."""
    if len(data) > MOST_META:
        raise ValueError(f"meta: it is {len(data):,} bytes of JSON (allowed: {MOST_META:,})")
