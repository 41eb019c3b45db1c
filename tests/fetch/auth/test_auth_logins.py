"""logins.py: which login goes along with which request, and in which form."""

from __future__ import annotations

import base64

from crawler.fetch.auth.credentials import Login
from crawler.fetch.auth.logins import MOST_STALE, Logins
from crawler.fetch.auth.netrc import Netrc
from crawler.fetch.heads import Heads
from crawler.models import Ask, Input, Redirect, Request, Response, Timings
from crawler.urls import parse

RUN = Login("run", "pw")


def request(url: str, *, method: str = "GET", ask: Ask | None = None) -> Request:
    parsed = parse(url)
    return Request(0, parsed, url, Input(), 0.0, method, ask=ask)


def sent(logins: Logins, url: str, userinfo: str | None = "", method: str = "GET") -> str | None:
    """ "user:password" of what would be sent, or the value itself where it is not Basic."""
    value = logins.authorization(request(url, method=method), userinfo)
    if value is None or not value.startswith(b"Basic "):
        return value and value.decode()
    return base64.b64decode(value[6:]).decode()


def refusal(*challenges: str) -> Response:
    return Response(Timings(), 0.0, status=401, headers={"www-authenticate": list(challenges)})


def digest(nonce: str = "n", *, stale: bool = False) -> Response:
    return refusal(f'Digest realm="r", qop="auth", nonce="{nonce}"{", stale=true" if stale else ""}')


def test_what_stands_in_the_url_goes_first() -> None:
    logins = Logins(everywhere=RUN, named={"http://b.example": Login("named", "x")}, netrc=Netrc("default login d"))
    assert sent(logins, "http://a.example/", "me:p%40ss") == "me:p@ss"
    assert sent(logins, "http://b.example/", "me:x") == "me:x"
    assert sent(logins, "http://b.example/") == "named:x"
    assert sent(logins, "http://a.example/") == "run:pw"


def test_a_user_alone() -> None:
    """The password is what .netrc has for that user, else empty: in Basic there is always a colon (RFC 7617)."""
    logins = Logins(netrc=Netrc("machine a.example login other password x\nmachine a.example login joe password y"))
    assert sent(logins, "http://a.example/", "joe") == "joe:y"
    assert sent(logins, "http://b.example/", "joe") == "joe:"
    assert sent(Logins(), "http://a.example/", "joe") == "joe:"


def test_where_nothing_private_may_go() -> None:
    """What belongs to typed URLs stays at home; a named server gets its own, but for methods that change something."""
    logins = Logins(everywhere=RUN, bearer=None, named={"http://b.example": RUN}, netrc=Netrc("default login d"))
    assert sent(logins, "http://a.example/", None) is None
    assert sent(logins, "http://b.example/", None) == "run:pw"
    assert sent(logins, "http://b.example/", None, "POST") is None
    assert sent(logins, "http://b.example/", "", "POST") == "run:pw"
    for other in ("https://b.example/", "http://b.example:81/", "http://x.b.example/"):
        assert sent(logins, other, None) is None
    assert sent(Logins(bearer="t0ken"), "http://a.example/", None) is None
    assert sent(Logins(bearer="t0ken"), "http://a.example/") == "Bearer t0ken"


def test_hosts_of_tables() -> None:
    """Where another origin leads to a host that was named without a scheme, only TLS says that it is that host."""
    logins = Logins(of_host={"b.example:8080": Login("h", "x")}.get, everywhere=RUN)
    assert sent(logins, "http://b.example:8080/") == "h:x"
    assert sent(logins, "http://b.example:8080/", None) is None
    assert sent(logins, "https://b.example:8080/", None) == "h:x"
    assert sent(logins, "https://b.example:8080/", None, "DELETE") is None
    assert sent(logins, "http://a.example/") == "run:pw"


def test_a_challenge_is_answered_once() -> None:
    """A second refusal is final; one for the age of the nonce is not, and comes to an end, too."""
    logins = Logins(everywhere=RUN)
    ours = request("http://a.example/x")
    assert logins.challenged(ours, "", digest("1"), 0)
    assert not logins.challenged(ours, "", digest("2"), 1)
    assert logins.challenged(ours, "", digest("3", stale=True), 1)
    assert not logins.challenged(ours, "", digest("4", stale=True), MOST_STALE + 1)
    answer = sent(logins, "http://a.example/x")
    assert answer is not None
    assert answer.startswith("Digest ")
    assert 'nonce="4"' in answer
    assert sent(logins, "http://a.example/y") != answer  # whoever comes next brings the nonce along at once
    assert sent(logins, "http://b.example/") == "run:pw"


def test_what_is_not_answered() -> None:
    """Nobody to log in, nothing but Basic, a token."""
    ours = request("http://a.example/x")
    assert not Logins().challenged(ours, "", digest(), 0)
    assert not Logins(everywhere=RUN).challenged(ours, None, digest(), 0)
    assert not Logins(everywhere=RUN).challenged(ours, "", refusal("Basic realm=x"), 0)
    assert not Logins(bearer="t").challenged(ours, "", digest(), 0)
    assert Logins().challenged(ours, "me:x", digest(), 0)


def test_digest_alone() -> None:
    """With it no password goes out before the server has challenged, nor after it asked for Basic."""
    logins = Logins(everywhere=RUN, digest_only=True)
    ours = request("http://a.example/x")
    assert sent(logins, "http://a.example/x") is None
    assert sent(logins, "http://a.example/x", "me:x") is None
    assert not logins.challenged(ours, "", refusal("Basic realm=x"), 0)
    assert sent(logins, "http://a.example/x") is None
    assert logins.challenged(ours, "", digest(), 0)


def test_one_credential_in_a_request() -> None:
    """What the user writes by hand counts, of the run or of the request; and nothing is answered in its place."""

    def lines(heads: Heads, of: Request) -> list[bytes]:
        return [line for line in heads.of(of).split(b"\r\n") if line.lower().startswith(b"authorization")]

    plain = request("http://a.example/")
    by_hand = Heads(
        user_agent="me", headers=[("authorization", "mine")], login=lambda _: "", logins=Logins(everywhere=RUN)
    )
    assert lines(by_hand, plain) == [b"authorization: mine"]
    assert not by_hand.challenged(plain, digest(), 0)
    ask = request("http://me:x@a.example/", ask=Ask(headers=(("Authorization", "own"),)))
    assert lines(Heads(user_agent="me", login=lambda _: "me:x"), ask) == [b"Authorization: own"]


def test_a_hop_to_another_origin() -> None:
    """Where `Typed.login` says no, neither a login nor the answer to a challenge goes along."""
    heads = Heads(user_agent="me", login=lambda _: None, logins=Logins(everywhere=RUN))
    url = parse("http://b.example/")
    hop = Request(0, url, "http://a.example/", Input(), 0.0, redirects=(Redirect("http://a.example/", 302),))
    assert b"uthorization" not in heads.of(hop)
    assert not heads.challenged(hop, digest(), 0)


def test_nothing_shows_a_login() -> None:
    assert "pw" not in repr(RUN)
    assert "pw" not in repr(vars(Logins(everywhere=RUN)))
