"""The members of the loopback site: a form to log in with, and an API of JSON for those who have. Nothing is kept.

Who sends `demo` and `demo` with the form's hidden field gets a page with a token. The API knows it in an Authorization
header: a list of quotes that is paged by GET, and a search by POST. The same is in a cookie, which opens /members/.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

from crawler.site.pages import QUOTES, answer, document
from crawler.site.wire import Drive, Wire

TOKEN: Final = "loopback-token"  # noqa: S105 - everybody may know it
_CSRF: Final = "loopback-form"
_PER_PAGE: Final = 2
_FORM: Final = (
    '<form action="/members/login" method="post">'
    f'<input type="hidden" name="csrf" value="{_CSRF}">'
    '<input name="user"><input type="password" name="password"><button>Log in</button></form>'
)


def _login_form(wire: Wire) -> None:
    wire.reply(answer(document("Log in", _FORM).encode()))


def _log_in(wire: Wire) -> None:
    fields = {name: values[-1] for name, values in parse_qs(wire.body.decode("latin-1")).items()}
    if fields != {"csrf": _CSRF, "user": "demo", "password": "demo"}:
        wire.reply(answer(document("Who are you?", _FORM).encode(), status=403))
        return
    meta = f'<meta name="api-token" content="{TOKEN}">'
    cookie = f"Set-Cookie: member={TOKEN}; Path=/members; HttpOnly"
    wire.reply(answer(document("Welcome", "The API is at /api/quotes.", head=meta).encode(), cookie))


def _rooms(wire: Wire) -> None:
    """Pages for members: others are sent to the form."""
    if f"member={TOKEN}" not in (wire.header("cookie") or ""):
        wire.reply(answer(b"", "Location: /members/login", status=302))
        return
    text, author, _ = QUOTES[0]
    wire.reply(answer(document("For members", f"{author}: {text}").encode()))


def _quotes(wire: Wire) -> None:
    values = parse_qs(wire.query).get("page", ["1"])
    page = int(values[0]) if values[0].isdecimal() and len(values[0]) < 6 else 1
    _answer(wire, QUOTES, page, f"/api/quotes?page={page + 1}")


def _search(wire: Wire) -> None:
    try:
        asked = json.loads(wire.body)
        author, page = str(asked["author"]), int(asked.get("page", 1))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        _json(wire, {"error": 'write {"author": NAME, "page": NUMBER}'}, 400)
        return
    _answer(wire, [quote for quote in QUOTES if quote[1] == author], page, page + 1)


def _answer(wire: Wire, quotes: Sequence[tuple[str, str, str]], page: int, following: object) -> None:
    if wire.header("authorization") != f"Bearer {TOKEN}":
        _json(wire, {"error": "log in"}, 401)
        return
    first = max(0, page - 1) * _PER_PAGE
    shown = [{"text": text, "author": author} for text, author, _ in quotes[first : first + _PER_PAGE]]
    _json(wire, {"quotes": shown, "next": following if first + _PER_PAGE < len(quotes) else None})


def _json(wire: Wire, value: object, status: int = 200) -> None:
    wire.reply(answer(json.dumps(value).encode(), status=status, media="application/json"))


GETS: Final[dict[str, Drive]] = {"/members/login": _login_form, "/members/": _rooms, "/api/quotes": _quotes}
POSTS: Final[dict[str, Drive]] = {"/members/login": _log_in, "/api/search": _search}
