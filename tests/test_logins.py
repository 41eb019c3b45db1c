"""Logins, in front of servers that others have written: httpbin and nginx, and one that counts what it is asked."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from asking_server import Answer, asked
from fault_tools import fetch
from real_peers import nginx, users

from crawler import crawl
from crawler.models import Record

ME = "joe:se:cret"
BASIC = f"Basic {base64.b64encode(ME.encode()).decode()}"


def digest(nonce: int | str, *, stale: bool = False, realm: str = "here") -> Answer:
    words = f'Digest realm="{realm}", qop="auth", nonce="{nonce}"{", stale=true" if stale else ""}'
    return 401, {"WWW-Authenticate": words}


def statuses(records: list[Record]) -> list[int | None]:
    return [record.status for record in records]


# httpbin and nginx


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512"])
def test_digest_at_httpbin(httpbin, algorithm):
    """Two requests in one record; the password itself is right or wrong, and then that is final."""
    urls = [httpbin.url(f"/digest-auth/auth/joe/{password}/{algorithm}") for password in ("secret", "other")]
    records = fetch(urls, user="joe:secret", digest=True)
    assert statuses(records) == [200, 401]
    assert records[0].json() == {"authenticated": True, "user": "joe"}
    assert [(record.attempts, record.redirects, record.error) for record in records] == [(1, (), None)] * 2


def test_digest_is_chosen_by_the_server(httpbin):
    """Without --digest Basic goes out first, and the challenge is answered no less; so is one to a login in a URL."""
    url = httpbin.url("/digest-auth/auth/joe/secret")
    with_login = url.replace("//", "//joe:secret@")
    assert statuses(fetch([url], user="joe:secret")) == [200]
    assert statuses(fetch([with_login])) == [200]
    assert statuses(fetch([url])) == [401]


def test_basic_and_bearer_at_httpbin(httpbin):
    basic, hidden, bearer = map(httpbin.url, ("/basic-auth/joe/se:cret", "/hidden-basic-auth/joe/se:cret", "/bearer"))
    assert statuses(fetch([basic, hidden, bearer], user=ME)) == [200, 200, 401]
    (record,) = fetch([bearer], bearer="t0ken")
    assert record.json() == {"authenticated": True, "token": "t0ken"}
    named = [f"{httpbin.url('')}={ME}", "http://elsewhere.example=a:b"]
    assert statuses(fetch([basic, basic.replace("/joe", "/jim")], auth=named)) == [200, 401]


def test_basic_at_nginx(tmp_path):
    """Also in a crawl: the links inside a typed origin get the login, a name beyond ASCII is UTF-8."""
    snippet = f"location / {{ auth_basic x; auth_basic_user_file {users(tmp_path, jörg='pässword')}; }}"
    with nginx(tmp_path, snippet) as server:
        (tmp_path / "www" / "index.html").write_text('<a href="/next.html">next</a>')
        (tmp_path / "www" / "next.html").write_text("there")
        assert statuses(fetch([server.url("/")], user="jörg:pässword")) == [200]
        records = [*crawl([server.url("/")], user="jörg:pässword", delay=0, robots=False)]
        assert statuses(records) == [200, 200]
        assert statuses(fetch([server.url("/")], user="jörg:wrong")) == [401]


def test_netrc(tmp_path, monkeypatch):
    snippet = f"location / {{ auth_basic x; auth_basic_user_file {users(tmp_path, joe='from netrc')}; }}"
    netrc = tmp_path / "my netrc"
    netrc.write_text('machine 127.0.0.1 login joe password "from netrc"')
    netrc.chmod(0o600)
    with nginx(tmp_path, snippet) as server:
        (tmp_path / "www" / "index.html").write_text("hello")
        assert statuses(fetch([server.url("/")])) == [401]
        assert statuses(fetch([server.url("/")], netrc_file=str(netrc))) == [200]
        monkeypatch.setenv("NETRC", str(netrc))
        assert statuses(fetch([server.url("/")], netrc=True)) == [200]
        assert statuses(fetch([server.url("/", "localhost")], netrc=True)) == [401]
        assert statuses(fetch([server.url("/").replace("//", "//jim@")], netrc=True)) == [401]


# What goes where


def test_a_redirect_to_another_origin_carries_no_login():
    """Neither -u nor --bearer nor .netrc's, Basic or Digest, also where it comes back."""
    with asked(lambda path, *_: digest("n")) as other:

        def away(path: str, login: str | None, _: int) -> Answer:
            return (200, {}) if path == "/back" else (302, {"Location": other.url("/there")})

        with asked(away) as server:
            fetch([server.url("/a")], user=ME, allow_private=True)
            fetch([server.url("/b")], bearer="t0ken", allow_private=True)
            assert [login for _, login in server.requests] == [BASIC, "Bearer t0ken"]
        assert other.requests == [("/there", None)] * 2

        def back(path: str, login: str | None, _: int) -> Answer:
            return 302, {"Location": server.url("/back")}

        with asked(back) as hub:

            def over(path: str, login: str | None, _: int) -> Answer:
                return (200, {}) if path == "/back" else (302, {"Location": hub.url("/")})

            with asked(over) as server:
                fetch([server.url("/a")], user=ME, allow_private=True)
                assert [*server.requests, *hub.requests] == [("/a", BASIC), ("/back", None), ("/", None)]


def test_a_named_server_gets_its_login_whoever_leads_there():
    """And nobody else gets it."""
    with asked(lambda *_: (200, {})) as named, asked(lambda *_: (302, {"Location": named.url("/x")})) as other:
        (record,) = fetch([other.url("/")], auth=[f"{named.url('')}={ME}"], allow_private=True)
        assert record.status == 200
        assert other.requests == [("/", None)]
        assert named.requests == [("/x", BASIC)]


def test_robots_txt_gets_the_login_of_its_origin():
    """As the pages of a typed origin do: who asks is somebody there, or nobody."""
    with asked(lambda *_: (200, {"Content-Type": "text/plain"})) as server:
        fetch([server.url("/a")], user=ME, robots=True)
        assert server.requests == [("/robots.txt", BASIC), ("/a", BASIC)]


def test_robots_txt_behind_digest():
    """It is asked for again with the answer, and refused for good if that is no use: then there are no rules."""
    for opens in (True, False):

        def answer(path: str, login: str | None, count: int, opens: bool = opens) -> Answer:
            return (200, {}) if opens and login else digest(count)

        with asked(answer) as server:
            (record,) = fetch([server.url("/a")], user=ME, digest=True, robots=True, per_host=1)
            assert record.status == (200 if opens else 401)
            asked_for = [(path, bool(login)) for path, login in server.requests]
            page = [("/a", True)] if opens else [("/a", True), ("/a", True)]
            assert asked_for == [("/robots.txt", False), ("/robots.txt", True), *page]


# Challenges


def test_a_nonce_is_used_again():
    """One refusal for a server, not one for each URL."""
    with asked(lambda _, login, __: (200, {}) if login else digest("n")) as server:
        records = fetch([server.url(f"/{number}") for number in range(4)], user=ME, digest=True, per_host=1)
        assert statuses(records) == [200] * 4
        answers = [login for _, login in server.requests]
        assert answers[0] is None
        assert [re.findall("nc=([0-9]+)", login or "") for login in answers[1:]] == [[f"{n:08}"] for n in range(1, 5)]


def test_a_second_refusal_is_final():
    """Whatever the server says each time; a nonce that is too old may come again, and ends, too."""
    for stale, requests in ((False, 2), (True, 4)):
        with asked(lambda _, __, count: digest(count, stale=stale)) as server:  # noqa: B023 - called before the next
            (record,) = fetch([server.url("/")], user=ME, digest=True, retries=2)
            assert (record.status, record.attempts, len(server.requests)) == (401, 1, requests)


def test_a_retry_after_a_challenge():
    """What a try has answered counts for that try alone; the books count tries, not challenges."""
    script = [digest("a"), (503, {"Retry-After": "0"}), digest("b", stale=True), (200, {})]
    with asked(lambda _, __, count: script[count]) as server:
        (record,) = fetch([server.url("/")], user=ME, digest=True, retries=2)
        assert (record.status, record.attempts) == (200, 2)
        assert len(server.requests) == 4


def test_a_body_behind_a_challenge(tmp_path):
    """What the server has refused to take it did not do: the request goes again with its body, from memory or a file."""
    (tmp_path / "data").write_bytes(b"a=1" * 50_000)
    for data in ("a=1", f"@{tmp_path}/data"):
        with asked(lambda _, login, __: (200, {}) if login else digest("n")) as server:
            (record,) = fetch([server.url("/")], user=ME, digest=True, method="POST", data=data)
            assert (record.status, record.attempts, len(server.requests)) == (200, 1, 2)
            assert server.bodies[0] == server.bodies[1]
            assert server.bodies[0].startswith(b"a=1")


def test_a_redirect_behind_a_challenge():
    """Challenge, answer, redirect inside the origin, and the same nonce there."""

    def answer(path: str, login: str | None, _: int) -> Answer:
        if login is None or not login.startswith("Digest"):
            return digest("n")
        return (302, {"Location": "/b"}) if path == "/a" else (200, {})

    with asked(answer) as server:
        (record,) = fetch([server.url("/a")], user=ME, digest=True)
        assert record.status == 200
        assert [hop.url for hop in record.redirects] == [server.url("/a")]
        assert [path for path, _ in server.requests] == ["/a", "/a", "/b"]


def test_a_crawl_behind_digest(tmp_path):
    """Pages, and links of pages, in a job, which tells of the refusal as of every request."""
    from crawler.cli.main import main

    page = {"Content-Type": "text/html"}

    def answer(path: str, login: str | None, _: int) -> Answer:
        return (200, page) if login and f'uri="{path}"' in login else digest("n")

    with asked(answer) as server:
        url = server.url("/")
        job = str(tmp_path / "job")
        command = ["-r", url, "--job", job, "-o", str(tmp_path / "out.jsonl"), "-q", "--no-robots", "--digest"]
        assert main([*command, "--user", "env:LOGIN"]) == 2
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LOGIN", ME)
            assert main([*command, "--user", "env:LOGIN"]) == 0
        assert [path for path, _ in server.requests] == ["/", "/"]
    assert '"attempts":1' in (tmp_path / "out.jsonl").read_text()
    assert 'user = "env:LOGIN"' in Path(job, "config.toml").read_text()


def test_a_login_of_a_table(monkeypatch):
    """[hosts."..."] auth, from the environment; a header of a table may come from there, too."""
    monkeypatch.setenv("LOGIN", ME)
    with asked(lambda *_: (200, {})) as server:
        tables = {f"127.0.0.1:{server.port}": {"auth": "env:LOGIN"}}
        fetch([server.url("/"), server.url("/").replace("//", "//a:b@")], hosts=tables, user="x:y")
        tables = {f"127.0.0.1:{server.port}": {"headers": {"Authorization": "env:LOGIN"}}}
        fetch([server.url("/")], hosts=tables)
    other = f"Basic {base64.b64encode(b'a:b').decode()}"
    assert sorted(login or "" for _, login in server.requests) == sorted([BASIC, other, ME])
