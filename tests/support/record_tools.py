"""Records as a crawl makes them, with what a test is about changed."""

from __future__ import annotations

from crawler.errors import CodedError
from crawler.models import ErrorInfo, Input, Record, unfetched

SITE = "https://a.example"


def made(path: str = "/", **changes) -> Record:
    """A record of a page that was found, with changes."""
    url = path if ":" in path else SITE + path
    values = {
        "url": url,
        "final_url": url,
        "input": Input(parent=f"{SITE}/index.html", depth=1),
        "outcome": "ok",
        "status": 200,
        "content_type": "text/html",
        "size_download": 100,
        "size_body": 1_000,
        "attempts": 1,
        "started": "2026-11-21T03:00:00.000Z",
        "time_total": 0.1,
    }
    return Record(**values | changes)


def failed(path: str, code: str = "conn_reset", **changes) -> Record:
    error = ErrorInfo(code, "headers", True, "reset by peer")
    nothing = {"outcome": "failed", "status": None, "final_url": None, "content_type": None, "size_body": 0}
    return made(path, **nothing | {"size_download": 0, "error": error} | changes)


def skipped(path: str, code: str = "robots_denied") -> Record:
    return unfetched(SITE + path, Input(parent=f"{SITE}/"), CodedError(code))
