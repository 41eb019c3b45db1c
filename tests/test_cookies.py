"""Cookies in whole runs: inside one URL's redirects, for a session, in files and jobs, and where they never go.

What a single cookie may do is tested in tests/fetch/cookies.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from crawl_world import HTML, ROOT, Answer, Run, World, page
from fault_tools import accepting
from memory_net import Asked, Wire
from test_crawl_mode import urls

from crawler.api import fetch_all
from crawler.cli.main import main
from crawler.config.config import Config, ConfigError
from crawler.errors import CodedError
from crawler.fetch.cookies.keeping import Cookies
from crawler.fetch.redirect import next_hop
from crawler.models import Cookie, Input, Redirect, Request, Response, Timings
from crawler.run.access.cookies import KeptCookies
from crawler.store.rows import request_of
from crawler.urls import parse


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def fetch(world: World, *seeds: str, **options: object) -> Run:
    """A list, one URL after the other unless told otherwise."""
    return world.crawl(*seeds, **{"recursive": False, "concurrency": 1, "retries": 0, **options})


def setting(*cookies: str, to: str | None = None, status: int = 200) -> Answer:
    """An answer that sets cookies; with `to` a redirect."""
    lines = tuple(f"Set-Cookie: {cookie}" for cookie in cookies)
    return Answer(b"x", (HTML, *lines)) if to is None else Answer(b"", (f"Location: {to}", *lines), status or 302)


def hop(to: str, *cookies: str, status: int = 302) -> Answer:
    return setting(*cookies, to=to, status=status)


def sent(server: object) -> dict[str, str | None]:
    """The Cookie field of the last request for each path."""
    return {asked.target: asked.headers.get("cookie") for _, asked in server.asked}  # type: ignore[attr-defined]


def serve(world: World, script: Callable[[Asked], Answer], host: str = "a.example") -> object:
    """A site that looks at what it is asked."""

    def answer(wire: Wire, asked: Asked) -> None:
        got = script(asked)
        wire.answer(got.body, *got.headers, status=got.status)

    return world.network.serve(host, answer)


def wants_a_cookie(asked: Asked) -> Answer:
    """Sets a cookie, redirects to the same page, and looks whether it comes back."""
    return page() if asked.headers.get("cookie") == "seen=1" else hop(asked.target, "seen=1; Path=/")


class TestChain:
    """The default."""

    def test_the_dance_ends(self, world):
        """Set a cookie, redirect to the same page, look for it: many a shop does."""
        serve(world, wants_a_cookie)
        (record,) = fetch(world, ROOT).records
        assert (record.status, len(record.redirects)) == (200, 1)

    def test_through_several_pages(self, world):
        """What the first redirect has set is there after the third, and a later value goes before an earlier one."""
        site = {"/": hop("/b", "a=1", "b=1"), "/b": hop("/c", "a=2"), "/c": hop("/d", "b=; Max-Age=0"), "/d": page()}
        server = world.site(site)
        fetch(world, ROOT)
        assert sent(server) == {"/": None, "/b": "a=1; b=1", "/c": "a=2; b=1", "/d": "a=2"}

    def test_no_other_url_has_it(self, world):
        """The answer to a URL does not depend on which was fetched before; robots.txt is nobody's session either."""
        server = world.site({"/": hop("/b", "a=1"), "/b": setting("c=1"), "/e": page()})
        fetch(world, *urls("/", "/e", "/"), robots=True)
        assert sent(server) == {"/robots.txt": None, "/": None, "/b": "a=1", "/e": None}

    def test_a_link_does_not_inherit_it(self, world):
        """A page that was reached by way of a cookie leads on without it."""
        server = world.site({"/": hop("/b", "a=1"), "/b": page("/c"), "/c": page()})
        world.crawl()
        assert sent(server) == {"/robots.txt": None, "/": None, "/b": "a=1", "/c": None}

    def test_another_host_does_not_get_it(self, world):
        """But the first has it again when the chain comes back."""
        first = world.site({"/": hop("http://b.example/", "a=1; Path=/"), "/back": page()})
        second = world.site({"/": hop("http://a.example/back", "b=1")}, "b.example")
        fetch(world, ROOT)
        assert sent(second) == {"/": None}
        assert sent(first) == {"/": None, "/back": "a=1"}

    def test_another_try_has_it_too(self, world):
        """It is the same request still."""
        server = world.site({"/": hop("/b", "a=1"), "/b": [Answer(status=503), page()]})
        fetch(world, ROOT, retries=1)
        assert [asked.headers.get("cookie") for _, asked in server.asked] == [None, "a=1", "a=1"]

    def test_the_body_of_the_redirect_may_be_broken(self, world):
        """Its head has said all."""

        def answer(wire: Wire, asked: Asked) -> None:
            if asked.target == "/b":
                wire.answer()
            else:
                wire.send(b"HTTP/1.1 302 -\r\nLocation: /b\r\nSet-Cookie: a=1\r\nContent-Length: 99\r\n\r\nx")
                wire.close()

        server = world.network.serve("a.example", answer)
        (record,) = fetch(world, ROOT).records
        assert sent(server)["/b"] == "a=1"
        assert record.warnings == ["redirect_body"]

    def test_a_record_tells_nothing_new(self, world):
        """What a server has set stands in the headers of its answer, and nowhere else; what was sent is in none."""
        world.site({"/": hop("/b", "a=s3cret"), "/b": page()})
        (record,) = fetch(world, ROOT).records
        assert b"s3cret" not in msgspec.json.encode(record)


class TestLoops:
    """A loop is the same method, URL and cookies again."""

    def test_a_cookie_that_changes_nothing(self, world):
        """The same value again: who comes with it is sent round for ever."""
        server = world.site({"/": hop("/", "a=1")})
        (record,) = fetch(world, ROOT).records
        assert record.error is not None
        assert record.error.code == "redirect_loop"
        assert "the cookies that were set on the way made no difference" in record.error.message
        assert len(server.asked) == 3

    def test_a_cookie_that_is_refused(self, world):
        """Secure over http: it never comes back, and that is told."""
        world.site({"/": hop("/", "a=1; Secure")})
        (record,) = fetch(world, ROOT).records
        assert record.error is not None
        assert "made no difference" in record.error.message

    def test_a_cookie_that_counts(self, world):
        """Another one each time is another request each time, up to the limit of redirects."""
        serve(world, lambda asked: hop("/", f"n={int(asked.headers.get('cookie', 'n=0')[2:]) + 1}"))
        (record,) = fetch(world, ROOT).records
        assert record.error is not None
        assert record.error.code == "too_many_redirects"

    def test_three_visits_with_three_cookies(self, world):
        """First a cookie, then another one, then the page."""

        def script(asked: Asked) -> Answer:
            have = asked.headers.get("cookie", "")
            return page() if have == "a=1; b=2" else hop("/", "b=2" if have else "a=1")

        serve(world, script)
        for cookies in ("chain", "run"):
            (record,) = fetch(world, ROOT, cookies=cookies).records
            assert (record.status, len(record.redirects)) == (200, 2)

    def test_off(self, world):
        """Then the message says what it says."""
        server = world.site({"/": hop("/", "a=1")})
        (record,) = fetch(world, ROOT, cookies="off").records
        assert record.error is not None
        assert record.error.message.endswith("a cookie was set on the way, and cookies are not kept")
        assert sent(server) == {"/": None}


class TestRun:
    def test_a_session(self, world):
        """What one answer sets goes with the next request to that server, and to no other."""
        server = world.site({"/1": setting("a=1"), "/2": page(), "/3": setting("a=; Max-Age=0"), "/4": page()})
        other = world.site({"/": page()}, "b.example")
        fetch(world, *urls("/1", "/2", "/3", "/4"), "http://b.example/", cookies="run")
        assert sent(server) == {"/1": None, "/2": "a=1", "/3": "a=1", "/4": None}
        assert sent(other) == {"/": None}

    def test_links_are_in_it(self, world):
        """A crawl is a session, and robots.txt is in none."""
        server = world.site({"/robots.txt": setting("r=1"), "/": hop("/b", "a=1"), "/b": page("/c"), "/c": page()})
        world.crawl(cookies="run")
        assert sent(server) == {"/robots.txt": None, "/": None, "/b": "a=1", "/c": "a=1"}

    def test_every_answer_counts(self, world):
        """Errors, and those whose body is cut: the head has come."""

        def answer(wire: Wire, asked: Asked) -> None:
            if asked.target == "/cut":
                wire.send(b"HTTP/1.1 200 -\r\nSet-Cookie: cut=1\r\nContent-Length: 99\r\n\r\nx")
                wire.close()
            else:
                wire.answer(b"", "Set-Cookie: not-found=1", status=404)

        server = world.network.serve("a.example", answer)
        fetch(world, *urls("/missing", "/cut", "/end"), cookies="run")
        assert sent(server)["/end"] == "not-found=1; cut=1"

    def test_it_is_there_before_the_body(self, world):
        """The next request of the same server has it, while the body of the answer is still under way."""

        def answer(wire: Wire, asked: Asked) -> None:
            if asked.target == "/long":
                wire.send(b"HTTP/1.1 200 -\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nx")
                wire.send(b"x", after=5.0)
            else:
                wire.answer()

        server = world.network.serve("a.example", answer)
        fetch(world, *urls("/long", "/short"), cookies="run", concurrency=2, delay=1.0)
        assert [(round(at), asked.headers.get("cookie")) for at, asked in server.asked] == [(0, None), (1, "a=1")]

    def test_by_host(self, world):
        """A table says otherwise for one host."""
        pages = {"/": setting("a=1"), "/2": page()}
        kept, not_kept = world.site(pages), world.site(pages, "b.example")
        seeds = [*urls("/", "/2"), *urls("/", "/2", host="b.example")]
        fetch(world, *seeds, hosts={"a.example": {"cookies": "run"}})
        assert (sent(kept)["/2"], sent(not_kept)["/2"]) == ("a=1", None)
        assert sent(kept).keys() == {"/", "/2"}


class TestHeader:
    def test_the_users_own_header(self, world):
        """There is one Cookie field; of two with one name the user's counts."""
        server = world.site({"/": setting("a=1", "b=1"), "/2": page()})
        fetch(world, *urls("/", "/2"), cookies="run", headers=["Cookie: b=mine; c=mine"])
        assert sent(server) == {"/": "b=mine; c=mine", "/2": "a=1; b=mine; c=mine"}


class TestGiven:
    """-b, as curl has it."""

    def test_pairs_go_to_typed_origins(self, world):
        """To the servers that were typed and what these themselves lead to; the session's own value goes before."""
        pages = {
            "/": page("/2", "http://b.example/"),
            "/2": setting("b=new"),
            "/3": page(),
            "/away": hop("http://b.example/x"),
        }
        server = world.site(pages)
        other = world.site({"/": page("http://a.example/3"), "/x": page()}, "b.example")
        seeds = urls("/", "/2", "/away")
        world.crawl(*seeds, scope="any", robots=False, cookie=["a=1; b=2", "c="], concurrency=1)
        got = sent(server)
        assert got["/"] == "a=1; b=2; c="
        assert got["/3"] == "b=new"
        assert set(sent(other).values()) == {None}

    def test_a_file(self, world, tmp_path):
        """Without a "=" it is one; its cookies go where they belong, whatever was typed, and it is not written."""
        path = tmp_path / "cookies.txt"
        path.write_text("b.example\tFALSE\t/\tFALSE\t0\ta\tfrom-file\n")
        first, second = world.site({"/": page()}), world.site({"/": setting("n=1")}, "b.example")
        fetch(world, ROOT, "http://b.example/", cookie=[path])
        assert (sent(first), sent(second)) == ({"/": None}, {"/": "a=from-file"})
        assert path.read_text() == "b.example\tFALSE\t/\tFALSE\t0\ta\tfrom-file\n"

    def test_bytes_that_are_no_text(self):
        """They are sent as they were written: a cookie is bytes."""
        kept = KeptCookies(Config.build(inputs=[ROOT], cookie=["a=\udcff\u00e9"]))
        request = Request(0, parse(ROOT), ROOT, Input(), 0.0)
        ((_, value),) = kept.cookies.source(request, True)
        assert value.encode("utf-8", "surrogateescape") == b"a=\xff\xc3\xa9"

    def test_a_file_that_is_not_there(self, world):
        """What has no "=" is a file, and one that is not there is no run."""
        world.site({"/": page()})
        with pytest.raises(ConfigError, match="--cookie: cannot read 'not-there': No such file"):
            fetch(world, ROOT, cookie=["not-there"])

    def test_it_turns_a_session_on(self, monkeypatch):
        """As in curl, where a file does; said otherwise, it is otherwise."""
        assert Config.build(cookie="a=b").cookies == "run"
        assert Config.build(cookie="a=b", cookies="off").cookies == "off"
        monkeypatch.setenv("SESSION", "a=s3cret")
        assert "s3cret" not in repr(Config.build(cookie=["env:SESSION", "a=s3cret"]))

    def test_without_a_session(self, world):
        """They are sent, and nothing is kept."""
        server = world.site({"/": setting("n=1"), "/2": page()})
        fetch(world, *urls("/", "/2"), cookie="a=b", cookies="off")
        assert sent(server) == {"/": "a=b", "/2": "a=b"}


class TestFiles:
    LINE = "a.example\tFALSE\t/\tFALSE\t0\ta\tfrom-file\n"

    def test_a_jar_is_read_and_written(self, world, tmp_path):
        """The session goes on in the next run. The file is its owner's alone, whatever it was."""
        path = tmp_path / "jar.txt"
        path.write_text(self.LINE)
        path.chmod(0o644)
        server = world.site({"/": setting("b=1; Max-Age=100", "gone=1; Max-Age=0"), "/2": page()})
        fetch(world, ROOT, cookie_jar=path)
        assert sent(server) == {"/": "a=from-file"}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 or os.name == "nt"
        assert list(tmp_path.iterdir()) == [path]
        fetch(world, f"{ROOT}2", cookie_jar=path)
        assert sent(server)["/2"] == "a=from-file; b=1"

    def test_a_jar_that_is_not_there_yet(self, world, tmp_path):
        """It is written, also when nothing was set: then it is there, and empty."""
        path = tmp_path / "jar.txt"
        world.site({"/": page()})
        fetch(world, ROOT, cookie_jar=path)
        assert path.read_text().startswith("# Netscape HTTP Cookie File\n")

    def test_a_link_stays_one(self, world, tmp_path):
        """What it leads to is written."""
        target = tmp_path / "real.txt"
        target.write_text(self.LINE)
        (tmp_path / "jar.txt").symlink_to(target)
        world.site({"/": setting("b=1")})
        fetch(world, ROOT, cookie_jar=tmp_path / "jar.txt")
        assert (tmp_path / "jar.txt").is_symlink()
        assert "\tb\t1\n" in target.read_text()

    def test_a_broken_line_is_told(self, world, tmp_path):
        """With its number and without what is in it; the others count."""
        path = tmp_path / "jar.txt"
        path.write_text(f"{self.LINE}session=s3cret\n")
        server = world.site({"/": page()})
        result = fetch(world, ROOT, cookie_jar=path)
        assert sent(server) == {"/": "a=from-file"}
        (note,) = result.crawler.notes
        assert note.endswith("line 2, is no cookie and left out: it has 1 column and not 7 with tabs between them")
        assert "s3cret" not in note

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("<html>\n", "is no file of cookies: line 1: it has 1 column"),
            ("notes\nof mine\n", "is no file of cookies: line 1"),
        ],
    )
    def test_another_file_is_not_overwritten(self, world, tmp_path, content, words):
        """Who names the wrong file loses nothing."""
        path = tmp_path / "notes.txt"
        path.write_text(content)
        world.site({"/": page()})
        with pytest.raises(ConfigError, match=words):
            fetch(world, ROOT, cookie_jar=path)
        assert path.read_text() == content

    def test_what_is_no_plain_file(self, world, tmp_path):
        """It could not be written in one go."""
        world.site({"/": page()})
        for name in ("-", os.devnull):
            with pytest.raises(ConfigError, match="is no plain file"):
                fetch(world, ROOT, cookie_jar=name)
        with pytest.raises(ConfigError, match="cannot read"):
            fetch(world, ROOT, cookie_jar=tmp_path)

    def test_options_that_contradict_each_other(self):
        """A jar is a session; said by its name."""
        assert Config.build(cookie_jar="x").cookies == "run"
        assert Config.build().cookies == "chain"
        with pytest.raises(ConfigError, match="cookie_jar: cannot be combined with keyword cookies off"):
            Config.build(cookie_jar="x", cookies="off")

    def test_an_output_is_no_jar(self):
        """One would overwrite the other."""
        with pytest.raises(ConfigError, match="is already an output"):
            Config.build(cookie_jar="x", output=["x"])


class TestJobs:
    """Over real sockets: a job's commits come from its thread."""

    @pytest.fixture
    def server(self) -> Iterator[tuple[str, list[str]]]:
        """The root of a server that counts in a cookie, and the Cookie fields that it was sent."""
        asked: list[str] = []

        def answer(client: socket.socket) -> None:
            head = client.recv(65536).decode("latin-1")
            asked.append(head.partition("\r\nCookie: ")[2].partition("\r\n")[0])
            line = f"HTTP/1.1 200 OK\r\nSet-Cookie: n={len(asked)}\r\n"
            if "/moved" in head:
                line = "HTTP/1.1 302 Found\r\nLocation: /\r\nSet-Cookie: n=s3cret\r\n"
            client.sendall(f"{line}Connection: close\r\nContent-Length: 0\r\n\r\n".encode())

        with accepting(answer) as port:
            yield f"http://127.0.0.1:{port}", asked

    def test_a_session_goes_on(self, server, tmp_path):
        """The next run of a job has the cookies of the one before, from a file that only its owner may read."""
        root, asked = server
        job = tmp_path / "job"
        options = {"job": job, "output": [tmp_path / "out.jsonl"], "cookies": "run", "concurrency": 1}
        fetch_all([f"{root}/1", f"{root}/2"], **options, max_pages=1)
        assert asked == [""]
        kept = job / "cookies.txt"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600 or os.name == "nt"
        fetch_all([f"{root}/1", f"{root}/2"], **options, max_pages=9)
        assert asked == ["", "n=1"]
        assert "\tn\t2\n" in kept.read_text()

    def test_a_chain_begins_again(self):
        """What a run that was killed has left of a chain has no cookies, and so is no loop yet."""
        chain = (Redirect(ROOT, 302), Redirect(ROOT, 302))
        row = (
            7,
            ROOT,
            None,
            None,
            None,
            None,
            1,
            None,
            None,
            5.0,
            1,
            ROOT,
            msgspec.json.encode(chain).decode(),
            0,
            *[None] * 4,
        )
        request = request_of(row, 0.0)
        response = Response(Timings(), 0.0, status=302, headers={"location": ["/"], "set-cookie": ["a=1"]})
        assert (request.cookies, request.since) == ((), 0)
        assert next_hop(request, response, max_redirects=9, https_only=False, keep=Cookies().hop) is not None

    def test_only_who_asked_has_a_jar(self, server, tmp_path):
        """The chain is no secret that a folder keeps."""
        root, asked = server
        fetch_all([f"{root}/moved"], job=tmp_path / "job", output=[tmp_path / "out.jsonl"], no_headers=True)
        assert asked == ["", "n=s3cret"]
        assert not [path.name for path in (tmp_path / "job").iterdir() if b"s3cret" in path.read_bytes()]

    def test_a_jar_beside_a_job(self, server, tmp_path):
        """Both have all."""
        root, _ = server
        jar = tmp_path / "jar.txt"
        fetch_all([f"{root}/1"], job=tmp_path / "job", output=[tmp_path / "out.jsonl"], cookie_jar=jar)
        assert jar.read_bytes() == (tmp_path / "job" / "cookies.txt").read_bytes()
        assert b"\tn\t1\n" in jar.read_bytes()


class TestHttpbin:
    """A server that somebody else has written."""

    def test_the_dance(self, httpbin):
        """It sets a cookie, redirects, and shows what came back; the next URL does not have it, a session does."""
        urls = [httpbin.url("/cookies/set?a=1&b=2"), httpbin.url("/cookies")]
        chain, plain = fetch_all(urls, ordered=True, concurrency=1)
        assert chain.json()["cookies"] == {"a": "1", "b": "2"}
        assert [hop.status for hop in chain.redirects] == [302]
        assert plain.json()["cookies"] == {}
        urls += [httpbin.url("/cookies/delete?a"), httpbin.url("/cookies")]
        *_, deleted, last = fetch_all(urls, ordered=True, concurrency=1, cookies="run")
        assert deleted.json()["cookies"] == last.json()["cookies"] == {"b": "2"}

    def test_a_jar_of_curl(self, httpbin, tmp_path):
        """A file as curl -c writes it is read; Secure cookies of it stay at home over http."""
        path = tmp_path / "jar.txt"
        path.write_text(
            "# Netscape HTTP Cookie File\n# https://curl.se/docs/http-cookies.html\n\n"
            "#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1\n127.0.0.1\tFALSE\t/\tTRUE\t0\tb\t2\n"
        )
        (record,) = fetch_all([httpbin.url("/cookies")], cookie_jar=path)
        assert record.json()["cookies"] == {"a": "1"}


def test_a_given_cookie_is_left_nowhere(tmp_path, monkeypatch, capfd):
    """Not in records, the job's folder, logs, reports or what is printed: -b is a login."""
    monkeypatch.chdir(tmp_path)
    asked: list[bytes] = []

    def answer(client: socket.socket) -> None:
        asked.append(client.recv(65536))
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    with accepting(answer) as port:
        arguments = [f"http://127.0.0.1:{port}/", "-b", "session=hunter2", "--job", "job", "-o", "out.jsonl"]
        assert main([*arguments, "-v", "--stats", "stats.json", "--report", "report.html"]) == 0
        assert main([*arguments, "--print-config"]) == 0
        assert main(arguments) == 0
    assert b"session=hunter2" in asked[0]
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) > 5
    assert not [path.name for path in left if b"hunter2" in path.read_bytes()]
    out, err = capfd.readouterr()
    assert "hunter2" not in out + err
    assert "no longer what it was" not in err


class TestKept:
    """When the files are written."""

    def kept(self, tmp_path: Path) -> tuple[KeptCookies, Path]:
        path = tmp_path / "jar.txt"
        return KeptCookies(Config.build(cookie_jar=path), wall=lambda: 1_000.0, clock=self.clock), path

    def clock(self) -> float:
        """Each look at it takes a second: so long does writing take here."""
        self.now = getattr(self, "now", 0.0) + 1.0
        return self.now

    def test_with_each_commit_that_has_news(self, tmp_path):
        """What a batch counts as done has its cookies on the disk before; without news nothing is written."""
        kept, path = self.kept(tmp_path)
        kept.take()
        kept.write()
        path.unlink()
        kept.take()
        kept.write()
        assert not path.exists()

    def test_a_large_jar_is_not_written_all_the_time(self, tmp_path):
        """It takes a twentieth of the time at most; in the end it is written whatever it takes."""
        kept, path = self.kept(tmp_path)
        kept.take()
        kept.write()
        kept.cookies.jar.put(Cookie("a", "b", "a.example"))
        kept.take()
        kept.write()
        assert "\ta\tb\n" not in path.read_text()
        self.now += 30
        kept.take()
        kept.cookies.jar.put(Cookie("late", "b", "a.example"))
        kept.write()
        assert "\ta\tb\n" in path.read_text()
        assert "late" not in path.read_text()
        kept.save()
        assert "late" in path.read_text()

    def test_a_disk_that_is_full(self, tmp_path):
        """A code, as for every output."""
        folder = tmp_path / "goes"
        folder.mkdir()
        kept, _ = self.kept(folder)
        folder.rmdir()
        with pytest.raises(CodedError) as caught:
            kept.save()
        assert caught.value.code == "write_error"


def test_the_plain_list_pays_nothing():
    """By default nobody is asked about a request that brings no cookies, nor hears of an answer."""
    plain, chained = Cookies("chain"), Cookies("run")
    assert (plain.sends_always, plain.keeps_runs, plain.keeps_any) == (False, False, True)
    assert (chained.sends_always, chained.keeps_runs) == (True, True)
