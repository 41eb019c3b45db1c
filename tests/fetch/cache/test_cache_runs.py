"""Whole runs with a cache: what the second one asks for, and what its records say."""

from __future__ import annotations

import json
import random
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from asking_server import asked
from full_disk import small_files

from crawler import Request, crawl, fetch_all
from crawler.cli.main import main
from crawler.config.config import Config
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run

LARGE = random.Random(3).randbytes(700_000)


class Pages:
    """What a server answers, by path; and with 304 who has the ETag of it."""

    def __init__(self, **pages: tuple) -> None:
        self.pages = {f"/{name}": page for name, page in pages.items()}

    def __call__(self, path: str, _login: str | None, _before: int) -> tuple:
        return self.pages[path]


FRESH = {"Cache-Control": "max-age=600"}


@pytest.fixture
def folder(tmp_path) -> str:
    return str(tmp_path / "cache")


def uses(records) -> list[str | None]:
    return [record.cache for record in records]


def test_the_second_run_asks_for_nothing_that_is_fresh(folder):
    """Its record is that of the first, but for what the network tells; and it says how old the answer is."""
    page = (200, {**FRESH, "Content-Type": "text/plain", "X-A": "b", "Set-Cookie": "sid=hunter2"}, b"hello")
    with asked(Pages(a=page)) as server:
        (first,) = fetch_all([server.url("/a")], cache=folder)
        (second,) = fetch_all([server.url("/a")], cache=folder)
    assert len(server.requests) == 1
    assert uses([first, second]) == ["miss", "hit"]
    for name in (
        "url",
        "final_url",
        "outcome",
        "status",
        "http_version",
        "content_type",
        "size_body",
        "sha256",
        "body",
    ):
        assert getattr(first, name) == getattr(second, name), name
    assert second.body == b"hello"
    assert (second.size_download, second.remote_ip, second.reused, second.time_total) == (0, None, None, None)
    assert second.attempts == 1
    assert second.started >= first.started
    assert int(second.headers.first("age")) < 60
    kept = {name: values for name, values in first.headers.items() if name != "set-cookie"}
    assert {name: values for name, values in second.headers.items() if name != "age"} == kept


def test_without_a_cache_nothing_says_so(folder):
    with asked(Pages(a=(200, FRESH))) as server:
        assert uses(fetch_all([server.url("/a")] * 2, concurrency=1)) == [None, None]
    assert not Path(folder).exists()


def test_what_is_stale_is_asked_about(folder):
    """A 304 makes it good again, with new headers; another answer takes its place."""
    answers = [
        (200, {"ETag": '"1"', "Cache-Control": "max-age=0", "X-A": "1", "Content-Type": "text/plain"}, b"one"),
        (304, {"ETag": '"1"', "X-A": "2", "Cache-Control": "max-age=0"}),
        (200, {"ETag": '"2"', "Cache-Control": "max-age=0"}, b"two"),
        (304, {"ETag": '"2"', **FRESH}),
    ]
    with asked(lambda *of: answers[of[2]]) as server:
        records = [fetch_all([server.url("/a")], cache=folder)[0] for _ in range(5)]
    assert uses(records) == ["miss", "revalidated", "miss", "revalidated", "hit"]
    assert [head["If-None-Match"] for head in server.heads] == [None, '"1"', '"1"', '"2"']
    assert [record.body for record in records] == [b"one", b"one", b"two", b"two", b"two"]
    assert [record.status for record in records] == [200] * 5
    again = records[1]
    assert (again.headers.first("x-a"), again.content_type, again.size_download) == ("2", "text/plain", 0)
    assert again.remote_ip == "127.0.0.1"
    assert again.sha256 == sha256(b"one").hexdigest()


def test_a_304_about_something_else_is_no_answer(folder):
    """RFC 9111 section 4.3.4: then it is asked for without conditions."""
    answers = [(200, {"ETag": '"1"'}, b"one"), (304, {"ETag": '"9"'}), (200, {"ETag": '"9"'}, b"nine")]
    with asked(lambda *of: answers[of[2]]) as server:
        records = [fetch_all([server.url("/a")], cache=folder)[0] for _ in range(2)]
    assert [(record.cache, record.body) for record in records] == [("miss", b"one"), ("miss", b"nine")]
    assert [head["If-None-Match"] for head in server.heads] == [None, '"1"', None]


@pytest.mark.parametrize("headers", [{"Cache-Control": "no-store"}, {"Cache-Control": "no-cache"}, {"Vary": "*"}, {}])
def test_for_so_long_everything_is_fresh(folder, headers):
    """--cache-for, whatever the headers say; a run without it makes nothing of that."""
    with asked(Pages(a=(200, headers, b"hello"))) as server:
        records = [fetch_all([server.url("/a")], cache=folder, cache_for="1d")[0] for _ in range(2)]
        assert uses(records) == ["miss", "hit"]
        assert uses(fetch_all([server.url("/a")], cache=folder)) == ["miss"]


def test_what_is_about_the_moment_is_not_kept(folder):
    with asked(Pages(a=(503, FRESH), b=(429, FRESH), c=(401, FRESH))) as server:
        urls = [server.url(path) for path in ("/a", "/b", "/c")]
        for _ in range(2):
            assert uses(fetch_all(urls, cache=folder, cache_for="1d", retries=0)) == ["miss"] * 3
    assert len(server.requests) == 6


def test_an_error_says_nothing_of_what_is_kept(folder):
    """A server that is down for a moment: what was kept is asked about again, by then it is good still."""
    answers = [(200, {"ETag": '"1"'}, b"one"), (503, {}), (304, {"ETag": '"1"'}), (404, {}), (200, {}, b"new")]
    with asked(lambda *of: answers[of[2]]) as server:
        records = [fetch_all([server.url("/a")], cache=folder, retries=0)[0] for _ in range(5)]
    assert [(record.status, record.cache) for record in records] == [
        (200, "miss"), (503, "miss"), (200, "revalidated"), (404, "miss"), (200, "miss"),
    ]  # fmt: skip
    assert [head["If-None-Match"] for head in server.heads] == [None, '"1"', '"1"', '"1"', None]


def test_redirects_are_kept(folder):
    """By their own status and headers; the record of a chain says what the cache did for its end."""
    pages = Pages(a=(301, {"Location": "/b"}), b=(302, {"Location": "/c", **FRESH}), c=(200, FRESH, b"there"))
    with asked(pages) as server:
        records = [fetch_all([server.url("/a")], cache=folder)[0] for _ in range(2)]
    assert len(server.requests) == 3
    assert uses(records) == ["miss", "hit"]
    assert [[hop.status for hop in record.redirects] for record in records] == [[301, 302]] * 2
    assert records[1].body == b"there"


def test_who_is_led_back_is_not_led_in_a_circle(folder):
    """A redirect to itself that sets a cookie: what was kept of the URL is not what is meant now."""

    def answer(*of):
        return (302, {"Location": "/a", "Set-Cookie": "seen=1"}) if of[2] == 0 else (200, {}, b"welcome")

    with asked(answer) as server:
        records = [fetch_all([server.url("/a")], cache=folder, cache_for="1d")[0] for _ in range(2)]
    assert [record.status for record in records] == [200, 200]
    assert uses(records) == ["miss", "hit"]


def test_vary(folder):
    """Each of what the request had there has its own answer, and they stay beside one another."""

    def answer(path, login, before):
        return (200, {**FRESH, "Vary": "Accept-Language"}, server.heads[-1]["Accept-Language"].encode())

    with asked(answer) as server:
        for use in ("miss", "hit"):
            for language in ("de", "en", "de,  en"):
                ask = Request(server.url("/a"), headers={"Accept-Language": language})
                (record,) = fetch_all([ask], cache=folder)
                assert (record.cache, record.text) == (use, language)
        (record,) = fetch_all([Request(server.url("/a"), headers={"Accept-Language": "de, en"})], cache=folder)
        assert record.cache == "hit"  # white space is no difference


def test_another_login_is_another_person(folder):
    """Whether a server says Vary or not."""
    with asked(lambda _, login, before: (200, FRESH, str(login).encode())) as server:
        seen = [
            fetch_all([server.url("/a")], cache=folder, **who)[0]
            for who in ({"user": "joe:hunter2"}, {"user": "ann:hunter3"}, {}, {"user": "joe:hunter2"}, {})
        ]
    assert uses(seen) == ["miss", "miss", "miss", "hit", "hit"]
    assert len({record.body for record in seen}) == 3
    assert seen[3].body == seen[0].body


def test_unsafe_methods_make_it_forget(folder):
    """RFC 9111 section 4.4: also what Location and Content-Location name, of the same origin; not after an error."""
    status = {"/a": 200, "/c": 500}

    def answer(path, login, before):
        posted = {"Content-Location": "/b", "Location": "http://127.0.0.2/c"}
        return (status[path], posted) if server.bodies else (200, FRESH, b"x")

    urls = ("/a", "/b", "/c")
    with asked(answer) as server:
        pages = [server.url(path) for path in urls]
        fetch_all(pages, cache=folder)
        fetch_all([server.url("/a"), server.url("/c")], cache=folder, method="POST", data="x=1", retries=0)
        server.bodies.clear()
        before = len(server.requests)
        assert sorted(uses(fetch_all(pages, cache=folder))) == ["hit", "miss", "miss"]
        assert {path for path, _ in server.requests[before:]} == {"/a", "/b"}


def test_post_is_not_its_business(folder):
    with asked(Pages(a=(200, FRESH))) as server:
        for _ in range(2):
            assert uses(fetch_all([server.url("/a")], cache=folder, cache_for="1d", data="x=1")) == [None]


def test_head_is_answered_by_what_is_known_of_the_whole(folder):
    with asked(Pages(a=(200, FRESH, b"hello"), b=(200, FRESH, b"hello"))) as server:
        fetch_all([server.url("/a")], cache=folder)
        (head,) = fetch_all([server.url("/a")], cache=folder, head=True)
        assert (head.cache, head.body, head.headers.first("content-length")) == ("hit", b"", "5")
        assert uses(fetch_all([server.url("/b")], cache=folder, head=True)) == ["miss"]
        assert uses(fetch_all([server.url("/b")], cache=folder, head=True)) == ["hit"]
        assert uses(fetch_all([server.url("/b")], cache=folder)) == ["miss"]


@pytest.mark.parametrize(
    ("control", "use", "kept"),
    [("no-cache", "miss", True), ("no-store", "miss", False), ("max-age=0", "miss", True), ("max-age=99", "hit", True)],
)
def test_what_the_user_says(folder, control, use, kept):
    """RFC 9111 section 5.2.1."""
    with asked(lambda *of: (200, FRESH, str(of[2]).encode())) as server:
        fetch_all([server.url("/a")], cache=folder)
        (record,) = fetch_all([server.url("/a")], cache=folder, headers=[f"Cache-Control: {control}"])
        assert record.cache == use
        (last,) = fetch_all([server.url("/a")], cache=folder)
        assert last.cache == "hit"
        assert (last.body == record.body) is kept


def test_no_network(folder):
    """only-if-cached: what is not there fails, and no server is asked."""
    with asked(Pages(a=(200, FRESH, b"x"))) as server:
        fetch_all([server.url("/a")], cache=folder)
    records = fetch_all([server.url("/a"), server.url("/b")], cache=folder, headers=["Cache-Control: only-if-cached"])
    assert uses(records) == ["hit", None]
    assert records[1].error.code == "not_cached"
    assert records[1].attempts == 1


def test_a_question_that_has_conditions(folder):
    """RFC 9111 section 4.3.2: whoever has it already is told so."""
    with asked(Pages(a=(200, {**FRESH, "ETag": '"1"'}, b"x"))) as server:
        fetch_all([server.url("/a")], cache=folder)
        (same,) = fetch_all([server.url("/a")], cache=folder, headers=['If-None-Match: "0", W/"1"'])
        (other,) = fetch_all([server.url("/a")], cache=folder, headers=['If-None-Match: "0"'])
    assert (same.status, same.cache, same.body) == (304, "hit", b"")
    assert "content-length" not in same.headers
    assert (other.status, other.cache, other.body) == (200, "hit", b"x")


def test_a_part_is_neither_kept_nor_taken_from_it(folder):
    with asked(lambda *of: (206 if "Range" in server.heads[-1] else 200, FRESH, b"x")) as server:
        fetch_all([server.url("/a")], cache=folder)
        for _ in range(2):
            (part,) = fetch_all([server.url("/a")], cache=folder, range="0-0")
            assert (part.status, part.cache) == (206, "miss")
        assert uses(fetch_all([server.url("/a")], cache=folder)) == ["hit"]


def test_what_broke_off_is_not_kept(folder):
    with asked(Pages(a=(200, {**FRESH, "Content-Length": "9"}, b"x"))) as server:
        for _ in range(2):
            (record,) = fetch_all([server.url("/a")], cache=folder, retries=0, idle_timeout=0.2)
            assert (record.outcome, record.cache) == ("failed", "miss")


def test_what_is_larger_than_may_be_is_no_hit(folder):
    with asked(Pages(a=(200, FRESH, b"x" * 1_000))) as server:
        fetch_all([server.url("/a")], cache=folder)
        (record,) = fetch_all([server.url("/a")], cache=folder, max_size=999)
    assert record.error.code == "body_too_large"


@pytest.mark.parametrize("layout", ["hash", "name"])
def test_files(folder, tmp_path, layout):
    """--bodies has the files of a hit as those of a fetch, small and large; what the cache has stays its own."""
    bodies = {"/small": b"small", "/large": LARGE}
    with asked(lambda path, *_: (200, FRESH, bodies[path])) as server:
        for run in range(3):
            place = tmp_path / f"bodies{run}"
            records = fetch_all(map(server.url, bodies), cache=folder, bodies=str(place), bodies_as=layout)
            assert uses(records) == ["hit" if run else "miss"] * 2
            for record in records:
                file = place / record.body_path
                assert file.read_bytes() == bodies[record.url[len(server.url("")) :]]
                assert record.sha256 == sha256(file.read_bytes()).hexdigest()
                assert record.size_body == file.stat().st_size
                file.write_bytes(b"spoilt")
            assert not list(place.glob(".crawler-*"))


def test_a_large_body_in_memory(folder):
    with asked(Pages(a=(200, FRESH, LARGE))) as server:
        records = [fetch_all([server.url("/a")], cache=folder)[0] for _ in range(2)]
    assert uses(records) == ["miss", "hit"]
    assert records[1].body == LARGE


def test_what_is_not_wanted_is_no_hit_either(folder):
    """--accept is for hits as well."""
    with asked(Pages(a=(200, {**FRESH, "Content-Type": "text/html"}, b"x"))) as server:
        fetch_all([server.url("/a")], cache=folder)
        (record,) = fetch_all([server.url("/a")], cache=folder, accept="image/*")
    assert (record.error.code, record.cache, record.size_body) == ("content_type_skipped", "hit", 0)


def test_since_and_a_cache(folder, tmp_path):
    """What is fresh in the cache is compared with the record, nothing is asked."""
    with asked(lambda *of: (200, {**FRESH, "ETag": '"1"'}, b"x")) as server:
        before, url = str(tmp_path / "a.jsonl"), server.url("/a")
        assert main([url, "-q", "--cache", folder, "-o", before]) == 0
        after = str(tmp_path / "b.jsonl")
        assert main([url, "-q", "--cache", folder, "--since", before, "-o", after]) == 0
        record = json.loads(Path(after).read_text())
        assert (record["outcome"], record["cache"]) == ("unchanged", "hit")
        assert len(server.requests) == 1


def test_a_hit_waits_for_no_delay_and_makes_none(folder):
    """The host was not asked, so the next may be asked at once: five seconds each would be half a minute."""
    with asked(lambda path, *_: (200, FRESH, path.encode())) as server:
        urls = [server.url(f"/{number}") for number in range(6)]
        fetch_all(urls, cache=folder)
        records = fetch_all([*urls, server.url("/new")], cache=folder, delay=5)
    assert uses(records) == ["hit"] * 6 + ["miss"]
    assert max(record.time_queue for record in records) < 4


def test_a_crawl_with_robots(folder):
    """All of it from the cache: robots.txt too."""
    page = b'<title>t</title><a href="/b">b</a>'
    answers = {
        "/robots.txt": (
            200,
            {**FRESH, "Content-Type": "text/plain"},
            b"User-agent: *\nDisallow: /no",
        ),
        "/": (200, {**FRESH, "Content-Type": "text/html"}, page + b'<a href="/no">'),
        "/b": (200, {**FRESH, "Content-Type": "text/html"}, page),
    }
    with asked(lambda path, *_: answers[path]) as server:
        first = list(crawl([server.url("/")], cache=folder, delay=0, skipped=True))
        asked_for = len(server.requests)
        second = list(crawl([server.url("/")], cache=folder, delay=0, skipped=True))
    assert len(server.requests) == asked_for
    assert {(r.url, r.outcome, r.title, r.links) for r in second} == {
        (r.url, r.outcome, r.title, r.links) for r in first
    }
    assert [r.outcome for r in second].count("skipped") == 1


def test_the_summary_tells_of_hits(folder, tmp_path, capfd):
    with asked(lambda *_: (200, FRESH, b"x")) as server:
        for run in range(2):
            output = str(tmp_path / f"{run}.jsonl")
            assert main([server.url("/a"), server.url("/b"), "--cache", folder, "-o", output]) == 0
            assert ("2 from the cache" in capfd.readouterr().err) is bool(run)


def test_a_job_goes_on_with_another_cache(folder, tmp_path, capfd):
    """Or without one: it says how URLs are fetched, not which."""
    with asked(lambda *_: (200, FRESH, b"x")) as server:
        job, output = str(tmp_path / "job"), str(tmp_path / "out.jsonl")
        run = [server.url("/a"), server.url("/b"), "-q", "--job", job, "-o", output]
        assert main([*run, "--cache", folder]) == 0
        assert main([*run, "--cache", f"{folder}2"]) == 0
        assert main(run) == 0
    records = [json.loads(line) for line in Path(output).read_text().splitlines()]
    assert [record["cache"] for record in records] == ["miss", "miss"]


def test_a_disk_that_is_full_ends_the_run_as_without_a_cache(folder, tmp_path, capfd):
    """A hit whose file cannot be written is no record: the run ends with 5, and says why."""
    with asked(Pages(a=(200, FRESH, LARGE))) as server:
        fetch_all([server.url("/a")], cache=folder)
        with small_files(300_000):
            assert main([server.url("/a"), "-q", "--cache", folder, "--bodies", str(tmp_path / "b"), "-o", "-"]) == 5
    out, err = capfd.readouterr()
    assert out == ""
    assert "disk_full" in err


def test_a_run_that_is_stopped_lets_go(folder, tmp_path):
    """A large hit that is on its way to its file when the run is given up: nothing is left there."""
    with asked(Pages(a=(200, FRESH, LARGE * 20))) as server:
        fetch_all([server.url("/a")], cache=folder, max_size="1G")
        config = Config.build(cache=folder, bodies=str(tmp_path / "b"))
        with private_reactor() as (reactor, dial):
            crawler = Crawler(config, reactor=reactor, urls=[server.url("/a")], dial=dial)
            reactor.callLater(0.01, crawler.abort)
            run(reactor, crawler.run)
    assert not list((tmp_path / "b").glob("*/*.part"))


def test_who_links_inside_is_not_told_what_was_said_there(folder):
    """A page that was typed once is in the cache; whoever links to it later gets no further than without one."""
    with asked(Pages(inside=(200, FRESH, b"secret"))) as server:
        here = server.url("/inside")
        assert uses(fetch_all([here], cache=folder)) == ["miss"]
        with asked(lambda *_: (302, {"Location": here})) as stranger:
            url = stranger.url("/")
            (record,) = fetch_all([url], cache=folder)
            assert (record.error.code, record.body) == ("address_blocked", b"")
            for may in ([url, here], {}), ([url], {"allow_private": True}):
                record = fetch_all(may[0], cache=folder, concurrency=1, **may[1])[0]
                assert (record.cache, record.body) == ("hit", b"secret")


@pytest.mark.parametrize(
    "options",
    [
        {"insecure": True},
        {"insecure_host": "a.example"},
        {"resolve": "b.example:80:127.0.0.1"},
        {"hosts": {"a.example": {"insecure": True}}},
    ],
)
def test_who_believes_other_servers_has_another_cache(folder, options):
    """What came over a connection that was not checked, or from another server, is nothing for a run that asks less."""
    with asked(Pages(a=(200, FRESH, b"x"))) as server:
        url = server.url("/a")
        uses_of = [uses(fetch_all([url], cache=folder, **some)) for some in (options, {}, options, {})]
    assert uses_of == [["miss"], ["miss"], ["hit"], ["hit"]]


def test_what_is_on_the_disk(folder):
    """Yours alone, and no secret of a request or a session in it."""
    answer = (200, {**FRESH, "Vary": "Cookie", "Set-Cookie": "sid=hunter2"}, b"x")
    with asked(Pages(a=answer)) as server:
        fetch_all([server.url("/a")], cache=folder, user="joe:hunter2", cookie=["sid=hunter2"])
    files = [path for path in Path(folder).rglob("*") if path.name != "CACHEDIR.TAG"]
    assert len([path for path in files if path.is_file()]) == 2  # the key and the page
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        assert path.is_dir() or b"hunter2" not in path.read_bytes()
        assert path.is_dir() or b"am9lOmh1bnRlcjI=" not in path.read_bytes()


def test_a_folder_that_is_no_cache_is_refused(tmp_path, capfd):
    """One that others may write to: they could have every page say what they like."""
    (tmp_path / "entries-1").mkdir()
    (tmp_path / "entries-1").chmod(0o777)
    assert main(["http://127.0.0.1:9/", "--cache", str(tmp_path)]) == 5
    assert "others may write to it" in capfd.readouterr().err


@pytest.mark.parametrize("option", [["--cache-for", "1d"], ["--cache-size", "1G"]])
def test_options_of_a_cache_that_is_not_there(option, capsys):
    assert main(["http://127.0.0.1:9/", *option]) == 2
    assert "--cache DIR" in capsys.readouterr().err
