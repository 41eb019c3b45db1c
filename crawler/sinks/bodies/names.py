"""What the files of bodies are called: by their SHA-256 (`hash`), as they came (`name`), by their URL (`url`). Pure.

What comes from the network is made safe for Linux, macOS and Windows alike: no separators, no reserved names, nothing
invisible, and never longer than a file system takes.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final, Literal
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from crawler.fetch.saving.accept import Accept
from crawler.models import Record

Layout = Literal["hash", "name", "url"]

FOLDER: Final = ".crawler-mirror"
"""The hidden folder in a copy of a site."""
ORIGINALS: Final = "originals"
"""In there: each file whose links were rewritten, as it was fetched, by the path that it has in the copy."""
LONGEST: Final = 200
"""Bytes of a name: file systems take 255, and some of it may be a number."""
LONGEST_PATH: Final = 180 if os.name == "nt" else 800
_REDIRECTS: Final = 300  # from here on an answer is not what was asked for
_DISPOSITION: Final = 4096  # characters of it that are looked at
_HASHED: Final = 12
_DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
# A letter is in it: "2301.12345" is a number, and no file of the type "12345".
_SUFFIX: Final = re.compile(r"(?:\.tar)?\.(?=[0-9]*[A-Za-z])[A-Za-z0-9]{1,10}$")
_PARAMETER: Final = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^;"]*+))')
_EXTENDED: Final = re.compile(r"(utf-8|iso-8859-1)'[^']*'(.+)", re.IGNORECASE | re.DOTALL)
_EXTENSIONS: Final = {
    "text/html": ".html",
    "application/xhtml+xml": ".xhtml",
    "text/plain": ".txt",
    "text/css": ".css",
    "text/csv": ".csv",
    "text/markdown": ".md",
    "text/calendar": ".ics",
    "text/javascript": ".js",
    "application/javascript": ".js",
    "application/json": ".json",
    "application/xml": ".xml",
    "text/xml": ".xml",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/gzip": ".gz",
    "application/x-gzip": ".gz",
    "application/epub+zip": ".epub",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/svg+xml": ".svg",
    "image/x-icon": ".ico",
    "image/vnd.microsoft.icon": ".ico",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "font/woff": ".woff",
    "font/woff2": ".woff2",
    "application/wasm": ".wasm",
}


_SHOWN_AS: Final = {
    "text/html": (".html", ".htm"),
    "application/xhtml+xml": (".xhtml", ".xht"),
    "image/svg+xml": (".svg",),
    "text/css": (".css",),
}
"""The suffixes by which a browser knows these types."""
_NOT_SHOWN: Final = frozenset((
    ".html", ".htm", ".shtml", ".shtm", ".ehtml", ".xhtml", ".xht", ".svg", ".xml", ".xsl", ".xslt", ".mht", ".mhtml",
))  # fmt: skip
"""Those that have a browser run scripts: no file of another type has one."""
_XML: Final = frozenset((".xml", ".xsl", ".xslt"))


def place(directory: str, sha256: str, content_type: str | None) -> str:
    """Where the body with this hash is kept."""
    return os.path.join(directory, sha256[:2], sha256 + extension(content_type))  # noqa: PTH118 - twice as fast


def extension(content_type: str | None) -> str:
    """The suffix of a file with this content type: from a short list, else ".bin"."""
    return known_extension(content_type) or ".bin"


def known_extension(content_type: str | None) -> str:
    """The same; "" for a type that is not in the list."""
    media = (content_type or "").partition(";")[0].strip().lower()
    known = _EXTENSIONS.get(media)
    if known is not None:
        return known
    return ".json" if media.endswith("+json") else ".xml" if media.endswith("+xml") else ""


def by_name(url: str, dispositions: Sequence[str], content_type: str | None) -> str:
    """What a file is called that came from this URL: as Content-Disposition says, else as the URL's last segment."""
    name = next((name for value in dispositions if (name := disposed(value))), "")
    if not name:
        name = unquote(urlsplit(url).path.rpartition("/")[2])
    name = safe(name) if name.strip() else "index"
    return _with_suffix(name, content_type)


def by_url(url: str, content_type: str | None, *, typed: bool = False) -> tuple[str, ...]:
    """Folders and file of a URL: host/path/name, as wget has it; "@" stands before the query, "+" before a port.

    With `typed` a browser that is given the file takes it for what its type said: it ends as that does.
    """
    split = urlsplit(url)
    host = (split.hostname or "").strip("[]")
    if split.port is not None and split.port != _DEFAULT_PORTS.get(split.scheme):
        host = f"{host}+{split.port}"
    *folders, last = split.path.removeprefix("/").split("/")
    if not last:
        last = "index" + (known_extension(content_type) or ".html")
    name = unquote(last)
    if split.query:
        name = f"{name}@{split.query}"
    file = _with_suffix(safe(name), content_type)
    if typed:
        file = _typed(file, content_type)
    path = (safe(host), *(safe(unquote(folder)) for folder in folders), file)
    if sum(len(part.encode()) + 1 for part in path) > LONGEST_PATH:
        return (path[0], f"long-{_digest('/'.join(path[1:-1]))}", path[-1])
    return path


def disposed(value: str) -> str:
    """The file name in a Content-Disposition (RFC 6266), or "": `filename*` goes before `filename`."""
    told: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(";" + value[:_DISPOSITION].partition(";")[2]):
        told.setdefault(name.lower(), re.sub(r'\\(["\\])', r"\1", quoted) if quoted else bare.strip())
    extended = _EXTENDED.fullmatch(told.get("filename*", ""))  # RFC 8187
    if extended:
        name = unquote_to_bytes(extended[2]).decode(extended[1], "replace")
    else:
        raw = told.get("filename", "")
        try:  # many servers send UTF-8, and a header is read as Latin-1
            name = raw.encode("latin-1").decode("utf-8")
        except UnicodeError:
            name = raw
    return re.split(r"[/\\]", name)[-1].strip()


def safe(name: str) -> str:
    """One name that every file system takes, and no shell misreads; never empty."""
    from pathvalidate import sanitize_filename  # 15 ms: only for those who want names

    text = unicodedata.normalize("NFC", name)
    text = "".join(character if character.isprintable() else "_" for character in text[:10_000])
    text = _cut(text, name)  # at 255 bytes they would cut it, and its suffix with it
    begin, dot, rest = text.partition(".")
    text = begin.rstrip() + dot + rest  # "CON .txt" is a device, too
    text = str(sanitize_filename(text, replacement_text="_", platform="universal")).strip()
    if not text.strip(". "):
        return "_"
    if text[0] in ".-~=+@'":  # hidden; an option; a home; what a spreadsheet would run
        text = "_" + text[1:]
    return _cut(text.rstrip(". "), name)


def is_kept(record: Record, layout: Layout, accept: Accept | None) -> bool:
    """Whether the body of a record is kept, if there is one."""
    if record.sha256 is None or (accept is not None and not accept(record.content_type)):
        return False
    return layout == "hash" or (not record.truncated and record.status is not None and record.status < _REDIRECTS)


def free(name: str, is_taken: Callable[[str], bool]) -> str:
    """The name, or the first one with a number that is free. A thousand that are taken cost twenty questions."""
    if not is_taken(name):
        return name
    low, high = 1, 2
    while is_taken(numbered(name, high)):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if is_taken(numbered(name, middle)):
            low = middle
        else:
            high = middle
    return numbered(name, high)


def numbered(name: str, number: int) -> str:
    """The name with a number, before its suffix."""
    stem, suffix = _split(name)
    return f"{stem}-{number}{suffix}"


def _typed(name: str, content_type: str | None) -> str:
    """With another suffix behind it, where its own says something else than the type: to a browser, that counts."""
    media = (content_type or "").partition(";")[0].strip().lower()
    if not media:
        return name
    suffix = _split(name)[1].lower()
    meant = _SHOWN_AS.get(media)
    if meant is not None:
        return name if suffix in meant else name + meant[0]
    if media.endswith("xml") and suffix in _XML:
        return name
    return name + extension(media) if suffix in _NOT_SHOWN else name


def _with_suffix(name: str, content_type: str | None) -> str:
    return name if _split(name)[1] else name + known_extension(content_type)


def _split(name: str) -> tuple[str, str]:
    found = _SUFFIX.search(name, 1)
    return (name, "") if found is None else (name[: found.start()], found[0])


def _cut(text: str, name: str) -> str:
    """No longer than a name may be: what is cut off is there as a hash, so that two long names stay two."""
    if len(text.encode()) <= LONGEST:
        return text
    stem, suffix = _split(text)
    tail = f"-{_digest(name)}{suffix}"
    kept = stem.encode()[: LONGEST - len(tail)].decode("utf-8", "ignore")
    return kept.rstrip(". ") + tail


def _digest(text: str) -> str:
    return blake2b(text.encode("utf-8", "replace"), digest_size=_HASHED // 2).hexdigest()
