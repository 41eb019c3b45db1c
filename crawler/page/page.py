"""A page to ask: what declared extraction and the user's own parse function get.

Nothing is decoded or parsed before it is asked for. What a server sends never makes a method raise, except where said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, NoReturn

from crawler.charset import decode_text
from crawler.charset.encodings import query_in
from crawler.errors import CodedError
from crawler.models import Ask, ErrorInfo, Record, Wanted
from crawler.seeds import asked
from crawler.urls import Url, join, parse

if TYPE_CHECKING:
    import parsel

    from crawler.page.content.article import Article, Form

MAX_PARSED: Final = 5_000_000
_BEFORE_TEXT: Final = b"\xef\xbb\xbf \t\r\n\f"

Kind = Literal["html", "xml", "json", "text"]
_UNREAD: Final = object()


class Document:
    """A body, where it came from and what its server says that it is; the first 5 MB of it are parsed.

    `warnings` grows as things are asked for: `charset`, and `parse_truncated` when not all of it could be parsed.
    """

    __slots__ = (
        "_base",
        "_encoding",
        "_json",
        "_kind",
        "_selector",
        "_text",
        "body",
        "charset",
        "content_type",
        "url",
        "warnings",
    )

    def __init__(self, url: str, body: bytes, charset: str | None = None, content_type: str | None = None) -> None:
        self.url: str = url
        self.body: bytes = body
        self.charset: str | None = charset
        self.content_type: str | None = content_type
        self.warnings: list[str] = []
        self._kind: Kind | None = None
        self._text: str | None = None
        self._json: Any = _UNREAD
        self._selector: parsel.Selector | None = None
        self._base: Url | None = None
        self._encoding = "utf-8"

    @property
    def kind(self) -> Kind:
        """What it is parsed as: what its server says, or what it looks like where that says nothing.

        JSON is also recognised where its server takes it for HTML, as many do. "text" is anything else.
        """
        if self._kind is None:
            self._kind = self._classified()
        return self._kind

    @property
    def text(self) -> str:
        """The body as text: byte order mark, then the declared charset, then what the document says, then UTF-8."""
        if self._text is None:
            self._text = self._decoded(self.body)
        return self._text

    @property
    def encoding(self) -> str:
        """The WHATWG name of the charset of the text."""
        _ = self.text  # that tells
        return self._encoding

    @property
    def selector(self) -> parsel.Selector:
        """A parsel Selector over the body, of type "html", "xml" or "json"."""
        if self._selector is None:
            self._selector = self._parsed()
        return self._selector

    def css(self, query: str) -> parsel.SelectorList[parsel.Selector]:
        """What a CSS selector finds, with parsel's `::text` and `::attr(name)`. Raises SyntaxError for a wrong one."""
        return self.selector.css(query)

    def xpath(self, query: str) -> parsel.SelectorList[parsel.Selector]:
        """What an XPath finds. Raises ValueError for a wrong one."""
        return self.selector.xpath(query)

    def article(self, form: Form = "text") -> Article | None:
        """What an HTML page is about, without menus and the like: title, author, date, language and text, or Markdown.

        None for what is no HTML. Takes some 10 ms, and more of long pages: `--text` has it done by other processes.
        Raises ImportError without the extra `text`.
        """
        from crawler.page.content.article import article  # only for those who ask

        return article(self.text, self.url, form) if self.kind == "html" else None

    def main_text(self) -> str:
        """The text of `article`; "" where there is none."""
        found = self.article()
        return "" if found is None else found.text

    def markdown(self) -> str:
        """As main_text, in Markdown, with headings, lists, tables and links."""
        found = self.article("markdown")
        return "" if found is None else found.text

    def json(self) -> Any:
        """The body parsed as JSON. Raises ValueError when it is not, RecursionError when it is nested too deep."""
        if self._json is _UNREAD:
            self._json = json.loads(self.text)
        return self._json

    @property
    def base(self) -> Url:
        """What references are relative to: the `<base href>` of an HTML page, else its URL."""
        if self._base is None:
            base = parse(self.url)
            if self.kind == "html" and "<base" in self.text.lower():
                for href in self.xpath("(//base/@href)[1]").getall():
                    try:
                        base = join(base, href)
                    except CodedError:  # HTML section 4.2.3: then it is as if it were not there
                        break
            self._base = base
        return self._base

    def urljoin(self, reference: str) -> str:
        """The absolute URL of a reference, without its fragment. Raises CodedError if it is none of http or https."""
        return self.joined(reference).href

    def joined(self, reference: str) -> Url:
        """As urljoin, to go on with."""
        if not reference.isascii() and "?" in reference:
            reference = query_in(reference, self.encoding)
        return join(self.base, reference)

    def _decoded(self, body: bytes) -> str:
        text, self._encoding, warnings = decode_text(body, self.charset, self.content_type)
        self._warn(*warnings)
        return text

    def _classified(self) -> Kind:
        media = self.content_type or ""
        if media.endswith(("/json", "+json")):
            return "json"
        if media.endswith(("/xml", "+xml")) and "html" not in media:
            return "xml"
        start = self.body[:1024].lstrip(_BEFORE_TEXT)[:1]
        if start in {b"{", b"["} and self._json_or_none() is not None:
            return "json"
        return "html" if start == b"<" or "html" in media else "text"

    def _json_or_none(self) -> Any:
        try:
            return self.json()
        except (ValueError, RecursionError):
            return None

    def _parsed(self) -> parsel.Selector:
        import parsel  # lxml takes 8 MiB and 60 ms: only for those who parse

        kind = self.kind
        if kind == "json":
            return parsel.Selector(root=self._json_or_none(), type="json")
        text = "" if kind == "text" else self.text
        if text and len(self.body) > MAX_PARSED:
            text = self._decoded(self.body[:MAX_PARSED])
            self._warn("parse_truncated")
        root, whole = _tree(text, is_xml=kind == "xml")
        if not whole:
            self._warn("parse_truncated")
        return parsel.Selector(root=root, type="xml" if kind == "xml" else "html")

    def _warn(self, *codes: str) -> None:
        self.warnings += [code for code in codes if code not in self.warnings]


class Extracted(NamedTuple):
    """The values by name, and codes of errors.WARNINGS."""

    data: dict[str, Any]
    warnings: list[str]


_ELSEWHERE: Final = {
    "cb_kwargs": "write page.meta",
    "content": "write page.body",
    "cookies": "write page.headers.get('set-cookie')",
    "follow": "yield the URL, or Request(URL, callback=...); it may be relative",
    "follow_all": "yield each URL; they may be relative",
    "history": "write page.record.redirects",
    "status_code": "write page.status",
    "title": "write page.record.title",
}
"""What pages have in Scrapy and requests, and what to write here."""


class Page(Document):
    """A fetched page, for the functions that a user gives to crawl(): they yield items (dicts), URLs and requests.

    `url` is where it was found in the end, after redirects; `record` is its record.
    """

    __slots__ = ("_ask", "record")

    def __init__(self, record: Record, ask: Ask | None = None) -> None:
        super().__init__(record.final_url or record.url, record.body, record.charset, record.content_type)
        self.record: Record = record
        self._ask = ask

    def __repr__(self) -> str:
        return f"<Page {self.status} {self.url}>"

    if not TYPE_CHECKING:  # which would take every name for one that is there

        def __getattr__(self, name: str) -> NoReturn:
            words = f" ({_ELSEWHERE[name]})" if name in _ELSEWHERE else ""
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}{words}", name=name, obj=self
            )

    @property
    def status(self) -> int | None:
        """The status of the response."""
        return self.record.status

    @property
    def error(self) -> ErrorInfo | None:
        """What failed, for on_error: `.code`, `.phase`, `.transient`, `.message`. None where there was an answer."""
        return self.record.error

    @property
    def headers(self) -> Mapping[str, list[str]]:
        """The response's headers: lower-case name -> values. Empty when the records leave them out."""
        return self.record.headers or {}

    @property
    def meta(self) -> Any:
        """What came along with the request; an empty dict where that was nothing."""
        return {} if self.record.meta is None else self.record.meta

    @property
    def request(self) -> asked.Request:
        """What was asked for to get the page, behind the last redirect."""
        return asked.of_ask(self.record.url, self.record.method, self._ask or Ask(meta=self.record.meta))

    def form(
        self,
        fields: Mapping[str, Any] | None = None,
        *,
        css: str = "form",
        click: str | bool = True,
        headers: asked.Pairs | None = None,
        meta: Any = None,
        callback: Any = None,
        errback: Any = None,
    ) -> asked.Request:
        """The request that a browser makes when these fields of a form are filled in, and it is sent.

        See `crawler.page.forms.submitted`.
        """
        from crawler.page.forms import submitted  # only for those who fill in forms

        sent = submitted(self, fields or {}, css=css, click=click)
        return asked.Request(
            sent.url,
            method=sent.method,
            headers=headers,
            data=sent.data,
            form=sent.parts,
            files=None if sent.parts is None else {},
            meta=meta,
            callback=callback,
            errback=errback,
        )


_OF_ITEMS: Final = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "model_dump")
"""What instances of msgspec, dataclasses, attrs and pydantic have."""


class Yielded(NamedTuple):
    """What a parse function made of a page; `follow` has what it leads to, in that order.

    Items are dicts, or instances of a class that says which fields it has.
    """

    items: list[Any]
    follow: list[Url | Wanted]


def gather(page: Page, results: Iterable[Any] | None, name: asked.Namer | None = None) -> Yielded:
    """Sort what a parse function gives for a page: dicts, and what to follow: text as it stands in links, Url, Request.

    A URL that is none of http or https (mailto:, javascript:) is left out, as in links. `name` names the functions that
    requests are for. Raises TypeError or ValueError, with a sentence for the function's author, for anything else, and
    whatever the function raises.
    """
    yielded = Yielded([], [])
    if isinstance(results, (str, bytes, Mapping, asked.Request)):
        raise TypeError(f"the parse function gives {_shown(results)}: it is to yield it (or return a list)")
    for result in () if results is None else results:
        if isinstance(result, dict):
            yielded.items.append(result)
        elif isinstance(result, Url):
            yielded.follow.append(result)
        elif isinstance(result, str):
            try:
                yielded.follow.append(page.joined(result))
            except CodedError:
                continue
        elif isinstance(result, asked.Request):
            method, ask = result.wanted(name)
            try:
                url = page.joined(result.url)
            except CodedError:
                continue
            yielded.follow.append(url if ask is None else Wanted(url, method or "GET", ask))
        elif any(hasattr(type(result), mark) for mark in _OF_ITEMS):
            yielded.items.append(result)
        elif result is not None:
            raise TypeError(
                f"the parse function yields {_shown(result)}: neither an item (dict), nor a URL (str), nor a Request"
            )
    return yielded


def _shown(value: object) -> str:
    return f"{type(value).__name__} {repr(value)[:80]}"


def _tree(text: str, *, is_xml: bool) -> tuple[Any, bool]:
    """The root of the tree, and whether the parser read all of it."""
    from lxml import etree, html  # type: ignore[import-untyped]

    if is_xml:
        # Not `huge_tree`: it would take away the limit on what entities may grow to.
        parser = etree.XMLParser(recover=True, encoding="utf-8", resolve_entities=False, no_network=True)
    else:
        parser = html.HTMLParser(recover=True, encoding="utf-8", huge_tree=True)
    root = None
    source = text.strip().replace("\0", "").encode()
    if source:
        try:
            root = etree.fromstring(source, parser)
        except etree.XMLSyntaxError:  # nothing in it can be taken for an element
            root = None
    whole = not source or not len(parser.error_log.filter_from_fatals())
    return (etree.fromstring(b"<html/>", html.HTMLParser()) if root is None else root), whole
