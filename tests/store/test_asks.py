"""asks.py: what a job keeps of what is asked for, and the credentials that it does not keep."""

from __future__ import annotations

from msgspec.structs import replace

from crawler.models import Ask, Input, Redirect, Request
from crawler.seeds.inputs import Seed
from crawler.store.asks import WITHHELD, Secrets, ask_of, is_withheld, text_of
from crawler.urls import parse

URL = "http://a.example/"


def ask(token: str, body: bytes | None = b"x") -> Ask:
    headers = (("X-Token", token), ("X-Plain", "p"), ("Content-Language", "de"))
    return Ask(headers=headers, body=body, content_type="text/plain")


def seed(url: str, what: Ask | None = None) -> Seed:
    return Seed(parse(url), url, Input(), "POST", what)


def read_again(number: int, url: str, what: Ask | None, **fields: object) -> Request:
    """A request as it comes back out of the store."""
    request = Request(number, parse(url), url, Input(), 0.0, "POST", ask=what)
    kept = Request(number, parse(url), url, Input(), 0.0, "POST", ask=ask_of(text_of(request)))
    return Request(**{name: getattr(kept, name) for name in Request.__struct_fields__} | fields)


def test_only_what_waits_is_learnt() -> None:
    """A million inputs are read once more for the sake of those that wait: no others are held."""
    secrets = Secrets()
    waiting = read_again(7, f"{URL}7", ask("t7"))
    assert is_withheld(waiting)
    secrets.want(7, f"{URL}7", waiting.ask)
    for number in range(1_000):
        secrets.learn(seed(f"{URL}{number}", ask(f"t{number}")))
    assert secrets.whole(waiting).ask == ask("t7")
    assert sum(len(held) for held in vars(secrets).values()) == 2  # that it is wanted, and what it is


def test_what_nobody_knows_is_named() -> None:
    secrets = Secrets()
    secrets.learn(seed(URL, ask("t")))
    assert is_withheld(secrets.whole(read_again(7, URL, ask("t"))))


def test_the_same_url_with_another_body_is_another_input() -> None:
    secrets = Secrets()
    secrets.want(1, URL, ask("a", b"1"))
    secrets.want(2, URL, ask("b", b"2"))
    secrets.learn(seed(URL, ask("b", b"2")))
    secrets.learn(seed(URL, ask("a", b"1")))
    assert [secrets.whole(read_again(n, URL, ask("", b"%d" % n))).ask.headers[0][1] for n in (1, 2)] == ["a", "b"]  # type: ignore[union-attr]


def test_behind_a_redirect() -> None:
    """A POST that was answered with 303 waits as a GET without a body, and without what is said of that."""
    secrets = Secrets()
    secrets.want(7, URL, ask("t"))
    secrets.learn(seed(URL, ask("t")))
    hops = (Redirect(URL, 303, None, "POST"),)
    waiting = read_again(7, f"{URL}there", ask("t").without_body(), redirects=hops, method="GET")
    whole = secrets.whole(waiting)
    assert whole.ask is not None
    assert whole.ask.headers == (("X-Token", "t"), ("X-Plain", "p"))
    assert not is_withheld(whole)


def test_a_login_of_a_url() -> None:
    secrets = Secrets()
    secrets.want(7, URL, None)
    secrets.learn(seed("http://joe:secret@a.example/"))
    waiting = Request(7, replace(parse(URL), userinfo=WITHHELD), URL, Input(), 0.0)
    assert secrets.whole(waiting).url.userinfo == "joe:secret"
