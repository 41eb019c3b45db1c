"""What the files of bodies are called: by their SHA-256, so that nothing from the network chooses a path."""

from __future__ import annotations

import os
from typing import Final

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


def place(directory: str, sha256: str, content_type: str | None) -> str:
    """Where the body with this hash is kept."""
    return os.path.join(directory, sha256[:2], sha256 + extension(content_type))  # noqa: PTH118 - twice as fast


def extension(content_type: str | None) -> str:
    """The suffix of a file with this content type: from a short list, else ".bin"."""
    media = (content_type or "").partition(";")[0].strip().lower()
    known = _EXTENSIONS.get(media)
    if known is not None:
        return known
    return ".json" if media.endswith("+json") else ".xml" if media.endswith("+xml") else ".bin"
