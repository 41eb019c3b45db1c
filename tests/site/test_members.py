"""The members of the loopback site: a form, and an API behind it."""

from __future__ import annotations

import pytest

from crawler import Request, fetch_all
from crawler.site import RunningSite

WHO = {"csrf": "loopback-form", "user": "demo", "password": "demo"}
TOKEN = {"Authorization": "Bearer loopback-token"}


def asked(site: RunningSite, path: str, **request: object) -> tuple[int | None, str]:
    (record,) = fetch_all([Request(f"http://{site.host}:{site.port}{path}", **request)])  # type: ignore[arg-type]
    return record.status, record.text


@pytest.mark.parametrize(
    ("path", "request_", "status", "text"),
    [
        ("/members/login", {}, 200, "<form"),
        ("/members/login", {"form": WHO}, 200, "loopback-token"),
        ("/members/login", {"form": WHO | {"csrf": "other"}}, 403, "<form"),
        ("/members/login", {"form": {"user": "demo", "password": "demo"}}, 403, "<form"),
        ("/api/quotes", {}, 401, "log in"),
        ("/api/quotes", {"headers": TOKEN}, 200, '"next": "/api/quotes?page=2"'),
        ("/api/quotes?page=3", {"headers": TOKEN}, 200, '"next": null'),
        ("/api/quotes?page=99999", {"headers": TOKEN}, 200, '"quotes": []'),
        ("/api/quotes?page=x", {"headers": TOKEN}, 200, "Laozi"),
        ("/api/search", {"json": {"author": "Seneca"}}, 401, "log in"),
        ("/api/search", {"json": {"author": "Seneca"}, "headers": TOKEN}, 200, '"next": 2'),
        ("/api/search", {"json": {"author": "Seneca", "page": 2}, "headers": TOKEN}, 200, '"next": null'),
        ("/api/search", {"data": "nonsense", "headers": TOKEN}, 400, "write"),
        ("/api/search", {"json": [1], "headers": TOKEN}, 400, "write"),
        ("/hello/english.html", {"json": 1}, 405, ""),
    ],
)
def test_answers(site: RunningSite, path: str, request_: dict[str, object], status: int, text: str) -> None:
    found = asked(site, path, **request_)
    assert found[0] == status
    assert text in found[1]
