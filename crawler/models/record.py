"""The record: the one truth about one input, and its wire schema. Frozen."""

from __future__ import annotations

import base64
import json
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
from msgspec import structs

from crawler.charset import decode_text
from crawler.files import open_plain
from crawler.models.facts import PageFacts
from crawler.models.headers import Headers
from crawler.models.request import CacheUse, Input, Redirect

if TYPE_CHECKING:
    import parsel

SCHEMA_VERSION: Final = 1
Ending = Literal["ok", "failed", "skipped"]
"""How a URL ends in the books: what is unchanged is ok there."""
Outcome = Literal["ok", "failed", "skipped", "unchanged"]


class ErrorInfo(msgspec.Struct, frozen=True, gc=False):
    code: str
    phase: str
    transient: bool
    message: str


class Record(
    msgspec.Struct, frozen=True, kw_only=True, dict=True, rename={"wire_body": "body", "wire_headers": "headers"}
):
    """The one truth about one input. Every key is always present on the wire; seconds are float, sizes are bytes.

    In Python `.body`, `.text`, `.selector`, `.json()` and `.ok` work on what was fetched, whether or not the body is
    part of the record's wire form (`--include-body`). To a record as to a mapping (`record["url"]`, `dict(record)`,
    `pandas.DataFrame(records)`, what a web framework makes JSON of) belongs its wire form: `to_dict`.
    """

    url: str
    final_url: str | None = None
    input: Input
    outcome: Outcome
    error: ErrorInfo | None = None
    warnings: list[str] = []
    method: str = "GET"
    status: int | None = None
    http_version: str | None = None
    wire_headers: dict[str, list[str]] | None = None
    content_type: str | None = None
    charset: str | None = None
    size_download: int = 0
    size_body: int = 0
    truncated: bool = False
    sha256: str | None = None
    duplicate_of: str | None = None
    redirects: tuple[Redirect, ...] = ()
    attempts: int = 0
    remote_ip: str | None = None
    reused: bool | None = None
    proxy: str | None = None
    cache: CacheUse | None = None
    started: str | None = None
    time_queue: float | None = None
    time_namelookup: float | None = None
    time_connect: float | None = None
    time_appconnect: float | None = None
    time_starttransfer: float | None = None
    time_total: float | None = None
    title: str | None = None
    links: int | None = None
    data: Any = None
    meta: Any = None
    wire_body: str | None = None
    body_encoding: Literal["base64"] | None = None
    body_path: str | None = None
    page: PageFacts | None = None

    @property
    def ok(self) -> bool:
        """An answer arrived whole and its status is below 400."""
        return self.outcome in {"ok", "unchanged"} and self.status is not None and self.status < 400

    @property
    def ending(self) -> Ending:
        """How it counts in the books."""
        return "ok" if self.outcome == "unchanged" else self.outcome

    def __repr__(self) -> str:
        """What became of it, in a line; to_dict() has all."""
        where = self.url if self.final_url in {None, self.url} else f"{self.url} -> {self.final_url}"
        error = self.error
        if error is None:
            return f"<Record {self.outcome} {self.status} {where} {self.size_body:,} bytes>"
        status = "" if self.status is None else f"{self.status} "
        return f"<Record {self.outcome} {status}{error.code} {where}: {error.message}>"

    @property
    def headers(self) -> Headers | None:
        """The response headers by name, in any case; None when no response came, or with `no_headers`."""
        return None if self.wire_headers is None else Headers(self.wire_headers)

    def raise_for_status(self) -> Record:
        """This record, if an answer came whole with a status below 400. Else raises FetchError."""
        if not self.ok:
            raise FetchError(self)
        return self

    def to_dict(self) -> dict[str, Any]:
        """The wire form as plain dicts, sequences and values: what a line of JSON Lines holds."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values

    # What makes a mapping of it.

    def keys(self) -> tuple[str, ...]:
        return self.__struct_encode_fields__

    def __iter__(self) -> Iterator[str]:
        return iter(self.__struct_encode_fields__)

    def __len__(self) -> int:
        return len(self.__struct_encode_fields__)

    def __getitem__(self, name: str) -> Any:
        names = self.__struct_encode_fields__
        if name not in names:
            raise KeyError(name)
        return msgspec.to_builtins(getattr(self, self.__struct_fields__[names.index(name)]))

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> ItemsView[str, Any]:
        return ItemsView(self)

    def values(self) -> ValuesView[Any]:
        return ValuesView(self)

    def __contains__(self, name: object) -> bool:
        return name in self.__struct_encode_fields__

    @property
    def body(self) -> bytes:
        """The decoded body; empty when nothing arrived, or when the record was read from a file without bodies.

        With `bodies` a large one is read from its file, each time that it is asked for.
        """
        place = self.__dict__.get("body_file")
        if place is not None:
            with open_plain(place) as file:
                return file.read()
        kept = self.__dict__.get("body_bytes")
        if kept is not None:
            return bytes(kept)
        if self.wire_body is None:
            return b""
        return base64.b64decode(self.wire_body) if self.body_encoding == "base64" else self.wire_body.encode()

    @property
    def text(self) -> str:
        """The body as text. Its charset: byte order mark, header, what the document says, UTF-8, what it looks like."""
        return decode_text(self.body, self.charset, self.content_type).text

    @property
    def selector(self) -> parsel.Selector:
        """A parsel Selector over the body: of type "json" or "xml" where the content type says so, else "html"."""
        import parsel  # lxml takes 8 MiB and 60 ms: only for those who ask

        media = self.content_type or ""
        kind = "json" if media.endswith("json") else "xml" if media.endswith("xml") and "html" not in media else "html"
        # parsel refuses an empty body (Selector(body=b"") raises).
        return parsel.Selector(
            text=self.text or ("null" if kind == "json" else "<html/>"), type=kind, base_url=self.final_url
        )

    def json(self) -> Any:
        """The body parsed as JSON, decoded as `text` is. Raises ValueError when it is not JSON."""
        return json.loads(self.text)

    def with_body(self, body: bytes) -> Record:
        """This record, carrying the bytes for Python's use; they do not become part of the wire form."""
        self.__dict__["body_bytes"] = body
        return self

    def in_file(self, path: str) -> Record:
        """This record, with a body that is in a file."""
        self.__dict__["body_file"] = path
        return self

    @property
    def in_memory(self) -> int:
        """How many bytes ride along with it."""
        return len(self.__dict__.get("body_bytes") or b"")

    def __reduce__(self) -> tuple[Any, ...]:
        # A Struct's own pickle leaves out what rides along: in another process the body would be empty.
        return _unpickled, (structs.asdict(self), self.__dict__.get("body_bytes"), self.__dict__.get("body_file"))


Mapping.register(Record)


class FetchError(Exception):
    """What `Record.raise_for_status` raises: no whole answer came, or a status of 400 or more. It has the `record`."""

    def __init__(self, record: Record) -> None:
        super().__init__(record)
        self.record = record

    def __str__(self) -> str:
        record, error = self.record, self.record.error
        what = f"status {record.status}" if error is None else f"{error.code}: {error.message}"
        return f"{record.url}: {what}"


def _unpickled(fields: dict[str, Any], body: bytes | None, place: str | None) -> Record:
    record = Record(**fields)
    if place is not None:
        record.in_file(place)
    return record if body is None else record.with_body(body)
