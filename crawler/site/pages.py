"""The good pages of the loopback site: languages, charsets, codings, redirects, statuses. All of it keeps to HTTP."""
# ruff: noqa: RUF001 - people write in more than one alphabet

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
import sys
import urllib.parse
import zlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

import brotli

from crawler.site.wire import Drive, Wire

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SMALL_PAGES: Final = 2000
_SMALL: Final = re.compile(r"/p/(0|[1-9]\d{0,3})\.html\Z")
_PARAGRAPHS: Final = "".join(f"<p>para {i} lorem ipsum dolor sit amet</p>" for i in range(20))


@dataclass(frozen=True, slots=True)
class Page:
    """What a path answers: whole bytes, or a function that drives the connection."""

    about: str
    answer: bytes | Drive


def answer(body: bytes = b"", *headers: str, status: int = 200, media: str = "text/html; charset=utf-8") -> bytes:
    """A whole HTTP/1.1 answer with its length. Without a media type there is neither type nor length."""
    described = [f"Content-Type: {media}", f"Content-Length: {len(body)}"] if media else []
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *described, *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def document(title: str, *paragraphs: str, lang: str = "en", head: str = "") -> str:
    """An HTML page. The paragraphs are HTML already."""
    body = "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs)
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>{head}<title>{title}</title></head>\n'
        f"<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
    )


def small_page(path: str) -> bytes | None:
    """`/p/0.html` to `/p/1999.html`: about 1 kB with ten links each; all can be reached from the first."""
    match = _SMALL.match(path)
    if match is None or (number := int(match[1])) >= SMALL_PAGES:
        return None
    numbers = ((number * 7 + k * 13 + 1) % SMALL_PAGES for k in range(10))
    links = "".join(f'<a href="/p/{n}.html">n</a>' for n in numbers)
    page = f"<html><head><title>t{number}</title></head><body>{_PARAGRAPHS}{links}</body></html>"
    return answer(page.encode(), media="text/html")


class Greeting(NamedTuple):
    """A page in one language; `declared` says where its charset is named: header, meta or bom."""

    lang: str
    title: str
    text: str
    charset: str
    declared: str = "header"


GREETINGS: Final = {
    "english": Greeting("en", "Hello, world", "A page for those who read English.", "utf-8"),
    "german": Greeting("de", "Grüße an die Welt", "Schöne Straßen – „überall“ in Köln.", "windows-1252"),
    "french": Greeting("fr", "Bonjour à tous", "Où êtes-vous ? Près du garçon, là-bas.", "iso-8859-1", "meta"),
    "greek": Greeting("el", "Καλημέρα, κόσμε", "Μια σελίδα στα ελληνικά.", "iso-8859-7"),
    "russian": Greeting("ru", "Привет, мир", "Страница на русском языке.", "koi8-r"),
    "arabic": Greeting("ar", "مرحبا بالعالم", "صفحة باللغة العربية.", "utf-8", "meta"),
    "hebrew": Greeting("he", "שלום עולם", "דף בעברית.", "windows-1255"),
    "hindi": Greeting("hi", "नमस्ते दुनिया", "हिन्दी में एक पृष्ठ।", "utf-16", "bom"),
    "japanese": Greeting("ja", "こんにちは、世界", "日本語のページです。", "shift_jis"),
    "korean": Greeting("ko", "안녕하세요, 세계", "한국어로 쓴 페이지입니다.", "euc-kr"),
    "chinese": Greeting("zh", "你好，世界", "这是一个中文网页。", "gb18030", "meta"),
    "thai": Greeting("th", "สวัสดีชาวโลก", "หน้าเว็บภาษาไทย", "tis-620"),
}


def _greeting(greeting: Greeting) -> Page:
    meta = f'<meta charset="{greeting.charset}">' if greeting.declared == "meta" else ""
    text = document(greeting.title, greeting.text, lang=greeting.lang, head=meta)
    media = f"text/html; charset={greeting.charset}" if greeting.declared == "header" else "text/html"
    where = {"header": "named in the header", "meta": "named in a meta tag", "bom": "told by its byte order mark"}
    about = f"{greeting.title} ({greeting.charset}, {where[greeting.declared]})"
    return Page(about, answer(text.encode(greeting.charset), media=media))


def _pdf(text: str) -> bytes:
    """The smallest PDF that viewers open."""
    drawing = f"BT /F1 24 Tf 72 720 Td ({text}) Tj ET"
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        f"<< /Length {len(drawing)} >>\nstream\n{drawing}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Font << /F1 5 0 R >> >>",
    ]
    data = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode()
    table = "0000000000 65535 f \n" + "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"xref\n0 {len(objects) + 1}\n{table}trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n"
    return data + f"{trailer}{len(data)}\n%%EOF\n".encode()


def chunked(body: bytes, size: int = 40) -> bytes:
    """The body in chunks of `size` bytes, with the last one."""
    chunks = (body[i : i + size] for i in range(0, len(body), size))
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


PLAIN: Final = document("A well-packed page", *["The same words again and again."] * 40).encode()
ENCODED: Final = {
    "gzip": gzip.compress(PLAIN, mtime=0),
    "deflate": zlib.compress(PLAIN),
    "br": brotli.compress(PLAIN),
    "zstd": zstd.compress(PLAIN),
}
_LINKS: Final = document(
    "Every kind of link",
    '<a href="hello/english.html">relative</a> <a href="/paper.pdf">absolute path</a> <a href="?page=2">query only</a>',
    "<a href='/data.json#part'>with a fragment</a> <a href=/plain.txt>without quotes</a> <a href=\"#\">here</a>",
    '<a href="//no-such-host.invalid/">without a scheme</a> <a href="mailto:someone@example.org">a letter</a>',
    '<a rel="nofollow" href="/private/page.html">not to be followed</a> <img src="/missing.png" alt="a picture">',
    '<!-- <a href="/missing-in-comment.html">in a comment</a> -->',
)
_BIG: Final = document("A big page", *(f"This is paragraph {i} of a page of one megabyte." for i in range(18_000)))
_CHUNKED: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunked(document("A page in pieces", "Forty bytes at a time.").encode())
)
_ETAG: Final = '"the-one-version"'


QUOTES: Final = (
    ("A journey of a thousand miles begins with a single step.", "Laozi", "travel"),
    ("The beginning is half of the whole.", "Aristotle", "work"),
    ("While we are postponing, life speeds by.", "Seneca", "time"),
    ("Well begun is half done, and badly begun twice to do.", "a carpenter", "work"),
    ("No wind is favourable to who does not know the port.", "Seneca", "travel"),
    ("It is not that we have a short time to live, but that we waste a lot of it.", "Seneca", "time"),
)


def _quotes(page: int) -> Page:
    """Two quotes a page, marked up as tutorials on scraping have them, and a link to the next."""
    quotes = "".join(
        f'<div class="quote"><span class="text">{text}</span> <small class="author">{author}</small>'
        f' <a class="tag" href="/quotes/tag/{tag}.html">{tag}</a></div>\n'
        for text, author, tag in QUOTES[2 * page - 2 : 2 * page]
    )
    onward = f'<ul><li class="next"><a href="/quotes/{page + 1}.html">Next</a></li></ul>' if page < 3 else ""
    return Page("quotes, to be extracted", answer(document(f"Quotes, page {page}", quotes + onward).encode()))


def _redirect(location: str, status: int = 302) -> bytes:
    return answer(b"", f"Location: {location}", status=status)


def _echo(wire: Wire) -> None:
    wire.reply(answer(wire.head + b"\r\n", media="text/plain; charset=utf-8"))


def _etag(wire: Wire) -> None:
    if wire.header("if-none-match") == _ETAG:
        wire.reply(answer(b"", f"ETag: {_ETAG}", status=304, media=""))
    else:
        wire.reply(answer(document("A page with a version").encode(), f"ETag: {_ETAG}"))


def _pause(wire: Wire) -> None:
    wire.later(0.3, wire.reply, answer(document("Worth the wait").encode()))


def _slow(wire: Wire) -> None:
    page = document("A slow page", *["One more line."] * 7).encode()
    wire.send(answer(page)[: -len(page)])
    if wire.method == "HEAD":
        wire.done()
    else:
        wire.drip(page, -(-len(page) // 40), 0.1, wire.done)


def _redirect_anywhere(wire: Wire) -> None:
    asked = urllib.parse.parse_qs(wire.query)
    status = int(asked.get("status", ["302"])[0])
    location = asked.get("to", ["/"])[0].encode("ascii", "ignore").decode()
    wire.reply(_redirect(re.sub(r"[\x00-\x1f]", "", location), status))


def _robots(wire: Wire) -> None:
    sitemap = f"Sitemap: http://{wire.header('host')}/sitemap.xml\n"
    rules = f"User-agent: *\nDisallow: /private/\nDisallow: /fault/\n\n{sitemap}"
    wire.reply(answer(rules.encode("latin-1"), media="text/plain; charset=utf-8"))


def _sitemap(wire: Wire) -> None:
    host = html.escape(wire.header("host"))
    paths = [path for path in PAGES if path.startswith("/hello/")]
    entries = "".join(f"  <url><loc>http://{host}{path}</loc></url>\n" for path in paths)
    namespace = "http://www.sitemaps.org/schemas/sitemap/0.9"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="{namespace}">\n{entries}</urlset>\n'
    wire.reply(answer(text.encode("latin-1"), media="application/xml"))


def _close(wire: Wire) -> None:
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n"
    wire.reply(head + document("The end is the close").encode(), close=True)


def _talk(wire: Wire) -> None:
    """To a WebSocket's handshake (RFC 6455): three messages and a Close. It does not wait for the other's."""
    key = wire.header("sec-websocket-key")
    if not key or wire.method != "GET":
        wire.reply(answer(document("A WebSocket answers here").encode()))
        return
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode("latin-1"), usedforsecurity=False)
    accept = base64.b64encode(digest.digest()).decode()
    head = f"HTTP/1.1 101 -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    frames = [b"\x81%c%b" % (len(text), text) for text in (b"hello", b"how are you?", b"goodbye")]
    wire.send(head.encode() + b"".join(frames) + b"\x88\x02\x03\xe8")
    wire.close()


PAGES: Final[dict[str, Page]] = {
    **{f"/hello/{name}.html": _greeting(greeting) for name, greeting in GREETINGS.items()},
    **{f"/quotes/{page}.html": _quotes(page) for page in (1, 2, 3)},
    "/plain.txt": Page("plain text", answer(b"Nothing but text.\n", media="text/plain; charset=utf-8")),
    "/data.json": Page(
        "JSON", answer(json.dumps({"name": "crawler", "numbers": [1, 2, 3]}).encode(), media="application/json")
    ),
    "/paper.pdf": Page("a PDF of one page", answer(_pdf("A small paper"), media="application/pdf")),
    "/big.html": Page("a page of one megabyte", answer(_BIG.encode())),
    "/links.html": Page("every kind of link", answer(_LINKS.encode())),
    "/encoded/gzip.html": Page("packed with gzip", answer(ENCODED["gzip"], "Content-Encoding: gzip")),
    "/encoded/deflate.html": Page("packed with deflate", answer(ENCODED["deflate"], "Content-Encoding: deflate")),
    "/encoded/brotli.html": Page("packed with brotli", answer(ENCODED["br"], "Content-Encoding: br")),
    "/encoded/zstd.html": Page("packed with zstd", answer(ENCODED["zstd"], "Content-Encoding: zstd")),
    "/archive.xml.gz": Page(
        "a gzip file, not a gzip coding",
        answer(gzip.compress(b"<list><item>one</item></list>\n", mtime=0), media="application/gzip"),
    ),
    "/chunked.html": Page("a body in chunks", _CHUNKED),
    "/close.html": Page("HTTP/1.0: the body ends with the connection", _close),
    "/pause.html": Page("answers after 0.3 s", _pause),
    "/slow.html": Page("a few bytes every 0.1 s, for four seconds", _slow),
    "/etag.html": Page("has an ETag; 304 for those who know it", _etag),
    "/talk": Page("three messages to a WebSocket; to others a page", _talk),
    "/echo": Page("the request as it arrived", _echo),
    "/no-content": Page("204 No Content", answer(status=204, media="")),
    "/zero.html": Page("a body of no bytes", answer()),
    "/moved": Page("301 to a greeting", _redirect("/hello/english.html", 301)),
    "/moved/twice": Page("302 to 301 to a greeting", _redirect("../moved")),
    "/moved/relative/one/": Page("302 to ../two/, relative to this URL", _redirect("../two/")),
    "/moved/relative/two/": Page("302 to three.html, relative to this URL", _redirect("three.html")),
    "/moved/relative/two/three.html": Page("where that leads", answer(document("Three steps").encode())),
    **{
        f"/moved/{status}": Page(f"{status} to a greeting", _redirect("/hello/english.html", status))
        for status in (303, 307, 308)
    },
    "/found/": Page("a page for every path below /found/", answer(document("Found").encode())),
    "/redirect": Page("to wherever ?to=URL&status=302 says", _redirect_anywhere),
    **{
        f"/status/{status}": Page(
            f"{status} {HTTPStatus(status).phrase}",
            answer(document(HTTPStatus(status).phrase).encode(), status=status),
        )
        for status in (400, 401, 403, 404, 410, 429, 500, 503)
    },
    "/missing.html": Page("404: nothing was ever here", answer(document("Not found").encode(), status=404)),
    "/private/page.html": Page("robots.txt asks to stay away", answer(document("Private").encode())),
    "/robots.txt": Page("disallows /private/ and /fault/", _robots),
    "/sitemap.xml": Page("the greetings", _sitemap),
}
