"""A login before a run: what is asked for, in what order, and what becomes of a run whose login fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking_server import asked
from crawl_world import HTML, Answer, World, page
from memory_net import run
from test_cookies import hop, sent, setting, urls
from twisted.internet.defer import Deferred

from crawler import CodedError, Config, Crawler, Request, fetch_all
from crawler.page.page import Page

FORM = (
    b'<form action="/in" method="post"><input type=hidden name=csrf value=t0ken><input name=user><input name=pw></form>'
)
BASE = "http://a.example"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def crawl(world: World, login: object, *seeds: str, **options: object) -> tuple[Crawler, Deferred[object]]:
    config = Config.build(**{"recursive": True, "robots": False, "delay": 0.0, "cookies": "run", **options})
    crawler = Crawler(config, reactor=world.clock, urls=list(seeds), dial=world.network.dial, login=login)  # type: ignore[arg-type]
    return crawler, crawler.run()


class TestLogin:
    def test_a_form_then_the_pages_behind_it(self, world):
        """The page of the form is fetched, the form is sent as a browser does, and the crawl is let in."""
        server = world.site(
            {
                "/login": Answer(FORM, (HTML, "Set-Cookie: pre=1; Path=/")),
                "/in": hop("/home", "session=s3cret; Path=/", status=303),
                "/home": page(),
                "/": page("/more"),
                "/more": page(),
            }
        )
        seen: list[object] = []

        def login() -> Iterator[object]:
            form = yield f"{BASE}/login"
            assert isinstance(form, Page)
            home = yield form.form({"user": "joe", "pw": "x"})
            seen.append(home.url)  # type: ignore[attr-defined]

        _, over = crawl(world, login, f"{BASE}/")
        run(world.clock, over)
        assert seen == [f"{BASE}/home"]
        order = [(asked.line.split(" ")[0], asked.target) for _, asked in server.asked]
        assert order == [("GET", "/login"), ("POST", "/in"), ("GET", "/home"), ("GET", "/"), ("GET", "/more")]
        assert sent(server)["/in"] == "pre=1"
        assert sent(server)["/more"] == "pre=1; session=s3cret"

    def test_one_request(self, world):
        """Where no form has to be looked at first."""
        server = world.site({"/in": setting("session=1"), "/": page()})
        _, over = crawl(world, Request(f"{BASE}/in", form={"user": "joe"}), f"{BASE}/")
        run(world.clock, over)
        assert sent(server) == {"/in": None, "/": "session=1"}

    def test_a_list_of_requests(self, world):
        """A function may return them; nothing is one."""
        server = world.site({"/1": setting("a=1"), "/2": setting("b=1"), "/": page()})
        for login in (lambda: [f"{BASE}/1", Request(f"{BASE}/2")], list):
            run(world.clock, crawl(world, login, f"{BASE}/")[1])
        assert [asked.headers.get("cookie") for _, asked in server.asked] == [None, "a=1", "a=1; b=1", None]

    def test_it_keeps_the_delay(self, world):
        """A login is no way around politeness."""
        server = world.site({"/1": page(), "/2": page(), "/": page()})
        run(world.clock, crawl(world, lambda: urls("/1", "/2"), f"{BASE}/", delay=2.0)[1])
        assert [round(at) for at, _ in server.asked] == [0, 2, 4]


class TestFailure:
    @pytest.mark.parametrize(
        ("login", "words"),
        [
            (lambda: [f"{BASE}/no"], f"login_failed: status 403 of {BASE}/no"),
            (lambda: ["http://nowhere.example/"], "dns_nxdomain"),
            (lambda: [7], "TypeError: the login gives what cannot be asked for"),
            (lambda: 7, "TypeError: the login gives int: neither a Request nor several"),
            (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        ],
    )
    def test_it_ends_the_run(self, world, login, words):
        """Before any seed is asked for: what would be fetched would be the page of the login, over and over."""
        server = world.site({"/no": page(status=403), "/": page()})
        _, over = crawl(world, login, f"{BASE}/")
        with pytest.raises(CodedError) as caught:
            run(world.clock, over)
        assert caught.value.code == "login_failed"
        assert words in caught.value.message
        assert "/" not in server.targets
        assert world.network.open == set()

    @pytest.mark.parametrize("end", ["drain", "abort"])
    def test_stopped_it_touches_none_either(self, world, tmp_path, end):
        (tmp_path / "old.jsonl").write_text("precious\n")
        world.network.serve("a.example", lambda wire, asked: None)
        output = str(tmp_path / "old.jsonl")
        crawler, over = crawl(world, lambda: [f"{BASE}/login"], f"{BASE}/", overwrite_output=output)
        world.clock.advance(1.0)
        getattr(crawler, end)()
        run(world.clock, over)
        assert (tmp_path / "old.jsonl").read_text() == "precious\n"
        assert world.network.open == set()

    def test_a_function_may_know_better(self, world):
        """What failed is raised where it waits."""
        server = world.site({"/no": page(status=403), "/in": setting("a=1"), "/": page()})

        def login() -> Iterator[object]:
            try:
                yield f"{BASE}/no"
            except CodedError:
                yield f"{BASE}/in"

        run(world.clock, crawl(world, login, f"{BASE}/")[1])
        assert sent(server)["/"] == "a=1"

    def test_it_may_be_stopped(self, world):
        """Ctrl-C while the server of the login says nothing: the socket is closed, no seed is asked for."""
        server = world.network.serve("a.example", lambda wire, asked: None)
        crawler, over = crawl(world, lambda: [f"{BASE}/login"], f"{BASE}/")
        world.clock.advance(1.0)
        assert server.targets == ["/login"]
        crawler.drain()
        run(world.clock, over)
        assert server.targets == ["/login"]
        assert world.network.open == set()


@pytest.mark.parametrize("job", [False, True])
def test_no_output_is_touched_before_it(tmp_path, job):
    """When it fails yesterday's records are still there, and the same call works once it does not."""
    old, new = tmp_path / "old.jsonl", tmp_path / "new.csv"
    old.write_text("precious\n")
    options = {"overwrite_output": str(old), "output": str(new), "job": str(tmp_path / "job") if job else None}
    with asked(lambda path, *_: (403 if path == "/no" else 200, {})) as server:
        with pytest.raises(CodedError):
            fetch_all([server.url("/a")], login=server.url("/no"), **options)
        assert old.read_text() == "precious\n"
        assert not new.exists()
        (record,) = fetch_all([server.url("/a")], login=server.url("/in"), **options)
        assert [path for path, _ in server.requests] == ["/no", "/in", "/a"]
    assert record.ok
    assert "precious" not in old.read_text()
